"""Picture and generated speech into one file."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.codec.codec
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from unsilent.errors import OutputError
from unsilent.files import atomic_path
from unsilent.media.audio import resample
from unsilent.media.container import (
    FFMPEG_ERRORS,
    Damage,
    codec_name,
    open_media,
    packets,
    refusal,
    video_stream,
)
from unsilent.media.encoding import SYNTHETIC_TAG, AudioEncoder, SoundFormat, checked_samples
from unsilent.media.layout import PacketTimes, packet_times
from unsilent.media.video import probe, read_video

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["VIDEO_SUFFIXES", "PictureFormat", "drop_sound", "mux_speech"]

logger = logging.getLogger("unsilent.media")


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What one kind of video file can hold."""

    container: str
    """FFmpeg's name of the muxer."""
    copies: frozenset[str]
    """Codecs whose packets go in as they are, and that common players then show."""
    encoders: tuple[str, ...]
    """Encoders to use for all other codecs; the first that this FFmpeg has."""
    sound: SoundFormat
    reorders: bool = True
    """Whether pictures may be stored in another order than that of display."""
    turns: bool = True
    """Whether it can say that the picture is to be turned for display."""


_AAC = SoundFormat("", "aac", "fltp", 48000, 128_000)
_OPUS = SoundFormat("", "libopus", "flt", 48000, 64_000)
# No MP3: AVI cannot say how many samples of encoder delay to leave out, which would put the sound 46 ms late.
_PCM = SoundFormat("", "pcm_s16le", "s16", 48000)
_H264 = ("libx264", "libopenh264", "mpeg4")
_MP4 = PictureFormat("mp4", frozenset({"h264", "hevc", "av1", "mpeg4"}), _H264, _AAC)
_MOV = PictureFormat("mov", frozenset({"h264", "hevc", "mpeg4", "prores", "mjpeg"}), _H264, _AAC)
_MKV_CODECS = frozenset(
    {"h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "ffv1", "prores", "theora"}
)

VIDEO_SUFFIXES: dict[str, PictureFormat] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".mkv": PictureFormat("matroska", _MKV_CODECS, _H264, _OPUS),
    ".webm": PictureFormat("webm", frozenset({"vp8", "vp9", "av1"}), ("libvpx-vp9", "libvpx"), _OPUS),
    ".avi": PictureFormat("avi", frozenset({"mpeg4", "mjpeg"}), ("mpeg4",), _PCM, reorders=False, turns=False),
}
"""What ``mux_speech`` can write, by lower-case suffix."""

# Visually lossless at the sizes of talking heads, and fast enough not to outlast the synthesis.
_ENCODER_OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "18", "preset": "veryfast"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "5", "row-mt": "1"},
    "libvpx": {"crf": "10", "b": "4M", "deadline": "realtime", "cpu-used": "5"},
    "mpeg4": {"flags": "+qscale", "global_quality": "354"},
}
_SLOWEST, _FASTEST = 10.0, 60.0


@dataclass(slots=True)
class _Sound:
    """Speech on its way into a container, in step with the picture."""

    encoder: AudioEncoder
    samples: NDArray[np.float32]
    rate: int
    position: int = 0

    def until(self, time: float) -> Iterator[Packet[AudioStream]]:
        """Yield packets with the speech up to ``time`` seconds."""
        stop = min(self.samples.size, max(self.position, int(time * self.rate)))
        yield from self.encoder.encode(self.samples[self.position : stop])
        self.position = stop

    def rest(self) -> Iterator[Packet[AudioStream]]:
        """Yield all packets still to come."""
        yield from self.encoder.encode(self.samples[self.position :])
        yield from self.encoder.finish()


def mux_speech(video: str | Path, samples: NDArray[np.float32], sample_rate: int, output: str | Path) -> None:
    """Write the picture of ``video`` with ``samples`` as its only sound.

    The picture's packets are copied where the output's container takes their codec (frame times, rotation and quality
    untouched); otherwise the picture as displayed is encoded again: H.264 for mp4, m4v, mov and mkv, VP9 for webm,
    MPEG-4 for avi. Sample 0 is heard with the first picture; sound that outlasts the picture is cut. The file carries
    ``SYNTHETIC_TAG`` as comment and keeps the title; chapters, subtitles and all other metadata are left behind.

    Args:
        video: any file ``read_video`` reads.
        samples: (n,) float in [-1, 1]; beyond that they are clipped.
        sample_rate: their rate in Hz.
        output: .mp4, .m4v, .mov, .mkv, .webm or .avi. Appears whole or not at all.

    Raises:
        MediaError: ``video`` cannot be read or holds no picture.
        OutputError: the suffix is none of these, ``output`` is ``video`` itself, the samples are empty or not finite,
            or the file cannot be written.
    """
    source, target = Path(video), Path(output)
    kind = VIDEO_SUFFIXES.get(target.suffix.lower())
    if kind is None:
        raise OutputError(f"{target}: no video format has this suffix; use one of {' '.join(VIDEO_SUFFIXES)}")
    checked = checked_samples(samples, target)
    info = probe(source)
    if info.video_codec is None:
        raise refusal(source, "holds no video; give a file with a picture track")
    if target.exists() and target.samefile(source):
        raise OutputError(f"{target}: is the input itself; name another output file")
    rate = AudioEncoder.rate_for(kind.sound, sample_rate)
    sound = resample(checked, sample_rate, rate)
    with atomic_path(target) as temporary:
        if _may_copy(info.video_codec, info.rotation, kind):
            times = packet_times(source, kind.container, kind.reorders)
            if times is not None:
                try:
                    _copy(source, sound[: round(times.duration * rate)], rate, temporary, kind, times)
                    return
                except FFMPEG_ERRORS as error:
                    logger.info("%s: its pictures cannot be copied into %s (%s)", source, target.suffix, error)
        try:
            _encode(source, info.fps, sound, rate, temporary, kind)
        except FFMPEG_ERRORS as error:
            raise OutputError(f"{target}: cannot be encoded ({error}); use the suffix .mp4") from error


def _may_copy(codec: str, rotation: int, kind: PictureFormat) -> bool:
    return codec in kind.copies and (kind.turns or rotation == 0)


@contextmanager
def _sink(source: Path, temporary: Path, kind: PictureFormat) -> Iterator[OutputContainer]:
    """Open the output, tagged; the title is the source's."""
    with open_media(source) as container:
        title = container.metadata.get("title")
    with av.open(str(temporary), "w", format=kind.container) as sink:
        sink.metadata["comment"] = SYNTHETIC_TAG
        if title:
            sink.metadata["title"] = title
        yield sink


def _copy(
    source: Path, sound: NDArray[np.float32], rate: int, temporary: Path, kind: PictureFormat, times: PacketTimes
) -> None:
    with open_media(source) as container, _sink(source, temporary, kind) as sink:
        stream = video_stream(container, source)
        # The decoder's context is the template: copying must not need an encoder for the codec.
        picture = sink.add_stream_from_template(stream, opaque=True)
        if codec_name(stream) == "hevc" and kind.container in {"mp4", "mov"}:
            # Apple's players show no HEVC under FFmpeg's default tag, hev1.
            picture.codec_context.codec_tag = "hvc1"
        speech = _Sound(AudioEncoder(sink, kind.sound, rate), sound, rate)
        for packet in _moved(packets(container, stream, Damage(source, "video")), times):
            for spoken in speech.until(float((packet.dts or 0) * packet.time_base)):
                sink.mux(spoken)
            packet.stream = picture
            sink.mux(packet)
        for spoken in speech.rest():
            sink.mux(spoken)


def _moved(found: Iterable[Packet[VideoStream]], times: PacketTimes) -> Iterator[Packet[VideoStream]]:
    """Packets with all their times, the first picture at 0."""
    for packet, early in itertools.zip_longest((packet for packet in found if packet.size), times.first_dts):
        dts = early if packet.dts is None else packet.dts
        if packet.pts is None or dts is None:
            raise ValueError("the file changed while it was read")
        packet.pts -= times.start
        packet.dts = dts - times.start
        yield packet


def drop_sound(video: str | Path, output: str | Path) -> None:
    """Copy the picture of ``video``, packet by packet, without its sound: a talking clip becomes a silent one.

    Args:
        video: any file ``read_video`` reads.
        output: .mp4, .m4v, .mov, .mkv, .webm or .avi. Appears whole or not at all.

    Raises:
        MediaError: ``video`` cannot be read, holds no picture, or one whose codec does not go into the output.
        OutputError: the suffix is none of these, or the file cannot be written.
    """
    source, target = Path(video), Path(output)
    kind = VIDEO_SUFFIXES.get(target.suffix.lower())
    if kind is None:
        raise OutputError(f"{target}: no video format has this suffix; use one of {' '.join(VIDEO_SUFFIXES)}")
    times = packet_times(source, kind.container, kind.reorders) if probe(source).has_video else None
    try:
        with atomic_path(target) as temporary, open_media(source) as container:
            stream = video_stream(container, source)
            if times is None:
                raise ValueError("its packets are not in order")
            with av.open(str(temporary), "w", format=kind.container) as sink:
                picture = sink.add_stream_from_template(stream, opaque=True)
                for packet in _moved(packets(container, stream, Damage(source, "video")), times):
                    packet.stream = picture
                    sink.mux(packet)
    except FFMPEG_ERRORS as error:
        raise refusal(source, f"its picture cannot be copied into {target.suffix} ({error})") from error


def _encode(
    source: Path, rate_of_source: float, sound: NDArray[np.float32], rate: int, temporary: Path, kind: PictureFormat
) -> None:
    fps = rate_of_source if _SLOWEST <= rate_of_source <= _FASTEST else 25.0
    frames = read_video(source, fps)
    first = next(frames)
    with _sink(source, temporary, kind) as sink:
        stream = _picture_encoder(sink, kind, fps, first)
        speech = _Sound(AudioEncoder(sink, kind.sound, rate), sound, rate)
        count = 0
        for picture in itertools.chain([first], frames):
            frame = VideoFrame.from_ndarray(_even(picture), format="rgb24").reformat(format="yuv420p", threads=1)
            frame.pts = count
            frame.time_base = 1 / _fraction(fps)
            count += 1
            for packet in itertools.chain(stream.encode(frame), speech.until(count / fps)):
                sink.mux(packet)
        speech.samples = speech.samples[: max(speech.position, round(count / fps * rate))]
        for packet in itertools.chain(stream.encode(None), speech.rest()):
            sink.mux(packet)


def _picture_encoder(sink: OutputContainer, kind: PictureFormat, fps: float, picture: NDArray[np.uint8]) -> VideoStream:
    name = next((name for name in kind.encoders if _has_encoder(name)), None)
    if name is None:
        raise OutputError(f"{sink.name}: this FFmpeg has none of {', '.join(kind.encoders)}; install PyAV from PyPI")
    stream = cast("VideoStream", sink.add_stream(name, rate=_fraction(fps), options=_ENCODER_OPTIONS.get(name, {})))
    height, width = _even(picture).shape[:2]
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


def _has_encoder(name: str) -> bool:
    try:
        av.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _fraction(fps: float) -> Fraction:
    """Return a frame rate as the fraction it stands for, e.g. 30000/1001."""
    return Fraction(fps).limit_denominator(1001)


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture with even sides, as subsampled colour needs, by repeating the last column or row."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
