"""So many minutes of a corpus, chosen at random but always the same ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unsilent.errors import TrainingError

__all__ = ["choose_minutes"]

SEED = 20_240_101
"""Of the choice; not the run's, so that runs of different seeds learn from the same clips."""


def choose_minutes(seconds: ArrayLike, minutes: float) -> NDArray[np.int64]:
    """Indices of items, drawn at random until they last ``minutes``; more minutes contain all items of fewer.

    Args:
        seconds: length of each item, (n,).
        minutes: wanted; no fewer are given, and no more than that takes.

    Returns:
        (k,), rising.

    Raises:
        TrainingError: there is not so much.
    """
    lengths = np.asarray(seconds, np.float64)
    order = np.random.default_rng(SEED).permutation(len(lengths))
    along = np.cumsum(lengths[order])
    if not len(along) or along[-1] < 60 * minutes:
        available = along[-1] / 60 if len(along) else 0.0
        raise TrainingError(f"{minutes:g} minutes are asked for, there are {available:.1f}; lower minutes")
    return np.sort(order[: int(np.searchsorted(along, 60 * minutes)) + 1])
