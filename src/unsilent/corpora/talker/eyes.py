"""Eyes with lids that close, and brows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker import canvas
from unsilent.corpora.talker.canvas import Plane, X, Y, mix, soft
from unsilent.corpora.talker.look import Look

__all__ = ["EYE_HEIGHT", "draw_brows", "draw_eyes"]

EYE_HEIGHT: Final = -64.0
_APART: Final = 28.6
_HALF: Final = 12.6


def draw_eyes(picture: NDArray[np.floating[Any]], rows: slice, look: Look, level: float, shut: float) -> None:
    """Draw both eyes into some rows of the canvas, in place.

    Args:
        picture: (rows, WIDTH, 3), the skin there.
        rows: of the canvas.
        look: whose eyes.
        level: of the light.
        shut: 0 open, 1 closed.
    """
    for side in (-1, 1):
        _draw_eye(picture, Y[rows], look, level, shut, side)


def _draw_eye(picture: NDArray[np.floating[Any]], y: Plane, look: Look, level: float, shut: float, side: int) -> None:
    half = _HALF * look.eye_size
    place = side * _APART * look.eye_gap
    across = (X - place) / half * side
    arch = np.clip(1 - across**2, 0, 1)
    # The outer corner is a little higher, the upper lid highest towards the nose.
    middle = EYE_HEIGHT + 0.6 - 1.4 * across
    high, low = 6.4 * look.eye_size, 3.7 * look.eye_size
    lower = middle + low * arch**0.8 * (1 - 0.25 * shut)
    opened = middle - high * arch**0.62 * (1 - 0.12 * across)
    upper = opened + (lower - opened) * shut
    within = soft(half - np.abs(X - place), 0.8)
    ball = soft(y - upper, 0.9) * soft(lower - y, 0.9) * within
    gaze_x, gaze_y = X - place, y - (EYE_HEIGHT - 1.0)
    distance = np.hypot(gaze_x, gaze_y)
    white = np.array([0.93, 0.90, 0.88], np.float32) * level
    depth = (1 - 0.22 * np.clip(np.abs(across), 0, 1) ** 2) * (1 - 0.30 * soft(upper + 2.4 - y, 3.0))
    eye = np.broadcast_to(white, picture.shape) * depth[..., None]
    radius = 5.7 * look.eye_size
    iris = np.array(look.iris, np.float32) * (0.55 + 0.75 * level)
    ring = 1 - 0.45 * np.clip((distance / radius - 0.65) / 0.35, 0, 1)
    mix(eye, iris * ring[..., None] * (depth[..., None] * 0.8 + 0.2), soft(radius - distance, 0.9))
    mix(eye, np.full(3, 0.03, np.float32), soft(2.5 * look.eye_size - distance, 0.8))
    mix(eye, np.full(3, 0.95, np.float32) * level, 0.9 * soft(1.25 - np.hypot(gaze_x + 1.7, gaze_y + 2.0), 0.9))
    mix(picture, eye, ball)
    lash = np.array(look.hair, np.float32) * 0.35
    mix(picture, lash, 0.85 * np.exp(-0.5 * ((y - upper + 0.2) / 0.85) ** 2) * within * np.clip(arch * 4, 0.35, 1))
    mix(picture, lash, 0.30 * np.exp(-0.5 * ((y - lower) / 0.7) ** 2) * within)
    crease = opened - 3.2 - 0.6 * shut + 1.5 * shut * arch
    fold = 0.34 * np.exp(-0.5 * ((y - crease) / 0.9) ** 2) * soft(half + 1.5 - np.abs(X - place), 3)
    mix(picture, picture * np.array([0.62, 0.5, 0.45], np.float32), fold * (1 - 0.5 * shut))


def draw_brows(picture: NDArray[np.floating[Any]], look: Look, rng: np.random.Generator) -> None:
    """Draw both brows into the whole canvas, in place."""
    lift, weight = look.brow_lift, look.brow_weight
    shape = np.zeros(picture.shape[:2], np.float32)
    for side in (-1, 1):
        top = [(11, -81.5), (22, -85.5), (33, -87), (46, -80.5)]
        bottom = [(45, -79.8), (34, -84 + 1.4 * weight), (22, -82.5 + 2.2 * weight), (11, -78.8 + 1.6 * weight)]
        shape += canvas.polygon([(side * x * look.eye_gap, y - lift) for x, y in top + bottom], 0.9)
    hairs = np.clip(0.85 + 0.22 * canvas.noise(rng, 1.2, 0.8), 0, 1)
    colour = np.array(look.hair, np.float32) * 0.55 + np.array(look.skin, np.float32) * 0.06
    mix(picture, colour, np.clip(shape, 0, 1) * hairs * min(0.9, 0.62 + 0.22 * weight))
