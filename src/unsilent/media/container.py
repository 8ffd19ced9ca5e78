"""Opening a media file, choosing its streams, and turning every failure into one line for the user."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import av
import av.error
from av.stream import Disposition

from unsilent.errors import MediaError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = [
    "FFMPEG_ERRORS",
    "HIGHEST_RATE",
    "LOWEST_RATE",
    "MAX_GAP",
    "MAX_PIXELS",
    "MAX_SIDE",
    "Damage",
    "MediaInfo",
    "audio_stream",
    "check_file",
    "codec_name",
    "nominal_rate",
    "open_media",
    "packets",
    "refusal",
    "seconds",
    "video_stream",
]

StreamT = TypeVar("StreamT", bound="Stream")

logger = logging.getLogger("unsilent.media")

MAX_SIDE = 8192
"""Largest width or height of a picture, in pixels. A header that claims more is refused before anything is decoded."""

MAX_PIXELS = 7680 * 4320
"""Largest picture, in pixels: 8K. Decoder, converter and encoder hold several at once."""

MAX_GAP = 600.0
"""Longest pause, in seconds, that a jump in timestamps is believed to be. A longer one is a damaged timestamp."""

FFMPEG_ERRORS = (av.error.FFmpegError, ValueError, RuntimeError, MemoryError, OverflowError)
"""What PyAV raises when a file's content, rather than its caller, is at fault."""

# Sample rates in Hz. One from outside is a damaged header, which would blow a second of sound up to hours.
LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000
_STILL_FORMATS = frozenset({"image2", "ico", "tty", "fits", "sbg"})
_UNSHOWN = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a media file holds, read from its header and its first picture."""

    path: Path
    container: str
    """FFmpeg's name of the container, e.g. ``"mov,mp4,m4a,3gp,3g2,mj2"``."""
    width: int
    """Width in pixels as displayed, after rotation and with square pixels; 0 without video."""
    height: int
    """Height in pixels as displayed; 0 without video."""
    fps: float
    """Average frame rate of the stored pictures in Hz; 0 without video."""
    duration: float
    """Seconds of the video stream, or of the sound where there is no video."""
    rotation: int
    """Clockwise degrees (0, 90, 180, 270) by which the stored picture was turned to have that width and height."""
    video_codec: str | None
    """FFmpeg's name of the codec, e.g. ``"h264"``; ``None`` without video."""
    audio_codec: str | None
    """FFmpeg's name of the codec, e.g. ``"opus"``; ``None`` without sound."""

    @property
    def has_video(self) -> bool:
        """Whether the file has moving pictures (cover art does not count)."""
        return self.video_codec is not None

    @property
    def has_audio(self) -> bool:
        """Whether the file has a sound track."""
        return self.audio_codec is not None


@dataclass(slots=True)
class Damage:
    """A count of what had to be left out of one file, reported once."""

    path: Path
    kind: str
    packets: int = 0
    concealed: int = 0
    timestamps: int = 0
    end: float | None = None
    """End, in seconds, of the last packet that could not be decoded."""
    cut: bool = False

    @property
    def text(self) -> str:
        """What was left out, in words; empty if nothing was."""
        parts = [
            f"{self.packets} damaged {self.kind} packets skipped" if self.packets else "",
            f"{self.concealed} damaged {self.kind} frames concealed by the decoder" if self.concealed else "",
            f"{self.timestamps} impossible timestamps replaced" if self.timestamps else "",
            "the file is cut short" if self.cut else "",
        ]
        return ", ".join(part for part in parts if part)

    def report(self) -> None:
        """Log one warning if anything was damaged."""
        if self.text:
            logger.warning("%s: %s; going on with the rest", self.path, self.text)


def refusal(path: str | Path, text: str) -> MediaError:
    """Return the error for a file: one line, even if the file's name has line breaks or undecodable bytes in it."""
    name = str(path)
    return MediaError(f"{name if name.isprintable() else ascii(name)}: {text}")


def check_file(path: str | Path) -> Path:
    """Return ``path`` if it is a readable, non-empty regular file.

    Raises:
        MediaError: it is missing, a folder, a device, empty, or may not be read.
    """
    file = Path(path)
    try:
        status = file.stat()
    except FileNotFoundError:
        raise refusal(file, "does not exist; check the path") from None
    except PermissionError:
        raise refusal(file, "may not be read; change the permissions of its folder") from None
    except (OSError, ValueError) as error:
        raise refusal(file, f"is not a usable path ({_reason(error)}); check the path") from None
    if stat.S_ISDIR(status.st_mode):
        raise refusal(file, "is a folder; name a video or audio file in it")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(file, "is not a regular file; copy the media into a file first")
    if status.st_size == 0:
        raise refusal(file, "is empty; copy or export it again")
    if not os.access(file, os.R_OK):
        raise refusal(file, "may not be read; change its permissions")
    return file


@contextmanager
def open_media(path: str | Path) -> Iterator[InputContainer]:
    """Open a file for demuxing.

    Only the file itself is ever read: a playlist that names other files or addresses cannot make FFmpeg fetch them.

    Raises:
        MediaError: the file cannot be opened, or is not a media file.
    """
    file = check_file(path)
    options = {"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        container = av.open(str(file.absolute()), options=options, metadata_errors="replace")
    except FFMPEG_ERRORS as error:
        raise refusal(
            file,
            f"is not a readable video or audio file ({_reason(error)}); "
            "it may be incomplete or damaged: copy or export it again",
        ) from error
    with container:
        yield container


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream of moving pictures: the default one, else the largest. Cover art and thumbnails do not count.

    Raises:
        MediaError: there is none, its codec is unknown, or its size is impossible or beyond ``MAX_SIDE``.
    """
    name = container.format.name
    if name.endswith("_pipe") or name in _STILL_FORMATS:
        raise refusal(path, "is a still picture or a text, not a video; give a video file")
    shown = [stream for stream in container.streams.video if not stream.disposition & _UNSHOWN]
    if not shown:
        raise refusal(path, "holds no video; give a file with a picture track")
    known = [stream for stream in shown if stream.codec_context is not None]
    if not known:
        raise refusal(path, "its video codec is unknown to FFmpeg; convert it to H.264 in mp4")
    stream = max(known, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))
    width, height = stream.codec_context.width, stream.codec_context.height
    if max(width, height) > MAX_SIDE:
        raise refusal(path, f"its picture is {width} x {height} pixels, over {MAX_SIDE} a side; scale the video down")
    if width * height > MAX_PIXELS:
        raise refusal(path, f"its picture is {width} x {height} pixels, more than 8K has; scale the video down")
    if min(width, height) < 1:
        raise refusal(path, "its picture has no size; the file is damaged: copy or export it again")
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def audio_stream(container: InputContainer, path: Path) -> AudioStream:
    """Return the sound track: the default one, else the first.

    Raises:
        MediaError: there is none, its codec is unknown, or its sample rate is impossible.
    """
    tracks = list(container.streams.audio)
    if not tracks:
        raise refusal(path, "holds no sound; give a file with an audio track")
    known = [stream for stream in tracks if stream.codec_context is not None]
    if not known:
        raise refusal(path, "its audio codec is unknown to FFmpeg; convert it to wav or AAC")
    track = max(known, key=lambda s: (bool(s.disposition & Disposition.default), -s.index))
    if not LOWEST_RATE <= track.codec_context.sample_rate <= HIGHEST_RATE:
        raise refusal(path, f"its sound has {track.codec_context.sample_rate} samples a second; the file is damaged")
    return track


def codec_name(stream: VideoStream | AudioStream) -> str:
    """Return the codec's own name, whichever of its decoders is in use."""
    return str(stream.codec_context.codec.canonical_name)


def packets(container: InputContainer, stream: StreamT, damage: Damage) -> Iterator[Packet[StreamT]]:
    """Yield a stream's packets up to its end, or up to where the container can no longer be parsed."""
    demuxed = cast("Iterator[Packet[StreamT]]", container.demux(stream))
    while True:
        try:
            packet = next(demuxed)
        except (StopIteration, IndexError):
            # PyAV flushes streams that appeared after opening (FLV, MPEG) by an index it does not have; ours, which
            # was there before them, is flushed by then.
            return
        except FFMPEG_ERRORS:
            damage.cut = True
            return
        if packet.size == 0 and packet.dts is not None:
            # A dropped frame (AVI): the picture before it stays. To a decoder an empty packet would mean the end.
            continue
        if packet.size and packet.is_corrupt:
            damage.cut = True
        yield packet


def seconds(value: int | None, time_base: Fraction | None) -> float | None:
    """Return a timestamp or duration in seconds, ``None`` where the file gives none."""
    if value is None or time_base is None:
        return None
    return float(value * time_base)


def nominal_rate(stream: VideoStream, fallback: float = 25.0) -> float:
    """Return the stream's frame rate in Hz, ``fallback`` where the header gives none between 1 and 240."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 1 <= rate <= 240:
            return float(rate)
    return fallback
