# ruff: noqa: RUF001 (phonetic symbols are meant)
"""How the mouth moves: from phones and their times to the shape of the lips, jaw and tongue in each frame.

Each phone belongs to a viseme, a class of phones that look alike: p, b and m close the lips, t, d and n are made behind
the teeth, f and v by the lower lip at the upper teeth. A viseme has targets, and dominance over each of them that falls
off before and after the phone; what is seen is the mean of all targets weighted by dominance, so that neighbours colour
each other (Cohen and Massaro, Modeling coarticulation in synthetic visual speech, 1993). A closure aims beyond closed
lips, so that it is reached whatever its neighbours want.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker.phones import SILENCE, Phone

__all__ = ["DIPHTHONGS", "VISEMES", "VISEME_OF", "Mouth", "Viseme", "articulate"]


@dataclass(frozen=True, slots=True)
class Viseme:
    """Targets of one class of phones, and how strongly and for how long it holds them.

    Attributes:
        opening: between the inner lips at the middle, in hundredths of 2 mouth widths at rest; below 0 pressed.
        spread: of the corners; 1 a broad smile.
        rounding: 1 pursed and protruded.
        jaw: 1 dropped as for an open vowel.
        tuck: 1 with the lower lip at the upper teeth.
        tongue: height of its tip; 1 between the teeth.
        lips: dominance over opening and tuck,
        shape: over spread and rounding,
        inside: over jaw and tongue.
        fall: how fast dominance falls off outside the phone, a second.
    """

    opening: float
    spread: float = 0.0
    rounding: float = 0.0
    jaw: float = 0.2
    tuck: float = 0.0
    tongue: float = 0.2
    lips: float = 1.0
    shape: float = 1.0
    inside: float = 1.0
    fall: float = 14.0


VISEMES: Final[Mapping[str, Viseme]] = {
    "rest": Viseme(-0.6, lips=1.2, shape=0.5, inside=0.5, jaw=0.0, fall=18),
    "bilabial": Viseme(-6, 0.05, jaw=0.1, lips=14, shape=0.25, inside=0.8, fall=90),
    "labiodental": Viseme(3, 0.2, jaw=0.15, tuck=1, lips=7, shape=0.4, inside=1, fall=40),
    "dental": Viseme(5, 0.15, jaw=0.25, tongue=1, lips=1.2, shape=0.4, inside=4, fall=30),
    "alveolar": Viseme(4.5, 0.25, jaw=0.2, tongue=0.72, lips=0.9, shape=0.3, inside=2.5, fall=28),
    "lateral": Viseme(7, 0.1, jaw=0.35, tongue=0.8, lips=0.8, shape=0.3, inside=2.5, fall=22),
    "hiss": Viseme(3.5, 0.5, jaw=0.05, tongue=0.35, lips=2, shape=0.7, inside=2.5, fall=28),
    "hush": Viseme(5.5, -0.1, 0.75, jaw=0.1, tongue=0.3, lips=2, shape=2.5, inside=2, fall=24),
    "velar": Viseme(6.5, 0.1, jaw=0.35, tongue=0.15, lips=0.5, shape=0.15, inside=0.6, fall=22),
    "breath": Viseme(7, jaw=0.35, lips=0.1, shape=0.05, inside=0.1, fall=22),
    "rhotic": Viseme(5, 0, 0.55, jaw=0.2, tongue=0.35, lips=1.2, shape=1.6, inside=1, fall=20),
    "labial glide": Viseme(1.6, 0, 1, jaw=0.1, lips=4, shape=4, inside=1, fall=24),
    "palatal glide": Viseme(4.5, 0.6, jaw=0.15, tongue=0.45, fall=22),
    "spread high": Viseme(5.5, 0.85, jaw=0.15, tongue=0.4, shape=1.3),
    "lax high": Viseme(6.5, 0.45, jaw=0.3, tongue=0.35),
    "mid front": Viseme(10.5, 0.4, jaw=0.55, tongue=0.3),
    "open front": Viseme(15, 0.5, jaw=0.9, tongue=0.25),
    "open": Viseme(16.5, 0.0, jaw=1.0, tongue=0.15),
    "mid": Viseme(11, 0.0, jaw=0.6, tongue=0.2),
    "neutral": Viseme(6.5, 0.05, jaw=0.35, tongue=0.25, lips=0.5, shape=0.4, inside=0.5, fall=20),
    "open round": Viseme(12.5, 0.0, 0.5, jaw=0.75, tongue=0.15),
    "mid round": Viseme(8, 0.0, 0.75, jaw=0.45, tongue=0.15, shape=1.5),
    "high round": Viseme(3.2, 0.0, 1.0, jaw=0.2, tongue=0.15, lips=1.6, shape=2.2),
    "lax round": Viseme(5.5, 0.0, 0.6, jaw=0.3, tongue=0.2),
}

_MEMBERS: Final[Mapping[str, str]] = {
    "rest": SILENCE,
    "bilabial": "p b m",
    "labiodental": "f v",
    "dental": "θ ð",
    "alveolar": "t d n ɾ",
    "lateral": "l",
    "hiss": "s z",
    "hush": "ʃ ʒ tʃ dʒ",
    "velar": "k ɡ ŋ",
    "breath": "h ʔ",
    "rhotic": "ɹ ɜ ɚ",
    "labial glide": "w",
    "palatal glide": "j",
    "spread high": "i",
    "lax high": "ɪ",
    "mid front": "ɛ",
    "open front": "æ",
    "open": "ɑ",
    "mid": "ʌ",
    "neutral": "ə",
    "open round": "ɔ",
    "high round": "u",
    "lax round": "ʊ",
}
VISEME_OF: Final[Mapping[str, str]] = {phone: name for name, phones in _MEMBERS.items() for phone in phones.split()}
"""Phone -> its viseme; those of a diphthong are in :data:`DIPHTHONGS`."""

DIPHTHONGS: Final[Mapping[str, tuple[str, str]]] = {
    "eɪ": ("mid front", "spread high"),
    "aɪ": ("open", "lax high"),
    "oʊ": ("mid round", "high round"),
    "aʊ": ("open", "high round"),
    "ɔɪ": ("open round", "lax high"),
}
_GLIDE_FROM: Final = 0.55
"""Part of a diphthong after which the mouth heads for its second half."""

_PAUSE: Final = 0.12
"""Seconds of silence from which the mouth goes to rest between words."""
_LONGEST_MARGIN: Final = 0.12
"""Most time, in seconds, from the edge of a phone to where its targets are held."""
_CLOSURE: Final = 0.045
"""Least time, in seconds, that lips stay closed: a camera at 25 frames/s then cannot miss it."""


@dataclass(frozen=True, slots=True, eq=False)
class Mouth:
    """The mouth over T frames, (T,) each; names and units as in :class:`Viseme`, ``opening`` down to 0.

    ``pressed`` (T,) in 0..1 is how hard closed lips are held together.
    """

    opening: NDArray[np.float64]
    spread: NDArray[np.float64]
    rounding: NDArray[np.float64]
    jaw: NDArray[np.float64]
    tuck: NDArray[np.float64]
    tongue: NDArray[np.float64]
    pressed: NDArray[np.float64]

    def at(self, frame: int) -> dict[str, float]:
        """The values of one frame by name."""
        return {item.name: float(getattr(self, item.name)[frame]) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class _Gesture:
    viseme: Viseme
    begin: float
    end: float


def _gestures(phones: Sequence[Phone]) -> tuple[list[_Gesture], list[int]]:
    """The visemes with the times between which their targets are held, and the phone that each belongs to."""
    found: list[_Gesture] = []
    owners: list[int] = []
    last = len(phones) - 1
    for number, phone in enumerate(phones):
        made = _gestures_of(phone, first=number == 0, last=number == last)
        found += made
        owners += [number] * len(made)
    return found, owners


def _gestures_of(phone: Phone, *, first: bool, last: bool) -> list[_Gesture]:
    if phone.phone in DIPHTHONGS:
        start, glide = (VISEMES[name] for name in DIPHTHONGS[phone.phone])
        turn = phone.start + _GLIDE_FROM * (phone.end - phone.start)
        return [_held(start, phone.start, turn), _held(glide, turn, phone.end)]
    name = VISEME_OF[phone.phone]
    gesture = _held(VISEMES[name], phone.start, phone.end)
    if name == "bilabial":
        return [_Gesture(VISEMES[name], min(phone.start, phone.release - _CLOSURE), phone.release)]
    if name == "rest":
        if not (first or last) and phone.end - phone.start < _PAUSE:
            return []
        # At rest before the first and after the last word, however long that is.
        return [_Gesture(VISEMES[name], phone.start if first else gesture.begin, phone.end if last else gesture.end)]
    return [gesture]


def _held(viseme: Viseme, start: float, end: float) -> _Gesture:
    margin = min(0.3 * (end - start), _LONGEST_MARGIN)
    return _Gesture(viseme, start + margin, end - margin)


_GROUPS: Final = {"lips": ("opening", "tuck"), "shape": ("spread", "rounding"), "inside": ("jaw", "tongue")}


def articulate(
    phones: Sequence[Phone],
    times: NDArray[np.float64],
    *,
    clarity: float = 1.0,
    variation: NDArray[np.float64] | None = None,
) -> Mouth:
    """The mouth at ``times`` (T,), in seconds, while ``phones`` are spoken.

    Args:
        phones: with their times.
        times: of the frames.
        clarity: of articulation; scales openings and jaw, and how fast targets are reached.
        variation: (phones,) factors on the openings of the phones: nobody says a sound twice alike.

    Raises:
        KeyError: a phone is unknown.
    """
    gestures, owners = _gestures(phones)
    begins = np.array([gesture.begin for gesture in gestures])
    ends = np.array([gesture.end for gesture in gestures])
    away = np.maximum(0.0, np.maximum(begins - times[:, None], times[:, None] - ends))
    decay = np.exp(-np.array([g.viseme.fall for g in gestures]) * clarity * away)
    values: dict[str, NDArray[np.float64]] = {}
    for strength, names in _GROUPS.items():
        weight = decay * np.array([getattr(g.viseme, strength) for g in gestures])
        weight /= weight.sum(axis=1, keepdims=True)
        for name in names:
            values[name] = weight @ np.array([getattr(g.viseme, name) for g in gestures])
    if variation is not None:
        near = decay / decay.sum(axis=1, keepdims=True)
        values["opening"] *= near @ variation[owners]
    pressed = np.clip(-values["opening"] / 4, 0.0, 1.0)
    values["opening"] = np.maximum(0.0, values["opening"] * clarity)
    values["jaw"] = np.maximum(values["jaw"] * clarity, 0.0)
    return Mouth(**values, pressed=pressed)
