"""A real face in motion, made from the one photograph that a development dependency carries.

`skimage.data.astronaut` is NASA's portrait of Eileen Collins (public domain).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
LEFT, RIGHT = np.array([139.0, 139.1]), np.array([186.8, 141.4])  # corners of the mouth in the portrait
MOUTH = np.array([162.0, 145.0])  # its middle


@dataclass(frozen=True)
class Clip:
    """Frames of a moving portrait, and where its mouth truly is: ``mouth`` (T, 2) in pixels."""

    frames: list[Frame]
    mouth: NDArray[np.float64]


@dataclass(frozen=True)
class Portrait:
    """The photograph (300, 330, 3), and clips made of it."""

    picture: Frame

    def talking(self, opening: float) -> Frame:
        """Return the portrait with a dark opening painted between its lips, ``opening`` mouth widths high."""
        picture = self.picture.copy()
        if opening > 0:
            width = float(np.hypot(*(RIGHT - LEFT)))
            x, y = (LEFT + RIGHT) / 2
            ellipse = ((float(x), float(y) + 2 + 0.35 * opening * width), (0.7 * width, opening * width), 2.8)
            cv2.ellipse(picture, ellipse, (60, 20, 20), -1, cv2.LINE_AA)
        return picture

    def clip(
        self,
        count: int,
        *,
        size: tuple[int, int] = (330, 300),
        angle: Callable[[int], float] = lambda index: 0.0,
        scale: Callable[[int], float] = lambda index: 1.0,
        shift: Callable[[int], tuple[float, float]] = lambda index: (0.0, 0.0),
        opening: Callable[[int], float] = lambda index: 0.0,
    ) -> Clip:
        """Move the portrait: turned by ``angle`` degrees and enlarged about its middle, then shifted, per frame."""
        frames, mouths = [], []
        for index in range(count):
            affine = cv2.getRotationMatrix2D((165, 130), angle(index), scale(index))
            affine[:, 2] += np.array(shift(index))
            moved = cv2.warpAffine(self.talking(opening(index)), affine, size, borderMode=cv2.BORDER_REPLICATE)
            frames.append(np.asarray(moved, dtype=np.uint8))
            mouths.append(affine @ (*MOUTH, 1.0))
        return Clip(frames, np.stack(mouths))


@pytest.fixture(scope="session")
def portrait() -> Portrait:
    data = pytest.importorskip("skimage.data")
    return Portrait(np.ascontiguousarray(data.astronaut()[:300, 60:390]))


@pytest.fixture(scope="session")
def empty() -> Frame:
    """A picture (300, 330, 3) without a face: a smooth gradient."""
    y, x = np.mgrid[:300, :330]
    return np.stack([x / 2, y / 2, 128 + 0 * x], axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def talking_video(portrait: Portrait, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An mp4 of 30 frames in which the portrait sways and its mouth opens and closes, without sound."""
    clip = portrait.clip(
        30,
        shift=lambda index: (2 * np.sin(index / 5), 0.0),
        opening=lambda index: 0.25 + 0.25 * np.sin(index / 2),
    )
    path = tmp_path_factory.mktemp("talking") / "talking.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 330, 300, "yuv420p"
        for picture in clip.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path
