# ruff: noqa: RUF001 (phonetic symbols are meant)
"""Where the phones of a synthesised sentence really lie: forced alignment.

The synthesiser's network predicts a duration for every character, in steps of 25 ms, but what is heard lags or leads
it: the closure of a stop lies in the space before its word, a vowel begins in its stress mark. A mouth driven by those
figures would close up to 70 ms late. So they only say where to look, and the sound itself says where the boundary is:
Viterbi alignment with one chain of Gaussian states a phone (Rabiner 1989), every 5 ms. The voice is always the
synthesiser's own, so that one set of Gaussians, fitted to it once by :mod:`unsilent.corpora.talker.fit`, is enough.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker.phones import SILENCE, Phone, Spelled

__all__ = ["HOP_SECONDS", "PhoneModels", "align", "features", "load_models", "states_of"]

RATE: Final = 24_000
_HOP: Final = 120
HOP_SECONDS: Final = _HOP / RATE
_WINDOW: Final = 480
_BANDS: Final = 24
_CEPSTRA: Final = 13
_PREDICTOR_HOP: Final = 600
"""Samples of one frame of the duration predictor."""
_SLACK: Final = 0.15
"""Seconds by which a boundary may be away from the prediction."""
_STOPS: Final = frozenset(["p", "b", "t", "d", "k", "ɡ", "tʃ", "dʒ", "ʔ"])
_LONG: Final = frozenset(["eɪ", "aɪ", "oʊ", "aʊ", "ɔɪ", "ɑ", "ɔ", "i", "u", "æ", "s", "ʃ"])
_LEAST_VARIANCE: Final = 0.05
_FORBIDDEN: Final = -1e9


def states_of(phone: str) -> int:
    """Number of states of a phone's chain; those of a stop are its closure and its release."""
    return 1 if phone == SILENCE else 3 if phone in _LONG else 2


@dataclass(frozen=True, slots=True)
class PhoneModels:
    """A diagonal Gaussian for every state: phone -> mean and variance, (states, D) each."""

    means: Mapping[str, NDArray[np.float64]]
    variances: Mapping[str, NDArray[np.float64]]


@cache
def load_models() -> PhoneModels:
    """The Gaussians that come with the package."""
    text = resources.files(__package__).joinpath("phone_models.json").read_text(encoding="utf-8")
    stored = json.loads(text)["phones"]
    return PhoneModels(
        {phone: np.array(value["mean"]) for phone, value in stored.items()},
        {phone: np.maximum(np.array(value["variance"]), _LEAST_VARIANCE) for phone, value in stored.items()},
    )


@cache
def _bank() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mel triangles (bins, bands) and the cosine transform (bands, cepstra)."""
    lowest, highest = (2595 * math.log10(1 + limit / 700) for limit in (80.0, 11_000.0))
    edges = 700 * (10 ** (np.linspace(lowest, highest, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_WINDOW, 1 / RATE)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    cosines = np.cos(np.pi / _BANDS * (np.arange(_BANDS)[:, None] + 0.5) * np.arange(_CEPSTRA))
    return triangles, cosines / np.sqrt(_BANDS / 2)


def features(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cepstra and their slopes (frames, 26) of a sound at 24 kHz, one frame every 5 ms, the first around sample 0."""
    padded = np.pad(samples.astype(np.float64), _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2
    triangles, cosines = _bank()
    cepstra = np.log(power @ triangles + 1e-4) @ cosines
    spread = np.pad(cepstra, ((2, 2), (0, 0)), mode="edge")
    slopes = (2 * (spread[4:] - spread[:-4]) + spread[3:-1] - spread[1:-3]) / 10
    return np.hstack([cepstra, 3 * slopes])


@dataclass(frozen=True, slots=True)
class _Chain:
    """The states of a sentence in a row: of which phone, which state of it, and whether it may be left out."""

    phone: NDArray[np.int64]
    state: NDArray[np.int64]
    skippable: NDArray[np.bool_]


def _chain(spelled: Sequence[Spelled]) -> _Chain:
    rows = [(index, state) for index, item in enumerate(spelled) for state in range(states_of(item.phone))]
    ends = (0, len(spelled) - 1)
    skippable = [
        (spelled[i].phone == SILENCE and i not in ends) or (spelled[i].phone in _STOPS and s == 1) for i, s in rows
    ]
    phone, state = np.array(rows).T
    return _Chain(phone, state, np.array(skippable))


def _scores(
    heard: NDArray[np.float64], spelled: Sequence[Spelled], chain: _Chain, models: PhoneModels
) -> NDArray[np.float64]:
    """Log-likelihood (frames, states), forbidden far from where the predictor saw the phone."""
    means = np.stack([models.means[spelled[p].phone][s] for p, s in zip(chain.phone, chain.state, strict=True)])
    spread = np.stack([models.variances[spelled[p].phone][s] for p, s in zip(chain.phone, chain.state, strict=True)])
    precision = 1 / spread
    distance = heard**2 @ precision.T - 2 * heard @ (means * precision).T + (means**2 * precision).sum(1)
    scores: NDArray[np.float64] = -0.5 * (distance + np.log(spread).sum(1))
    times = np.arange(len(heard)) * HOP_SECONDS
    step = _PREDICTOR_HOP / RATE
    first = np.array([item.first for item in spelled])[chain.phone] * step - _SLACK
    last = np.array([item.last for item in spelled])[chain.phone] * step + _SLACK
    return np.where((times[:, None] < first) | (times[:, None] > last), _FORBIDDEN, scores)


def best_path(
    heard: NDArray[np.float64], spelled: Sequence[Spelled], models: PhoneModels
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every frame the index of its phone in ``spelled`` and the state within the phone, by Viterbi's algorithm."""
    chain = _chain(spelled)
    scores = _scores(heard, spelled, chain, models)
    frames, count = scores.shape
    back = np.zeros((frames, count), np.int8)
    total = np.full(count, -np.inf)
    total[0] = scores[0, 0]
    skip = np.zeros(count, bool)
    skip[2:] = chain.skippable[1:-1]
    candidates = np.full((3, count), -np.inf)
    for frame in range(1, frames):
        candidates[0] = total
        candidates[1, 1:] = total[:-1]
        candidates[2, 2:] = np.where(skip[2:], total[:-2], -np.inf)
        back[frame] = choice = candidates.argmax(0)
        total = candidates[choice, np.arange(count)] + scores[frame]
    path = np.empty(frames, np.int64)
    path[-1] = count - 1
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = path[frame] - back[frame, path[frame]]
    return chain.phone[path], chain.state[path]


def align(samples: NDArray[np.float32], spelled: Sequence[Spelled]) -> list[Phone]:
    """The phones of a sentence with the times at which they are heard; they cover the sound without a gap.

    A phone that the sound leaves out is left out; so are silences between words that run together.

    Args:
        samples: (n,) at 24 kHz, in the synthesiser's own voice.
        spelled: what :func:`unsilent.corpora.talker.phones.spell` made of the sentence.
    """
    owners, states = best_path(features(samples), spelled, load_models())
    begins = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
    times = [0.0, *((begin - 0.5) * HOP_SECONDS for begin in begins[1:-1]), len(samples) / RATE]
    phones = []
    for number, (begin, end) in enumerate(pairwise(begins)):
        said = spelled[owners[begin]]
        released = np.flatnonzero(states[begin:end]).tolist() if said.phone in _STOPS else []
        release = (begin + released[0] - 0.5) * HOP_SECONDS if released else times[number + 1]
        phones.append(Phone(said.phone, times[number], times[number + 1], said.word, release))
    return phones
