"""A head, drawn once a clip: skin with relief and light, eyes that can close, brows, ears, hair, neck and clothes.

The face has no lips: :mod:`unsilent.corpora.talker.lips` draws them anew in each frame. Its proportions are those of
the face template that crops are cut by (:mod:`unsilent.face.geometry`), varied from talker to talker. Light falls on a
relief, a superellipsoid with hills for nose, brows, cheeks and chin, by Lambert's law with some ambient light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker import canvas
from unsilent.corpora.talker.canvas import HEIGHT, SCALE, WIDTH, Plane, X, Y, blob, curve, mix, pair, polygon, soft
from unsilent.corpora.talker.eyes import EYE_HEIGHT, draw_brows, draw_eyes
from unsilent.corpora.talker.hair import Outline, draw_back_hair, draw_hair
from unsilent.corpora.talker.look import Look

__all__ = ["BLINK_LEVELS", "Head", "Light", "draw_head"]

BLINK_LEVELS: Final = (0.0, 0.35, 0.7, 1.0)
"""How far the lids are shut in the pictures of the eyes."""
_EYE_ROWS: Final = slice(int((EYE_HEIGHT - 20 - canvas.TOP) * SCALE), int((EYE_HEIGHT + 16 - canvas.TOP) * SCALE))


@dataclass(frozen=True, slots=True)
class Light:
    """Where light comes from: unit vector (right, down, towards the camera); its share and that of ambient light."""

    direction: tuple[float, float, float]
    strength: float
    ambient: float
    warmth: float


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A drawn head.

    Attributes:
        picture: (HEIGHT, WIDTH, 4) uint8, RGB and where the head covers the background; eyes open, without lips.
        eye_rows: rows of the canvas that hold the eyes.
        eyes: RGB of those rows with the lids shut to :data:`BLINK_LEVELS`.
        shade: (3,), the light around the mouth: colours of lips and teeth are multiplied by it.
        side: light from the right minus light from the left, about -0.3 to 0.3.
    """

    picture: NDArray[np.uint8]
    eye_rows: slice
    eyes: tuple[NDArray[np.uint8], ...]
    shade: NDArray[np.floating[Any]]
    side: float


def draw_head(look: Look, light: Light) -> Head:
    """Draw the head of a talker in some light. A pure function."""
    rng = np.random.default_rng(look.seed)
    outline = _outline(look)
    relief = _relief(look, outline)
    shading, glint = _lit(relief, light)
    face = soft(outline.face - np.abs(X), 1.5) * soft(49.0 * look.chin - Y, 1.5)
    skin = _skin(look, rng, shading, glint)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    alpha = draw_back_hair(picture, look, outline, rng)
    alpha = np.maximum(alpha, _draw_body(picture, look, light, rng))
    ears = _draw_ears(picture, look, light)
    mix(picture, skin, face)
    draw_brows(picture, look, rng)
    hair = draw_hair(picture, look, outline, rng, light.strength * shading)
    alpha = np.maximum.reduce([alpha, ears, face, hair])
    eyes = []
    for shut in BLINK_LEVELS:
        drawn = picture[_EYE_ROWS].copy()
        draw_eyes(drawn, _EYE_ROWS, look, light.ambient + light.strength * 0.8, shut)
        eyes.append(_bytes(drawn))
    whole = _bytes(np.dstack([picture, alpha]))
    whole[_EYE_ROWS, :, :3] = eyes[0]
    row, column = (int(v) for v in reversed(canvas.to_pixels(0.0, 24.0)))
    lit = shading[row - 4 : row + 4, column - 30 : column + 30]
    side = float(lit[:, 30:].mean() - lit[:, :30].mean())
    shade = np.array([1 + 0.5 * light.warmth, 1.0, 1 - 0.5 * light.warmth], np.float32) * float(lit.mean())
    return Head(whole, _EYE_ROWS, tuple(eyes), shade, side)


def _bytes(picture: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255), np.uint8)


def _outline(look: Look) -> Outline:
    """Half widths of face and skull at every row."""
    wide, jaw, chin = look.face_width, look.jaw_width, look.chin
    points = [
        (-190.0, -30.0),
        (-166.0, -8.0),
        (-162.0, 16.0 * wide),
        (-156.0, 32.0 * wide),
        (-145.0, 48.0 * wide),
        (-128.0, 59.0 * wide),
        (-105.0, 65.0 * wide),
        (-80.0, 66.5 * wide),
        (-50.0, 65.0 * wide),
        (-25.0, 61.0 * wide),
        (0.0, 57.0 * wide * jaw),
        (20.0 * chin, 49.5 * wide * jaw),
        (33.0 * chin, 38.0 * jaw),
        (41.0 * chin, 27.0 * jaw),
        (46.0 * chin, 16.0 * jaw),
        (49.0 * chin, 0.0),
        (54.0 * chin, -30.0),
        (150.0, -30.0),
    ]
    face = curve(points, Y, 3.0)
    skull = curve([*points[:10], (150.0, 58.0 * wide)], Y, 3.0)
    return Outline(face, skull)


def _relief(look: Look, outline: Outline) -> Plane:
    """Height of the face above the picture plane, in units."""
    width = np.maximum(outline.face, 1.0)
    across = np.clip(1 - (np.abs(X) / (width + 2)) ** 2.4, 0, 1)
    along = np.clip(1 - np.abs((Y + 62) / 116) ** 3.2, 0.01, 1)
    relief = 56 * np.sqrt(across) * along**0.45
    gap, size = look.eye_gap, look.eye_size
    tip = -62 + 30 * look.nose_length
    bridge = curve([(-90, 0), (-74, 3), (-66, 5), (tip, 15), (tip + 7, 4), (tip + 12, 0), (20, 0)], Y, 2.0)
    relief = relief + bridge * np.exp(-0.5 * (X / (5.2 * look.nose_width)) ** 2)
    relief += 5.5 * blob(0, tip, 7.0 * look.nose_width, 5.5)
    relief += 5.5 * pair(11.5 * look.nose_width, tip + 5, 4.6, 4.6)
    relief += 3.0 * pair(28 * gap, -83, 15, 5) - 6.0 * pair(27 * gap, -66, 11, 7)
    relief += 4.0 * pair(28.6 * gap, EYE_HEIGHT, 9 * size, 6 * size)
    relief += 4.5 * pair(41, -40, 14, 12) + 4.0 * blob(0, -2, 26, 17) - 1.1 * blob(0, -13, 2.6, 5)
    relief += -2.6 * blob(0, 18, 15, 4.2) + 4.5 * blob(0, 32 * look.chin, 13, 8)
    fold = canvas.strokes([[(s * 17, -26), (s * 24, -14), (s * 30, 0), (s * 31, 8)] for s in (-1, 1)], 2, 1.8)
    return np.asarray(relief - 1.3 * fold, np.float32)


def _lit(relief: Plane, light: Light) -> tuple[Plane, Plane]:
    """Light on the relief (about 0.3 to 1.1), and its mirror image on the skin."""
    down, right = np.gradient(relief, 1 / SCALE)
    length = np.sqrt(1 + 0.75 * (down**2 + right**2))
    x, y, z = light.direction
    cosine = (-0.85 * right * x - 0.85 * down * y + z) / length
    diffuse = np.clip((cosine + 0.25) / 1.25, 0, 1)
    towards = (-0.85 * right * x - 0.85 * down * y + z + 1) / length / np.sqrt(2 + 2 * z)
    glint = np.clip(towards, 0, 1) ** 26
    return (light.ambient + light.strength * diffuse).astype(np.float32), glint.astype(np.float32)


def _skin(look: Look, rng: np.random.Generator, shading: Plane, glint: Plane) -> NDArray[np.floating[Any]]:
    """(HEIGHT, WIDTH, 3) lit skin."""
    base = np.array(look.skin, np.float32)
    red = 0.55 * pair(38, -36, 15, 12) + 0.6 * blob(0, -33, 9, 7) + 0.3 * blob(0, 34, 14, 8)
    mottled = 0.012 * canvas.noise(rng, 9, 9) + 0.014 * canvas.noise(rng, 1.0, 1.0)
    albedo = base[None, None] * (1 + mottled)[..., None]
    albedo *= 1 - red[..., None] * np.array([0.0, 0.10, 0.09], np.float32)
    if look.freckles > 0:
        spots = np.clip(canvas.noise(rng, 1.1, 1.1) - 1.6, 0, 1) * (pair(30, -40, 18, 12) + blob(0, -42, 14, 8))
        albedo *= 1 - look.freckles * np.clip(spots, 0, 1)[..., None] * np.array([0.25, 0.38, 0.42], np.float32)
    if look.stubble > 0:
        beard = soft(Y + 6 + 10 * np.cos(X / 20), 14) * (0.35 + 0.65 * soft(np.hypot(X / 1.5, Y - 2) - 17, 12))
        beard = beard + 0.5 * blob(0, -13, 17, 4)
        grain = np.clip(0.75 + 0.35 * canvas.noise(rng, 0.8, 0.8), 0, 1.4)
        shadow = np.clip(look.stubble * 0.24 * beard * grain, 0, 1)[..., None]
        albedo += (np.array(look.hair, np.float32) * 0.8 + 0.05 - albedo) * shadow
    dark = 0.26 * pair(27 * look.eye_gap, -69, 13, 7) + 0.10 * pair(28 * look.eye_gap, -53, 11, 4)
    tip = -62 + 30 * look.nose_length
    dark += 0.32 * blob(0, tip + 10, 11, 3.2) + 0.10 * pair(16 * look.nose_width, tip + 5, 3, 5)
    dark += 0.62 * pair(6.2 * look.nose_width, tip + 8.4, 2.7, 1.5)
    light = (shading * (1 - np.clip(dark, 0, 0.8)))[..., None]
    # Light that has gone through skin comes back red: shadows are warmer than what they darken.
    lit = albedo * np.power(light, np.array([0.85, 1.0, 1.08], np.float32))
    return np.asarray(lit + 0.16 * (glint * (0.3 + 0.7 * shading))[..., None], np.float32)


def _draw_body(picture: NDArray[np.floating[Any]], look: Look, light: Light, rng: np.random.Generator) -> Plane:
    """Neck, shoulders and clothes, in place; return where they are."""
    level = light.ambient + light.strength * 0.75
    half = 38.0 * look.jaw_width * look.face_width
    neck = soft(half + 0.004 * np.maximum(Y - 40, 0) ** 2 - np.abs(X), 2) * soft(Y + 20, 2)
    round_neck = 0.55 + 0.45 * np.sqrt(np.clip(1 - (X / (half + 6)) ** 2, 0, 1))
    under = 1 - 0.42 * np.exp(-0.5 * ((Y - 44 * look.chin - 0.004 * X**2) / 17) ** 2)
    tone = np.array(look.skin, np.float32) * np.array([0.95, 0.9, 0.88], np.float32)
    mix(picture, tone * (level * round_neck * under)[..., None], neck)
    slope = 80 + 14 * (np.abs(X) / 60) ** 1.7
    collar = soft(Y - slope - 26 * np.exp(-0.5 * (X / 30) ** 2), 2)
    cloth = np.array(look.clothes, np.float32)
    weave = 1 + 0.05 * canvas.noise(rng, 8, 14) + 0.02 * canvas.noise(rng, 1, 1)
    folds = level * weave * (0.8 + 0.2 * np.exp(-0.5 * ((X - 60 * light.direction[0]) / 70) ** 2))
    mix(picture, cloth * folds[..., None], collar)
    return np.maximum(neck, collar)


def _draw_ears(picture: NDArray[np.floating[Any]], look: Look, light: Light) -> Plane:
    """Both ears, in place; return where they are."""
    edge = 65.0 * look.face_width
    shape = np.zeros((HEIGHT, WIDTH), np.float32)
    for side in (-1, 1):
        around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        shape += polygon(
            [(side * (edge + 1 + 7.5 * np.cos(a) + 1.5 * np.sin(a)), -47 + 17 * np.sin(a) * -1) for a in around]
        )
    level = light.ambient + light.strength * 0.55
    tone = np.array(look.skin, np.float32) * np.array([1.0, 0.86, 0.82], np.float32) * level
    hollow = 1 - 0.3 * pair(edge + 3, -48, 2.4, 8)
    mix(picture, tone * hollow[..., None], shape)
    return np.clip(shape, 0, 1)
