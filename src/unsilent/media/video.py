"""Pictures out of a file: as displayed, at a constant frame rate, as a stream with flat memory."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import MediaError
from unsilent.media.container import (
    FFMPEG_ERRORS,
    MAX_GAP,
    Damage,
    MediaInfo,
    audio_stream,
    check_file,
    codec_name,
    nominal_rate,
    open_media,
    packets,
    refusal,
    seconds,
    video_stream,
)
from unsilent.media.display import Converter, Display
from unsilent.media.timing import Timed, Timeline, constant_rate

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["probe", "read_video"]

# Seconds before the wanted time at which to land when seeking: leading frames of an open group of pictures, which
# cannot be decoded after a jump, then lie outside what is asked for.
_SEEK_MARGIN = 1.0
# Below this, decoding from the beginning is as fast as seeking.
_SEEK_FROM = 3.0
# From this many pixels on, decoding in several threads pays for their switching.
_THREADED_PIXELS = 1280 * 720
# A video that ends this many seconds before its header says is reported as cut short.
_MISSING_END = 0.2
# Containers whose header has no duration: FFmpeg's guess from the last few kilobytes can be seconds off.
_UNMEASURED_FORMATS = frozenset({"mpeg", "mpegvideo", "mpegts"})


def probe(path: str | Path) -> MediaInfo:
    """Return what a file holds.

    Raises:
        MediaError: it cannot be opened, or neither picture nor sound can be decoded.
    """
    with open_media(path) as container:
        file = Path(path)
        try:
            stream = video_stream(container, file)
        except MediaError:
            if not container.streams.audio:
                raise
            return _probe_sound(container, file)
        audio = [codec_name(track) for track in container.streams.audio if track.codec_context is not None]
        duration = _duration(container, stream)
        codec = codec_name(stream)
        rate = nominal_rate(stream)
        display = Display.of(_first_frame(container, file), stream)
    if duration is None:
        duration = _measured_duration(file)
    width, height = display.size
    return MediaInfo(
        file, container.format.name, width, height, rate, duration, display.rotation, codec, audio[0] if audio else None
    )


def _probe_sound(container: InputContainer, file: Path) -> MediaInfo:
    track = audio_stream(container, file)
    duration = seconds(track.duration, track.time_base) or (container.duration or 0) / 1e6
    return MediaInfo(file, container.format.name, 0, 0, 0.0, duration, 0, None, codec_name(track))


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if container.format.name in _UNMEASURED_FORMATS:
        return None
    duration = seconds(stream.duration, stream.time_base)
    if duration is None and container.duration and not container.streams.audio:
        duration = container.duration / 1e6
    return duration if duration and duration > 0 else None


def _measured_duration(file: Path) -> float:
    """Return the end of the last picture after the start of the first, from the packets, without decoding."""
    with open_media(file) as container:
        stream = video_stream(container, file)
        period = 1 / nominal_rate(stream)
        begin, end = math.inf, 0.0
        for packet in packets(container, stream, Damage(file, "video")):
            time = seconds(packet.pts if packet.pts is not None else packet.dts, stream.time_base)
            if time is not None and not packet.is_discard:
                begin = min(begin, time)
                end = max(end, time + (seconds(packet.duration, stream.time_base) or period))
    return max(0.0, end - begin)


class _Source:
    """The decoded frames of one opened file, with times in seconds after its first picture."""

    def __init__(self, container: InputContainer, path: Path) -> None:
        self.container = container
        self.stream = video_stream(container, path)
        self.damage = Damage(path, "video")
        self.zero = seconds(self.stream.start_time, self.stream.time_base)
        # AVI has no times of display. What FFmpeg makes up for pictures stored out of order is wrong; their times of
        # decoding are evenly spaced, and the first picture belongs to the file's beginning.
        self._by_decoding = container.format.name == "avi" and bool(self.stream.codec_context.has_b_frames)
        if self._by_decoding:
            self.zero = None
        threaded = self.stream.width * self.stream.height >= _THREADED_PIXELS
        self.stream.thread_type = "AUTO" if threaded else "NONE"

    def frames(self) -> Iterator[Timed[VideoFrame]]:
        """Yield frames in the order of display; what cannot be decoded is counted and left out."""
        base = self.stream.time_base
        for packet in packets(self.container, self.stream, self.damage):
            try:
                frames = packet.decode()
            except FFMPEG_ERRORS:
                self.damage.packets += 1
                begin = seconds(packet.pts, base)
                if begin is not None:
                    end = begin + (seconds(packet.duration, base) or 0.0)
                    self.damage.end = max(end, self.damage.end or end)
                continue
            for frame in frames:
                self.damage.concealed += bool(frame.is_corrupt)
                time = seconds(self._clock(frame, packet), frame.time_base)
                if self.zero is None:
                    self.zero = time
                duration = seconds(frame.duration, frame.time_base) or 0.0
                yield Timed(None if time is None else time - (self.zero or 0.0), duration, frame)

    def _clock(self, frame: VideoFrame, packet: Packet[VideoStream]) -> int | None:
        if not self._by_decoding:
            return frame.pts
        # The last pictures come out when no packet goes in any more, and then carry no time of their own.
        return frame.dts if packet.size else None

    def frames_from(self, time: float) -> Iterator[Timed[VideoFrame]] | None:
        """Yield frames from a keyframe at or before ``time``; ``None`` where the file cannot be sought in."""
        if self.zero is None or self.stream.time_base is None:
            return None
        target = int((self.zero + time - _SEEK_MARGIN) / self.stream.time_base)
        try:
            self.container.seek(target, stream=self.stream)
        except FFMPEG_ERRORS:
            return None
        frames = self.frames()
        head = next(frames, None)
        if head is None or head.time is None or not time - MAX_GAP < head.time <= time:
            return None
        return itertools.chain([head], frames)


def _first_frame(container: InputContainer, path: Path) -> VideoFrame:
    for frame in _Source(container, path).frames():
        return frame.item
    raise refusal(path, "no picture of its video can be decoded; copy or export it again")


def read_video(
    path: str | Path, fps: float = 25.0, *, start: float = 0.0, end: float | None = None, grey: bool = False
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a video as displayed, at a constant rate, with flat memory.

    Each stored frame goes to the tick ``k / fps`` nearest to its time (`timing.constant_rate`): a clip of that rate
    comes out frame for frame, a faster one loses frames, a slower one or one with pauses repeats them, and the whole
    file gives ``round(duration * fps)`` frames. Damaged frames are skipped with a warning; the one before is held.

    Args:
        path: any container and codec FFmpeg decodes.
        fps: frames per second wanted, positive.
        start: seconds after the first frame; the first frame yielded is number ``round(start * fps)`` of the file.
        end: seconds after the first frame; the frame ``round(end * fps)`` and those after it are left out.
        grey: yield luma instead of colour, full range (black 0, white 255).

    Yields:
        (H, W, 3) RGB or (H, W) luma, uint8, each array its own writable memory. H, W as displayed: rotation and
        mirroring applied, pixels square. A picture that changes its size is scaled to the first one's.

    Raises:
        MediaError: the file is missing, damaged, holds no video, is larger than ``MAX_SIDE`` a side, or none of its
            pictures can be decoded. A missing file is reported at the call, the rest at the first frame.
    """
    if not (fps > 0 and math.isfinite(fps)):
        raise ValueError(f"fps must be positive, not {fps}")
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"need 0 <= start <= end, not start={start}, end={end}")
    file = check_file(path)
    first = round(start * fps)
    last = None if end is None or math.isinf(end) else round(end * fps)
    return _frames(file, fps, first, last, grey)


def _frames(path: Path, fps: float, first: int, last: int | None, grey: bool) -> Iterator[NDArray[np.uint8]]:
    if last is not None and last <= first:
        return
    for seek in [True, False] if first / fps >= _SEEK_FROM else [False]:
        with open_media(path) as container:
            source = _Source(container, path)
            frames = source.frames_from(first / fps) if seek else source.frames()
            if frames is not None:
                try:
                    yield from _ticks(source, frames, path, fps, first, last, grey)
                finally:
                    source.damage.report()
                return


def _ticks(
    source: _Source,
    frames: Iterator[Timed[VideoFrame]],
    path: Path,
    fps: float,
    first: int,
    last: int | None,
    grey: bool,
) -> Iterator[NDArray[np.uint8]]:
    head = next(frames, None)
    if head is None:
        raise refusal(path, "no picture of its video can be decoded; copy or export it again")
    convert = Converter(Display.of(head.item, source.stream), grey, path)
    # After a jump the clock is already running; at the beginning it starts at zero.
    timeline = Timeline(1 / nominal_rate(source.stream), head.time if first and head.time else 0.0)
    timed = _until_end(source, timeline, itertools.chain([head], frames))
    for frame, ticks in constant_rate(timed, fps, timeline, first, last):
        picture = convert(frame)
        for _ in range(ticks - 1):
            yield picture.copy()
        yield picture


def _until_end(
    source: _Source, timeline: Timeline, frames: Iterator[Timed[VideoFrame]]
) -> Iterator[tuple[float, VideoFrame]]:
    """Yield timed frames, then settle when the last one ends and whether the header promised more."""
    yield from timeline(frames)
    source.damage.timestamps = timeline.replaced
    if source.damage.end is not None:
        timeline.end = min(max(timeline.end, source.damage.end - (source.zero or 0.0)), timeline.end + MAX_GAP)
    promised = _promised_duration(source)
    if promised is not None and timeline.end < promised - _MISSING_END:
        source.damage.cut = True


def _promised_duration(source: _Source) -> float | None:
    tag = source.stream.metadata.get("DURATION", "")
    if source.container.format.name == "matroska,webm" and (match := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", tag)):
        hours, minutes, rest = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(rest) - (source.zero or 0.0)
    return _duration(source.container, source.stream)
