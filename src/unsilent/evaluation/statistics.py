"""Intervals for means and ratios over clips: the percentile bootstrap (Efron & Tibshirani 1993, chapter 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError

__all__ = ["RESAMPLES", "SEED", "Interval", "bootstrap_mean", "bootstrap_paired", "bootstrap_ratio", "bootstrap_seeds"]

RESAMPLES: Final = 2000
SEED: Final = 0
_LEVEL: Final = 0.95
_CELLS: Final = 2_000_000
"""Indices drawn at once: bounds the memory for a large corpus."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate over ``n`` clips with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(values: Sequence[float], *, seed: int = SEED, resamples: int = RESAMPLES) -> Interval:
    """Mean of one value a clip, with the interval over resampled clips.

    Raises:
        EvaluationError: there are no values.
    """
    return bootstrap_ratio(values, [1.0] * len(values), seed=seed, resamples=resamples)


def bootstrap_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, seed: int = SEED, resamples: int = RESAMPLES
) -> Interval:
    """Ratio of two sums over clips (errors over words), with the interval over resampled clips.

    The same seed draws the same clips whatever is measured, so that systems are compared on equal terms.

    Raises:
        EvaluationError: there are no clips, or the denominators do not match or do not sum to more than 0.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if not len(above) or above.shape != below.shape or below.sum() <= 0:
        raise EvaluationError("no clip has this metric; nothing to average")
    ratios = _resample(above, below, seed, resamples)
    margin = 100 * (1 - _LEVEL) / 2
    low, high = np.percentile(ratios, [margin, 100 - margin])
    return Interval(float(above.sum() / below.sum()), float(low), float(high), len(above))


def bootstrap_paired(
    first: Sequence[float] | Sequence[tuple[float, float]],
    second: Sequence[float] | Sequence[tuple[float, float]],
    *,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> Interval:
    """First less second of two systems on the same clips, with its interval over resampled clips.

    Both systems of a resample speak the same drawn clips, so that what is hard about a clip cancels; the interval is
    that of :func:`bootstrap_mean` of the differences. For a ratio of sums it is the difference of the two ratios. An
    interval without 0 tells the systems apart at the 5 % level.

    Args:
        first: one value a clip, or one pair a clip of what is summed above and below (errors and words).
        second: the same of the other system, in the same order of clips.
        seed: of the draw.
        resamples: number of draws.

    Raises:
        EvaluationError: there are no clips, the two do not match in number or kind, or a ratio has nothing below.
    """
    pairs = [_above_and_below(values) for values in (first, second)]
    (above, below), (other_above, other_below) = pairs
    if not len(above) or above.shape != other_above.shape:
        raise EvaluationError(f"{len(above)} and {len(other_above)} clips; give the same clips of both systems")
    if below.sum() <= 0 or other_below.sum() <= 0:
        raise EvaluationError("no clip has this metric; nothing to compare")
    differences = _resample(above, below, seed, resamples) - _resample(other_above, other_below, seed, resamples)
    margin = 100 * (1 - _LEVEL) / 2
    low, high = np.percentile(differences, [margin, 100 - margin])
    mean = above.sum() / below.sum() - other_above.sum() / other_below.sum()
    return Interval(float(mean), float(low), float(high), len(above))


def _above_and_below(
    values: Sequence[float] | Sequence[tuple[float, float]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    array = np.asarray(values, np.float64)
    if array.ndim == 2 and array.shape[1] == 2:
        return array[:, 0], array[:, 1]
    if array.ndim != 1:
        raise EvaluationError(f"values of shape {array.shape}; give one value, or one pair, a clip")
    return array, np.ones_like(array)


def _resample(above: NDArray[np.float64], below: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    rows = max(1, _CELLS // len(above))
    parts = []
    for start in range(0, resamples, rows):
        drawn = random.integers(0, len(above), (min(rows, resamples - start), len(above)))
        total = below[drawn].sum(axis=1)
        # Clips without words can be drawn alone: such a resample says nothing and counts as no error.
        parts.append(np.divide(above[drawn].sum(axis=1), total, out=np.zeros_like(total), where=total > 0))
    return np.concatenate(parts)


def bootstrap_seeds(values: NDArray[np.float64], *, seed: int = SEED, resamples: int = RESAMPLES) -> Interval:
    """Mean of (seeds, clips) values with the interval of a hierarchical bootstrap: seeds are drawn, then clips.

    Give paired differences of two systems to compare them. All seeds of a draw hear the same clips, whose difficulty
    they share.

    Raises:
        EvaluationError: there are no values.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size:
        raise EvaluationError("no run has this metric; nothing to average")
    random = np.random.default_rng(seed)
    seeds, clips = values.shape
    means = np.array(
        [values[random.integers(0, seeds, seeds)][:, random.integers(0, clips, clips)].mean() for _ in range(resamples)]
    )
    margin = 100 * (1 - _LEVEL) / 2
    low, high = np.percentile(means, [margin, 100 - margin])
    return Interval(float(values.mean()), float(low), float(high), int(values.size))
