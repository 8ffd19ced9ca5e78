"""One loudness for all recordings: the level of speech where there is speech (after ITU-T P.56, with our activity)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOUDEST_PEAK", "active_level", "normalise"]

LOUDEST_PEAK: Final = 0.97
"""No sample is raised above this: where the wanted level would clip, the recording stays below it."""


def active_level(power: NDArray[np.float64], active: NDArray[np.bool_]) -> float:
    """Root mean square of the frames in which someone speaks, in dB relative to full scale; -inf for silence.

    Args:
        power: (n,) of every frame, from :func:`unsilent.listening.activity.frame_power`.
        active: (n,) whether someone speaks.
    """
    chosen = power[active]
    mean = float(chosen.mean()) if len(chosen) else 0.0
    return float(10 * np.log10(mean)) if mean > 0 else float("-inf")


def normalise(samples: NDArray[np.float32], level: float, target: float) -> NDArray[np.float32]:
    """Scale ``samples`` (n,) from ``level`` to ``target`` (both in dB), or as near as their peak allows."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak <= 0 or not np.isfinite(level):
        return samples
    gain = min(10 ** ((target - level) / 20), LOUDEST_PEAK / peak)
    return np.asarray(samples * np.float32(gain), np.float32)
