"""Where a talker is filmed: light, background, the camera's place and its faults. One scene a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker import canvas
from unsilent.corpora.talker.head import Light
from unsilent.corpora.talker.motion import sway

__all__ = ["SIDE", "Camera", "Scene", "make_scene"]

SIDE: Final = 288
"""Width and height of a frame, pixels."""
_MOUTH: Final = (144.0, 190.0)
"""Where the resting mouth lies in a frame, pixels."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Deviation of the noise in 0..255, blur in pixels, gain and gamma of the exposure, and colour of the light."""

    noise: float
    blur: float
    gain: float
    gamma: float
    tint: tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One clip's surroundings.

    Attributes:
        light: on the face.
        camera: what takes the picture.
        background: (SIDE, SIDE, 3) uint8 RGB.
        poses: (T, 2, 3) affine from canvas pixels to frame pixels.
    """

    light: Light
    camera: Camera
    background: NDArray[np.uint8]
    poses: NDArray[np.float64]


def make_scene(rng: np.random.Generator, frames: int, fps: float, motion: float) -> Scene:
    """A random scene of ``frames`` frames; ``motion`` is how much the talker moves, 1 as most do."""
    away = np.array([rng.normal(0, 0.42), -rng.uniform(0.05, 0.65), 1.0])
    right, down, front = (away / np.linalg.norm(away)).tolist()
    ambient = float(rng.uniform(0.32, 0.52))
    light = Light((right, down, front), float(rng.uniform(0.92, 1.08)) - ambient, ambient, float(rng.normal(0, 0.06)))
    tint = np.clip(1 + rng.normal(0, 0.025, 3), 0.93, 1.07).tolist()
    camera = Camera(
        noise=float(rng.uniform(0.5, 2.8)),
        blur=float(max(0.0, rng.uniform(-0.5, 0.65))),
        gain=float(rng.uniform(0.88, 1.08)),
        gamma=float(rng.uniform(0.9, 1.12)),
        tint=(tint[0], tint[1], tint[2]),
    )
    return Scene(light, camera, _background(rng), _poses(rng, frames, fps, motion))


def _background(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A wall: a colour, a gradient, and mostly something blurred in front of it."""
    base = np.clip(rng.uniform(0.18, 0.85) + rng.normal(0, 0.06, 3), 0.05, 0.95)
    slope = rng.normal(0, 0.12, 2)
    down, right = np.mgrid[-0.5 : 0.5 : SIDE * 1j, -0.5 : 0.5 : SIDE * 1j]
    picture = base + (slope[0] * right + slope[1] * down)[..., None]
    for _ in range(rng.integers(0, 6)):
        x, y = rng.integers(-40, SIDE, 2).tolist()
        wide, high = rng.integers(20, 150, 2).tolist()
        cv2.rectangle(
            picture,
            (x, y),
            (x + wide, y + high),
            np.clip(base + rng.normal(0, 0.1) + rng.normal(0, 0.05, 3), 0, 1).tolist(),
            -1,
        )
    picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(1.5, 9.0)))
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255), np.uint8)


def _poses(rng: np.random.Generator, frames: int, fps: float, motion: float) -> NDArray[np.float64]:
    scale = rng.uniform(0.88, 1.04) * (1 + 0.010 * motion * sway(rng, frames, fps, (1.5, 6)))
    angle = np.deg2rad(rng.normal(0, 2.2) + 1.4 * motion * sway(rng, frames, fps, (1.0, 5)))
    x = _MOUTH[0] + rng.uniform(-16, 16) + 2.6 * motion * sway(rng, frames, fps, (1.0, 5))
    y = _MOUTH[1] + rng.uniform(-10, 12) + 1.8 * motion * sway(rng, frames, fps, (0.8, 4))
    factor = scale / canvas.SCALE * np.exp(1j * angle)
    # The head turns about the neck, well below the mouth.
    pivot = complex(*canvas.to_pixels(0.0, 70.0))
    mouth = complex(*canvas.to_pixels(0.0, 0.0))
    place = x + 1j * y - (mouth - pivot) * np.abs(factor)
    shift = place - factor * pivot
    rows = [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    return np.asarray(np.moveaxis(np.array(rows), -1, 0))
