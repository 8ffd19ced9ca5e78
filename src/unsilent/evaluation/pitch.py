"""Pitch and voicing by SwiftF0 (Nieradzik 2025, arXiv 2508.18440; MIT), a small network for speech and music.

A frame lies every 16 ms; it is voiced where the network's confidence is at least one half, as its author calibrated it.
Pitch is looked for between 60 and 500 Hz.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.optional import require

__all__ = ["FRAME", "RATE", "f0_rmse", "pitch", "voicing_error"]

RATE: Final = 16_000
"""Sample rate of the signals given to this module, Hz."""

FRAME: Final = 256
"""Samples a frame."""

_LOWEST, _HIGHEST = 60.0, 500.0
_VOICED: Final = 0.5
_LEAST: Final = 5
"""Frames, 80 ms, that have to be voiced in both signals for their pitch to be compared."""

Array = NDArray[np.float64]


@lru_cache(maxsize=1)
def _network() -> Any:
    require("onnxruntime")
    return require("swift_f0").SwiftF0(threads=1)


def pitch(samples: NDArray[np.float32]) -> Array:
    """Pitch (n // 256 or more,) in Hz of (n,) samples at 16 kHz, NaN where there is no voice.

    Raises:
        EvaluationError: swift-f0 or onnxruntime is missing, or there are no samples.
    """
    if not len(samples):
        raise EvaluationError("pitch needs samples; the signal is empty")
    return _pitch(np.ascontiguousarray(samples, np.float32).tobytes())


# Both metrics look at the same two signals, and all systems are compared with one.
@lru_cache(maxsize=8)
def _pitch(samples: bytes) -> Array:
    found = _network().detect(np.frombuffer(samples, np.float32), RATE, fmin=_LOWEST, fmax=_HIGHEST)
    return np.where(np.asarray(found.confidence) >= _VOICED, np.asarray(found.pitch_hz, np.float64), np.nan)


def f0_rmse(reference: NDArray[np.float32], degraded: NDArray[np.float32]) -> float:
    """Root mean square difference of pitch in Hz over the frames voiced in both signals (n,) at 16 kHz.

    Errors of an octave count as they are.

    Raises:
        EvaluationError: fewer than 5 frames are voiced in both, or as :func:`pitch`.
    """
    difference = pitch(reference) - pitch(degraded)
    both = difference[~np.isnan(difference)]
    if len(both) < _LEAST:
        raise EvaluationError(f"fewer than {_LEAST} frames (16 ms) are voiced in both signals")
    return float(np.sqrt(np.mean(np.square(both))))


def voicing_error(reference: NDArray[np.float32], degraded: NDArray[np.float32]) -> float:
    """Share, 0 to 1, of all frames that are voiced in one of two signals (n,) at 16 kHz and not in the other.

    Raises:
        EvaluationError: as :func:`pitch`.
    """
    return float(np.mean(np.isnan(pitch(reference)) != np.isnan(pitch(degraded))))
