"""Who the talkers are: voices and faces drawn at random, each a pure function of the corpus's seed and a name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from unsilent.corpora.talker.speech import Voice

__all__ = ["HAIR_STYLES", "Look", "Speaker", "generator", "make_speaker"]

Colour = tuple[float, float, float]
"""Red, green, blue in 0..1."""

HAIR_STYLES: Final = ("short", "cropped", "long", "fringe", "bald")
_SKIN: Final[tuple[Colour, ...]] = (
    (0.96, 0.80, 0.70),
    (0.93, 0.75, 0.62),
    (0.89, 0.70, 0.56),
    (0.82, 0.62, 0.47),
    (0.72, 0.52, 0.38),
    (0.60, 0.42, 0.30),
    (0.47, 0.32, 0.23),
)
_HAIR: Final[tuple[Colour, ...]] = (
    (0.10, 0.08, 0.07),
    (0.20, 0.13, 0.09),
    (0.34, 0.22, 0.13),
    (0.52, 0.36, 0.20),
    (0.72, 0.57, 0.34),
    (0.55, 0.27, 0.13),
    (0.62, 0.61, 0.60),
)
_IRIS: Final[tuple[Colour, ...]] = ((0.24, 0.15, 0.09), (0.36, 0.25, 0.13), (0.30, 0.40, 0.48), (0.33, 0.40, 0.28))


@dataclass(frozen=True, slots=True)
class Look:
    """A face. Sizes are factors on a mean face's; colours in 0..1.

    ``stubble`` is 0 (none) to 1, ``tooth`` the brightness of the teeth, ``lip_red`` how far lips differ from skin.
    """

    skin: Colour
    hair: Colour
    iris: Colour
    clothes: Colour
    style: str
    face_width: float
    jaw_width: float
    chin: float
    eye_size: float
    eye_gap: float
    brow_weight: float
    brow_lift: float
    nose_width: float
    nose_length: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    lip_red: float
    tooth: float
    stubble: float
    freckles: float
    seed: int


@dataclass(frozen=True, slots=True)
class Speaker:
    """One talker: a voice, a face, and how clearly and how lively he or she speaks."""

    name: str
    unseen: bool
    voice: Voice
    look: Look
    clarity: float
    motion: float


def generator(seed: int, *names: object) -> np.random.Generator:
    """Random numbers that depend on a seed and names and on nothing else."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def make_speaker(seed: int, name: str, *, unseen: bool = False) -> Speaker:
    """The talker called ``name`` in the corpus of this seed."""
    rng = generator(seed, "speaker", name)
    low = bool(rng.random() < 0.5)
    return Speaker(
        name,
        unseen,
        _voice(rng, low=low),
        _look(rng, low=low),
        clarity=round(float(rng.uniform(0.88, 1.12)), 3),
        motion=round(float(rng.uniform(0.4, 1.3)), 3),
    )


def _voice(rng: np.random.Generator, *, low: bool) -> Voice:
    formants = rng.uniform(0.84, 0.92) if low else rng.uniform(0.97, 1.09)
    pitch = rng.uniform(95, 145) if low else rng.uniform(170, 240)
    return Voice(
        pitch=round(float(pitch), 1),
        liveliness=round(float(rng.uniform(0.8, 1.2)), 3),
        formants=round(float(formants), 3),
        pace=round(float(rng.uniform(0.8, 1.0)), 3),
        tilt=round(float(rng.uniform(-1.5, 1.0)), 2),
        breath=round(float(rng.uniform(-3.0, 6.0)), 1),
    )


def _look(rng: np.random.Generator, *, low: bool) -> Look:
    def near(mean: float, spread: float) -> float:
        return round(float(np.clip(rng.normal(mean, spread), mean - 2 * spread, mean + 2 * spread)), 3)

    tone = rng.uniform(0, len(_SKIN) - 1)
    skin = _between(_SKIN, tone)
    dark = tone > 3.5
    hair = _HAIR[rng.integers(2)] if dark else _HAIR[rng.integers(len(_HAIR))]
    styles = ("short", "short", "cropped", "fringe", "bald") if low else ("long", "long", "long", "short", "fringe")
    return Look(
        skin=skin,
        hair=hair,
        iris=_IRIS[rng.integers(2)] if dark else _IRIS[rng.integers(len(_IRIS))],
        clothes=_clothes(rng),
        style=styles[rng.integers(len(styles))],
        face_width=near(1.02 if low else 0.98, 0.035),
        jaw_width=near(1.04 if low else 0.96, 0.05),
        chin=near(1.03 if low else 0.97, 0.04),
        eye_size=near(0.97 if low else 1.05, 0.05),
        eye_gap=near(1.0, 0.03),
        brow_weight=near(1.2 if low else 0.8, 0.15),
        brow_lift=near(0.0, 1.2),
        nose_width=near(1.05 if low else 0.95, 0.08),
        nose_length=near(1.0, 0.05),
        mouth_width=near(0.98, 0.045),
        upper_lip=near(0.99 if low else 1.06, 0.08),
        lower_lip=near(0.99 if low else 1.06, 0.08),
        lip_red=near(1.05 if low else 1.2, 0.09),
        tooth=near(0.86, 0.04),
        stubble=round(float(rng.uniform(0, 0.9)), 3) if low else 0.0,
        freckles=round(float(max(0.0, rng.uniform(-1.5, 1.0))), 3),
        seed=int(rng.integers(2**31)),
    )


def _clothes(rng: np.random.Generator) -> Colour:
    red, green, blue = np.round(rng.uniform(0.1, 0.7) + rng.uniform(-0.12, 0.12, 3), 3).tolist()
    return max(red, 0.0), max(green, 0.0), max(blue, 0.0)


def _between(colours: tuple[Colour, ...], place: float) -> Colour:
    below = int(place)
    above = min(below + 1, len(colours) - 1)
    mixed = np.array(colours[below]) * (1 - place + below) + np.array(colours[above]) * (place - below)
    red, green, blue = np.round(mixed, 3).tolist()
    return red, green, blue
