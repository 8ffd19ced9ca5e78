"""The plane a head is drawn on, and soft shapes on it.

Positions are in the face template's units, x to the right and y down from the middle of the resting mouth, which is 48
units wide; a unit is about a millimetre. Shapes are float32 maps (HEIGHT, WIDTH) in 0..1, soft at their edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "HEIGHT",
    "LEFT",
    "SCALE",
    "TOP",
    "WIDTH",
    "Plane",
    "X",
    "Y",
    "blob",
    "curve",
    "mix",
    "noise",
    "pair",
    "polygon",
    "soft",
    "strokes",
    "to_pixels",
]

Plane = NDArray[np.floating[Any]]
"""A map (HEIGHT, WIDTH), or a row or column of one."""

SCALE: Final = 1.2
"""Canvas pixels a unit."""
LEFT: Final = -140.0
TOP: Final = -185.0
WIDTH: Final = 336
HEIGHT: Final = 396

X: Final[Plane] = (LEFT + np.arange(WIDTH, dtype=np.float32) / SCALE)[None, :].astype(np.float32)
Y: Final[Plane] = (TOP + np.arange(HEIGHT, dtype=np.float32) / SCALE)[:, None].astype(np.float32)

_SHIFT: Final = 4


def to_pixels(x: float, y: float) -> tuple[float, float]:
    """Canvas pixels of a position."""
    return (x - LEFT) * SCALE, (y - TOP) * SCALE


def blob(x: float, y: float, wide: float, high: float) -> Plane:
    """A Gaussian hill of height 1 around a position; ``wide`` and ``high`` are standard deviations."""
    hill = np.exp(-0.5 * ((Y - y) / high) ** 2) * np.exp(-0.5 * ((X - x) / wide) ** 2)
    return np.asarray(hill, np.float32)


def pair(x: float, y: float, wide: float, high: float) -> Plane:
    """Two hills, left and right of the middle."""
    across = np.exp(-0.5 * ((X - x) / wide) ** 2) + np.exp(-0.5 * ((X + x) / wide) ** 2)
    return np.asarray(np.exp(-0.5 * ((Y - y) / high) ** 2) * across, np.float32)


def soft(distance: NDArray[np.floating[Any]], edge: float = 1.0) -> Plane:
    """1 where ``distance`` is positive, 0 where it is negative, a ramp ``edge`` units wide between."""
    return np.asarray(np.clip(distance / edge + 0.5, 0.0, 1.0), np.float32)


def curve(points: Sequence[tuple[float, float]], at: NDArray[np.floating[Any]], smooth: float = 5.0) -> Plane:
    """A smooth curve through points (place, value), read at ``at``; ``smooth`` is its roundness in units."""
    places, values = zip(*points, strict=True)
    grid = np.arange(places[0], places[-1] + 0.5, 0.5)
    line = np.interp(grid, places, values).astype(np.float32)
    rounded = cv2.GaussianBlur(line[None], (0, 0), smooth / 0.5, borderType=cv2.BORDER_REPLICATE)[0]
    return np.asarray(np.interp(at, grid, rounded), np.float32)


def polygon(points: Sequence[tuple[float, float]], edge: float = 0.6) -> Plane:
    """A filled polygon with soft edges."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    corners = np.array([[to_pixels(x, y) for x, y in points]])
    cv2.fillPoly(mask, [np.round(corners * 2**_SHIFT).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    return cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), edge * SCALE).astype(np.float32)


def strokes(lines: Sequence[Sequence[tuple[float, float]]], thick: float, edge: float) -> Plane:
    """Open lines of one thickness with soft edges; the maximum is about 1."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for line in lines:
        points = np.array([[to_pixels(x, y) for x, y in line]])
        width = max(1, round(thick * SCALE))
        cv2.polylines(mask, [np.round(points * 2**_SHIFT).astype(np.int32)], False, 255, width, cv2.LINE_AA, _SHIFT)
    return cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), edge * SCALE).astype(np.float32)


def noise(rng: np.random.Generator, wide: float, high: float) -> Plane:
    """Smooth random hills of mean 0 and standard deviation 1; ``wide`` and ``high`` are their size."""
    shrink = max(1, int(min(wide, high) * SCALE / 2))
    rough: NDArray[Any] = rng.standard_normal((-(-HEIGHT // shrink), -(-WIDTH // shrink)), dtype=np.float32)
    rough = cv2.GaussianBlur(rough, (0, 0), sigmaX=wide * SCALE / shrink, sigmaY=high * SCALE / shrink)
    rough = cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray((rough - rough.mean()) / max(float(rough.std()), 1e-6), np.float32)


def mix(
    picture: NDArray[np.floating[Any]], colour: NDArray[np.floating[Any]], share: NDArray[np.floating[Any]]
) -> None:
    """Blend a colour (3,) or a picture (H, W, 3) into ``picture`` in place, by ``share`` (H, W)."""
    picture += (colour - picture) * share[..., None]
