"""The mouth of one frame: lips, teeth, tongue and what is dark behind them, drawn onto the skin of the face.

The edges of the lips are functions of the place across the mouth, so that a frame is a few array operations on the
pixels around the mouth, its edges are as soft as one likes, and how far the mouth is open is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker import canvas
from unsilent.corpora.talker.canvas import SCALE, Plane, mix, soft
from unsilent.corpora.talker.head import Head
from unsilent.corpora.talker.look import Look

__all__ = ["COLUMNS", "ROWS", "LipPainter", "Lips", "shape_lips"]

_HALF_WIDTH: Final = 24.0
ROWS: Final = slice(round((-17 - canvas.TOP) * SCALE), round((36 - canvas.TOP) * SCALE))
COLUMNS: Final = slice(round((-34 - canvas.LEFT) * SCALE), round((34 - canvas.LEFT) * SCALE))
"""The part of the canvas that lips are drawn in."""
_X: Final[Plane] = canvas.X[:, COLUMNS]
_Y: Final[Plane] = canvas.Y[ROWS]

_UPPER_SHARE: Final = 0.36
"""Part of the opening by which the upper lip rises; the lower lip goes down by the rest."""
_TEETH: Final = 1.2
"""Where the upper teeth end below the middle of the resting mouth, units; they move with nothing but the head."""
_JAW: Final = 13.0
"""How far the lower teeth go down with the jaw, units."""


@dataclass(frozen=True, slots=True)
class Lips:
    """Sizes of the mouth of one frame, in units.

    ``half`` is half its width and ``inner`` half that of the opening; ``gap`` is the opening at the middle; ``upper``
    and ``lower`` are how thick the lips look; ``tuck``, ``tongue`` and ``jaw`` are as in the articulation.
    """

    half: float
    inner: float
    gap: float
    upper: float
    lower: float
    tuck: float
    tongue: float
    jaw: float
    pressed: float

    @property
    def aperture(self) -> float:
        """What a tracker should measure: opening of the inner lips over the width of the mouth."""
        return self.gap / (2 * self.half)


def shape_lips(
    look: Look,
    *,
    opening: float,
    spread: float,
    rounding: float,
    jaw: float,
    tuck: float,
    tongue: float,
    pressed: float,
) -> Lips:
    """The lips of a talker for one moment of articulation."""
    half = _HALF_WIDTH * look.mouth_width * (1 + 0.13 * spread - 0.32 * rounding - 0.010 * opening)
    fuller = 1 + 0.22 * rounding - 0.10 * spread - 0.010 * opening - 0.16 * pressed
    return Lips(
        half=half,
        inner=half * (0.86 - 0.24 * rounding),
        gap=opening,
        upper=7.2 * look.upper_lip * fuller,
        lower=9.0 * look.lower_lip * fuller * (1 - 0.42 * tuck),
        tuck=tuck,
        tongue=tongue,
        jaw=jaw,
        pressed=pressed,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """Heights of the four edges of the lips across the mouth, (1, columns) each, from above to below."""

    top: Plane
    upper: Plane
    lower: Plane
    bottom: Plane
    within: Plane


def _edges(lips: Lips) -> _Edges:
    place = _X / lips.half
    arch = np.clip(1 - place**2, 0, 1)
    inside = np.clip(1 - np.abs(_X / lips.inner) ** 2.3, 0, 1)
    seam = 0.5 * np.exp(-0.5 * (place / 0.13) ** 2) - 0.7 * place**2 + 0.35
    up, down = _UPPER_SHARE * lips.gap, (1 - _UPPER_SHARE) * lips.gap
    lifted = 2.2 * lips.tuck
    bow = 1.5 * np.exp(-0.5 * (place / 0.10) ** 2) - 0.5 * np.exp(-0.5 * ((np.abs(place) - 0.24) / 0.12) ** 2)
    # Away from the middle the lips follow the opening less and less, down to nothing at the corners.
    top = seam - (lips.upper + up + lifted) * arch**0.85 + bow * arch
    bottom = seam + (lips.lower + down - 1.5 * lips.tuck) * arch**0.62
    upper = seam - (up + lifted) * inside
    lower = np.maximum(seam + (down - 2.0 * lips.tuck) * inside, upper)
    return _Edges(top, upper, lower, bottom, soft(lips.half - np.abs(_X), 1.2))


class LipPainter:
    """Draws mouths onto one head."""

    def __init__(self, look: Look, head: Head) -> None:
        self._shade = head.shade
        self._side = head.side
        skin = np.array(look.skin, np.float32)
        red = np.array([0.76, 0.33, 0.34], np.float32) * (0.42 + 0.58 * float(skin.mean()) / 0.75)
        share = np.clip(0.66 * look.lip_red, 0, 0.95)
        self._lip = (skin * np.array([0.92, 0.72, 0.70], np.float32) * (1 - share) + red * share) * head.shade
        self._tooth = np.array([1.0, 0.965, 0.89], np.float32) * look.tooth * np.minimum(head.shade, 1.0)
        self._tongue = np.array([0.66, 0.30, 0.30], np.float32) * head.shade
        self._dark = np.array([0.13, 0.045, 0.045], np.float32) * head.shade
        self._grain = np.random.default_rng(look.seed).standard_normal(_X.shape, dtype=np.float32)

    def paint(self, picture: NDArray[np.uint8], lips: Lips) -> None:
        """Draw one mouth into a canvas (HEIGHT, WIDTH, 3 or more), RGB first, in place."""
        window = picture[ROWS, COLUMNS, :3]
        drawn = window.astype(np.float32) / 255
        edges = _edges(lips)
        self._shadows(drawn, lips, edges)
        opened = soft(_Y - edges.upper, 0.9) * soft(edges.lower - _Y, 0.9) * soft(lips.inner - np.abs(_X), 1.5)
        # Half a pixel of softness on either side must not open lips that touch.
        opened *= np.clip((edges.lower - edges.upper) / 0.8, 0, 1)
        self._lips(drawn, lips, edges)
        if lips.gap > 0.05 or lips.tuck > 0.05:
            mix(drawn, self._inside(lips, edges), opened)
        window[...] = np.clip(drawn * 255 + 0.5, 0, 255).astype(np.uint8)

    def _shadows(self, drawn: NDArray[np.floating[Any]], lips: Lips, edges: _Edges) -> None:
        """Darken the skin under the lower lip and at the corners."""
        below = (
            0.24 * np.exp(-0.5 * ((_Y - edges.bottom - 3.0) / 2.6) ** 2) * np.exp(-0.5 * (_X / (0.55 * lips.half)) ** 2)
        )
        corners = 0.20 * np.exp(-0.5 * ((np.abs(_X) - lips.half - 0.5) / 2.2) ** 2 - 0.5 * ((_Y + 0.3) / 2.4) ** 2)
        dark = (1 - below - corners)[..., None]
        drawn *= np.power(np.clip(dark, 0.2, 1), np.array([0.8, 1.0, 1.05], np.float32))

    def _lips(self, drawn: NDArray[np.floating[Any]], lips: Lips, edges: _Edges) -> None:
        upper_part = np.clip((_Y - edges.top) / np.maximum(edges.upper - edges.top, 0.5), 0, 1)
        lower_part = np.clip((_Y - edges.lower) / np.maximum(edges.bottom - edges.lower, 0.5), 0, 1)
        middle = (edges.upper + edges.lower) / 2
        is_upper = soft(middle - _Y, 0.8)
        sideways = 1 + 0.8 * self._side * _X / lips.half
        # The upper lip looks down, away from the light, the lower one up.
        upper_light = 0.98 - 0.26 * upper_part
        lower_light = 0.82 + 0.42 * np.exp(-0.5 * ((lower_part - 0.42) / 0.28) ** 2) - 0.18 * lower_part**4
        level = (is_upper * upper_light + (1 - is_upper) * lower_light) * sideways * (1 + 0.018 * self._grain)
        colour = self._lip * level[..., None].astype(np.float32)
        gloss = np.exp(
            -0.5 * ((lower_part - 0.38) / 0.12) ** 2 - 0.5 * ((_X - 6 * self._side) / (0.4 * lips.half)) ** 2
        )
        colour += (0.10 * gloss * (1 - is_upper))[..., None] * self._shade
        mask = soft(_Y - edges.top, 1.8) * soft(edges.bottom - _Y, 2.2) * edges.within
        mix(drawn, colour, mask)
        closed = np.exp(-np.maximum(edges.lower - edges.upper, 0) / 0.8)
        line = np.exp(-0.5 * ((_Y - middle) / 0.75) ** 2) * closed * edges.within * (0.72 + 0.1 * lips.pressed)
        mix(drawn, self._dark * 1.6, line)

    def _inside(self, lips: Lips, edges: _Edges) -> NDArray[np.floating[Any]]:
        """The picture of what is seen between the lips."""
        picture = np.broadcast_to(self._dark, (*np.broadcast_shapes(_X.shape, _Y.shape), 3)).copy()
        # Less light the further from the middle, and right under the upper lip.
        light = (1 - 0.55 * np.clip(np.abs(_X) / lips.inner, 0, 1) ** 2) * (
            0.62 + 0.38 * soft(_Y - edges.upper - 1.2, 2.6)
        )
        floor = _JAW * lips.jaw + 2.6
        rest = edges.lower + 4.0 - 0.05 * np.abs(_X)
        raised = _TEETH - 1.5
        height = np.clip(lips.tongue, 0, 1)
        surface = rest + (raised - rest) * height**1.1 + 0.010 * _X**2 * (1 + height)
        groove = 1 - 0.12 * np.exp(-0.5 * (_X / 1.4) ** 2)
        tongue = soft(_Y - surface, 1.6) * soft(lips.inner * 0.72 - np.abs(_X), 4)
        lit = (light * groove * (0.72 + 0.28 * height) * np.clip(1 - 0.02 * (_Y - surface), 0.5, 1))[..., None]
        between = soft(np.array([[height - 0.86]], np.float32), 0.1)
        mix(picture, self._tongue * lit, tongue)
        gaps = 1 - 0.14 * np.exp(-0.5 * ((np.mod(_X, 5.2) - 2.6) / 0.5) ** 2)
        tooth = self._tooth * (light * gaps)[..., None]
        below = _TEETH - 0.012 * _X**2 + 0.3 * np.cos(_X * 2 * np.pi / 5.2)
        wide = soft(17.5 - np.abs(_X), 3)
        mix(picture, tooth, soft(below - _Y, 0.9) * wide)
        above = floor + 0.010 * _X**2 + 0.2 * np.cos(_X * 2 * np.pi / 4.2)
        mix(picture, tooth * 0.86, soft(_Y - above, 0.9) * soft(15.0 - np.abs(_X), 3) * (1 - 0.8 * between))
        tip = soft(_Y - raised, 1.4) * soft(9.0 - np.abs(_X), 4) * between
        mix(picture, self._tongue * (light * groove)[..., None] * 1.12, tip)
        return picture
