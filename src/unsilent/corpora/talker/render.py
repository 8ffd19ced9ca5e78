"""From articulation to pictures: the frames of one clip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker import canvas
from unsilent.corpora.talker.articulation import Mouth
from unsilent.corpora.talker.canvas import SCALE, Plane
from unsilent.corpora.talker.head import draw_head
from unsilent.corpora.talker.lips import LipPainter, Lips, shape_lips
from unsilent.corpora.talker.look import Look
from unsilent.corpora.talker.scene import SIDE, Camera, Scene

__all__ = ["Performance", "render"]

_LOWER: Final = (
    slice(round((-24 - canvas.TOP) * SCALE), round((92 - canvas.TOP) * SCALE)),
    slice(round((-76 - canvas.LEFT) * SCALE), round((76 - canvas.LEFT) * SCALE)),
)
"""The part of the canvas that moves with the jaw."""
_UPPER: Final = (
    slice(round((-104 - canvas.TOP) * SCALE), round((-70 - canvas.TOP) * SCALE)),
    slice(round((-60 - canvas.LEFT) * SCALE), round((60 - canvas.LEFT) * SCALE)),
)
"""The part of the canvas that moves with the brows."""
_DROP: Final = 7.5
"""How far the chin goes down with the jaw, units."""


class Performance:
    """What a talker does in each frame: mouth, index of the picture of the eyes (T,), and raised brows (T,), units."""

    def __init__(self, mouth: Mouth, eyes: NDArray[np.int64], brows: NDArray[np.float64]) -> None:
        self.mouth = mouth
        self.eyes = eyes
        self.brows = brows

    def lips(self, look: Look, frame: int) -> Lips:
        """The lips of one frame."""
        return shape_lips(look, **self.mouth.at(frame))


def render(look: Look, scene: Scene, performance: Performance, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames (SIDE, SIDE, 3) RGB of a clip, one for each pose of the scene."""
    head = draw_head(look, scene.light)
    painter = LipPainter(look, head)
    jaw, brow = _Warp(_LOWER, _jaw_field()), _Warp(_UPPER, _brow_field())
    lens = _Lens(scene.camera, seed)
    for frame, pose in enumerate(scene.poses):
        picture = head.picture.copy()
        picture[head.eye_rows, :, :3] = head.eyes[performance.eyes[frame]]
        jaw.apply(picture, _DROP * float(performance.mouth.jaw[frame]))
        brow.apply(picture, -float(performance.brows[frame]))
        painter.paint(picture, performance.lips(look, frame))
        yield lens.take(_placed(picture, scene.background, pose))


def _placed(picture: NDArray[np.uint8], background: NDArray[np.uint8], pose: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The head, RGB and how solid it is, in front of the background."""
    front = cv2.warpAffine(picture, pose, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.extractChannel(front, 3).astype(np.float32) / 255
    return np.asarray(cv2.blendLinear(cv2.cvtColor(front, cv2.COLOR_RGBA2RGB), background, cover, 1 - cover))


def _jaw_field() -> Plane:
    """How much of the jaw's movement each pixel of the lower face takes part in."""
    rows, columns = _LOWER
    y, x = canvas.Y[rows], canvas.X[:, columns]
    down = np.interp(y, [-20, 2, 30, 52, 88], [0, 0.35, 1, 1, 0]).astype(np.float32)
    return down * np.clip((72 - np.abs(x)) / 34, 0, 1) ** 0.7


def _brow_field() -> Plane:
    rows, columns = _UPPER
    y, x = canvas.Y[rows], canvas.X[:, columns]
    return (np.interp(y, [-103, -88, -80, -72], [0, 1, 1, 0]) * np.clip((58 - np.abs(x)) / 12, 0, 1)).astype(np.float32)


class _Warp:
    """Moves part of a canvas up and down by a field."""

    def __init__(self, window: tuple[slice, slice], field: Plane) -> None:
        self._window = window
        self._field = field * np.float32(SCALE)
        high, wide = field.shape
        self._rows = np.repeat(np.arange(high, dtype=np.float32)[:, None], wide, axis=1)
        self._columns = np.repeat(np.arange(wide, dtype=np.float32)[None], high, axis=0)

    def apply(self, picture: NDArray[np.uint8], down: float) -> None:
        """Move by ``down`` units times the field, in place."""
        if abs(down) < 0.02:
            return
        source = self._rows - np.float32(down) * self._field
        moved = cv2.remap(
            picture[self._window], self._columns, source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        picture[self._window] = moved


class _Lens:
    """The camera: blur, exposure, and noise that is another in each frame."""

    def __init__(self, camera: Camera, seed: int) -> None:
        self._blur = camera.blur
        levels = np.clip(np.linspace(0, 1, 256) ** camera.gamma * camera.gain, 0, 1)
        table = np.clip(255 * levels[:, None] * np.array(camera.tint) + 0.5, 0, 255)
        self._table = table.astype(np.uint8).reshape(1, 256, 3)
        self._rng = np.random.default_rng(seed)
        grain = np.asarray(self._rng.standard_normal((SIDE + 64, SIDE + 64, 3), dtype=np.float32))
        # Sensors see colour through a mosaic: their noise is a little smooth.
        smooth = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.6), np.float32)
        self._grain = np.clip(smooth * (camera.noise / float(smooth.std())) + 128, 0, 255).astype(np.uint8)

    def take(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """One picture of what is in front."""
        if self._blur > 0.2:
            frame = np.asarray(cv2.GaussianBlur(frame, (5, 5), self._blur))
        x, y = self._rng.integers(0, 64, 2).tolist()
        exposed = cv2.LUT(frame, self._table)
        grain = self._grain[y : y + SIDE, x : x + SIDE]
        return np.asarray(cv2.addWeighted(exposed, 1.0, grain, 1.0, -128.0))
