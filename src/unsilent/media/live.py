"""Pictures from a camera or a pipe, as they arrive."""

from __future__ import annotations

import itertools
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import av
import numpy as np
from numpy.typing import NDArray

from unsilent.media.container import FFMPEG_ERRORS, MAX_PIXELS, refusal, video_stream

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

__all__ = ["PIPE", "WEBCAM", "read_live"]

PIPE: Final = "-"
WEBCAM: Final = "webcam"
CAMERAS: Final = {"Linux": ("v4l2", "/dev/video0"), "Darwin": ("avfoundation", "default"), "Windows": ("dshow", "")}
"""FFmpeg's way to the cameras of a system, and its first camera."""
_SOON: Final = {"probesize": "65536", "analyzeduration": "0", "max_pixels": str(MAX_PIXELS)}
"""Decode what is there instead of gathering seconds of it first."""
_GAP: Final = 2.0
"""Seconds without a picture, after which the clock goes on from the next one."""


def read_live(source: str, fps: float = 25.0, *, pipe: BinaryIO | None = None) -> Iterator[NDArray[np.uint8]]:
    """Yield frames of a camera or a pipe as they arrive, at a constant rate.

    A tick of ``1 / fps`` gets the first frame that is not before it: frames of a faster source are left out, those of a
    slower one repeated, and none is waited for.

    Args:
        source: ``-`` for a pipe that carries any container which FFmpeg can read without seeking (MPEG-TS, Matroska,
            WebM, fragmented MP4), ``webcam`` for the first camera, or a camera's name (``/dev/video1``).
        fps: frames a second.
        pipe: read instead of standard input.

    Yields:
        (H, W, 3) RGB uint8.

    Raises:
        MediaError: there is no such camera, it may not be used, or the pipe carries no video.
    """
    container = _open(source, pipe)
    with container:
        stream = video_stream(container, Path(source))
        stream.thread_type = "NONE"  # threads hold frames back
        begin = time.monotonic()
        ticks = 0
        zero: float | None = None
        for frame in _decoded(container, source):
            now = frame.time if frame.time is not None else time.monotonic() - begin
            if zero is None or abs(now - zero - ticks / fps) > _GAP:
                zero = now - ticks / fps
            picture = None
            while ticks / fps <= now - zero + 1e-6:
                picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) if picture is None else picture.copy()
                yield picture
                ticks += 1


def _decoded(container: InputContainer, source: str) -> Iterator[VideoFrame]:
    try:
        # Whoever joins a broadcast comes between two whole pictures.
        yield from itertools.dropwhile(lambda frame: not frame.key_frame, container.decode(video=0))
    except FFMPEG_ERRORS as error:
        raise refusal(Path(source), f"stopped: {error}; connect it again, or send another format") from error


def _open(source: str, pipe: BinaryIO | None) -> InputContainer:
    try:
        if source == PIPE:
            return av.open(pipe or sys.stdin.buffer, "r", options=_SOON)
        if Path(source).is_file():
            raise refusal(
                Path(source), f"is a file, not a camera; leave --live out, or send it through a pipe: < {source}"
            )
        kind, first = CAMERAS.get(platform.system(), ("", ""))
        if not kind or (source == WEBCAM and not first):
            raise refusal(Path(source), "name the camera, as in --live video=NAME, or send video through a pipe (-)")
        return av.open(first if source == WEBCAM else source, "r", format=kind, options=_SOON)
    except FFMPEG_ERRORS as error:
        what = "the pipe carries no video" if source == PIPE else "no such camera, or it is in use"
        raise refusal(Path(source), f"{what} ({error}); give a camera's name, or - and a stream of video") from error
