"""Writing one clip: pictures and sound into an mp4 whose sound is lossless."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from unsilent.errors import OutputError
from unsilent.files import atomic_path
from unsilent.media import SYNTHETIC_TAG
from unsilent.media.container import FFMPEG_ERRORS
from unsilent.media.encoding import AudioEncoder, SoundFormat

__all__ = ["FPS", "write_clip"]

FPS: Final = 25
# One thread: the same bytes on any number of cores, and the workers fill the cores.
_ENCODER: Final = {"crf": "20", "preset": "ultrafast", "threads": "1"}
_FLAC: Final = SoundFormat("mp4", "flac", "s16", 24_000)


def write_clip(path: Path, frames: Iterable[NDArray[np.uint8]], samples: NDArray[np.float32], sample_rate: int) -> None:
    """Write frames (H, W, 3) RGB, 25 a second, as H.264 and samples (n,) in [-1, 1] as FLAC, tagged as synthetic.

    Raises:
        OutputError: the file cannot be written, or this FFmpeg has no such encoder.
    """
    with atomic_path(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4") as container:
                container.metadata["comment"] = SYNTHETIC_TAG
                container.metadata["title"] = "unsilent talker: synthetic face, synthetic voice"
                stream = container.add_stream("libx264", rate=FPS, options=_ENCODER)
                sound = AudioEncoder(container, _FLAC, sample_rate)
                for number, picture in enumerate(frames):
                    if number == 0:
                        stream.height, stream.width = picture.shape[:2]
                        stream.pix_fmt = "yuv420p"
                    planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
                    frame = VideoFrame.from_ndarray(planes, format="yuv420p")
                    frame.pts = number
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
                for packet in sound.encode(samples):
                    container.mux(packet)
                for packet in sound.finish():
                    container.mux(packet)
        except FFMPEG_ERRORS as error:
            raise OutputError(f"{path}: cannot be encoded ({error}); install PyAV from PyPI") from error
