"""Hair: in front of the skull, and behind the neck where it is long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker.canvas import HEIGHT, SCALE, WIDTH, Plane, X, Y, mix, soft
from unsilent.corpora.talker.look import Look

__all__ = ["Outline", "draw_back_hair", "draw_hair"]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Half widths (HEIGHT, 1) of the face, and of the skull with what hangs from it, in units at every row."""

    face: Plane
    skull: Plane


@dataclass(frozen=True, slots=True)
class _Cut:
    """Sizes in units: how far hair stands out, how much higher than the skull it is, where it begins on the forehead
    and how that line curves, how far down it hangs at the sides and how much of the face it covers there.
    """

    thick: float
    lift: float
    line: float
    curve: float
    ends: float
    cover: float
    density: float = 1.0


_CUTS: Final = {
    "short": _Cut(8, 9, -124, 16, -52, 4),
    "cropped": _Cut(3, 3, -122, 18, -62, 3, density=0.82),
    "long": _Cut(12, 10, -128, 34, 88, 7),
    "fringe": _Cut(9, 8, -101, 12, -46, 6),
}


def _strands(rng: np.random.Generator, across: NDArray[np.floating[Any]]) -> Plane:
    """Random light and dark along lines of equal ``across``, about 0 with deviation 1."""
    fine = rng.standard_normal(900).astype(np.float32)
    coarse = np.repeat(rng.standard_normal(90), 10)
    line = 0.6 * fine + 0.8 * np.convolve(coarse, np.ones(9) / 9, mode="same")
    place = (np.clip(across, -2.2, 2.2) + 2.2) / 4.4 * 899
    return np.asarray(np.interp(place, np.arange(900), line), np.float32)


def _coloured(look: Look, strands: Plane, level: Plane) -> NDArray[np.floating[Any]]:
    colour = np.array(look.hair, np.float32)
    shine = np.exp(-0.5 * ((Y + 138 - 0.004 * X**2) / 13) ** 2) * (0.18 + 0.05 * strands)
    brightness = np.clip(0.72 + 0.20 * strands, 0.25, 1.5) * (0.45 + 0.7 * level)
    return np.asarray(colour * brightness[..., None] + 0.5 * shine[..., None] * (0.3 + colour), np.float32)


def draw_back_hair(picture: NDArray[np.floating[Any]], look: Look, outline: Outline, rng: np.random.Generator) -> Plane:
    """Draw what hangs behind the neck, in place; return where it is."""
    if look.style != "long":
        return np.zeros((HEIGHT, WIDTH), np.float32)
    half = outline.skull + 13 + 5 * np.sin((Y + 20) / 30) + np.clip(Y / 10, 0, 8)
    ragged = _strands(rng, X / 60) * 3
    shape = soft(half - np.abs(X), 3) * soft(95 + ragged - Y, 6) * soft(Y + 140, 5)
    colour = _coloured(look, _strands(rng, X / np.maximum(half, 1)), np.full((1, 1), 0.35, np.float32))
    mix(picture, colour, shape)
    return shape


def draw_hair(
    picture: NDArray[np.floating[Any]], look: Look, outline: Outline, rng: np.random.Generator, level: Plane
) -> Plane:
    """Draw the hair in front of the skull, in place; return where it is."""
    if look.style == "bald":
        return np.zeros((HEIGHT, WIDTH), np.float32)
    cut = _CUTS[look.style]
    half = np.maximum(_shifted(outline.skull, cut.lift), outline.skull) + cut.thick * soft(-Y - 20, 60)
    strands = _strands(rng, X / np.maximum(half, 1) * 1.2)
    inner = np.maximum(outline.face, outline.skull * (Y > -30)) - cut.cover
    forehead = soft(cut.line + cut.curve * (X / 52) ** 2 + 2.2 * strands - Y, 4)
    sides = soft(np.abs(X) - inner + 1.2 * strands, 4) * soft(cut.ends + 4 * strands - Y, 10)
    shape = soft(half - np.abs(X) + 0.8 * strands, 2) * np.maximum(forehead, sides)
    mix(picture, _coloured(look, strands, np.clip(level, 0.1, 1)), shape * cut.density)
    return shape


def _shifted(half: Plane, lift: float) -> Plane:
    """The outline moved up, so that hair stands above the skull."""
    rows = np.arange(HEIGHT)
    return np.asarray(np.interp(rows + lift * SCALE, rows, half[:, 0])[:, None], np.float32)
