"""How far speech is out of step with the lips that should have said it, without a recording to compare with.

The mouth opens where sound gets louder: the lag that best correlates the changes of the lips' opening with the changes
of energy is the offset. Landmarks give the opening; crops alone do not. The lag is believed only where the correlation
is clear, which it is not in every clip: lips that close for an *m* stay voiced, and a mouth may open in silence.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError

__all__ = ["CLEAR", "MAX_OFFSET", "RATE", "lip_offset"]

RATE: Final = 24_000
"""Sample rate of the sound, Hz."""

CLEAR: Final = 0.5
"""Correlation from which a lag is believed."""

MAX_OFFSET: Final = 0.15
"""Largest offset looked for, in seconds."""

_STEP: Final = 240
_PER_SECOND: Final = RATE // _STEP
_FPS: Final = 25
_LOW, _HIGH = 200.0, 3000.0
"""Band of the energy, Hz: that of vowels, which open the mouth; hiss and hum do not."""
_ENERGY_WIDTH, _OPENING_WIDTH = 2.0, 3.0
"""Deviations, in steps of 10 ms, of the bells that both are smoothed by."""
_FLOOR_DB: Final = 40.0

Array = NDArray[np.float64]


def lip_offset(aperture: NDArray[np.float32], samples: NDArray[np.float32]) -> float:
    """Seconds, in ±`MAX_OFFSET`, by which the sound comes after the lips.

    Args:
        aperture: (T,) opening of the lips over the width of the mouth at 25 frames/s (`unsilent.face.MouthTrack`).
        samples: (n,) sound at 24 kHz.

    Raises:
        EvaluationError: the sound or the mouth is still, one is under a second, or their changes do not fit clearly.
    """
    energy = _energy(samples)
    # The middle of a step, in frames whose own middles are at whole numbers.
    moments = (np.arange(len(energy)) + 0.5) * _FPS / _PER_SECOND - 0.5
    steps = min(len(energy), len(aperture) * _PER_SECOND // _FPS)
    if steps < _PER_SECOND:
        raise EvaluationError("less than a second of lips and sound; too short to find their offset")
    opening = _smooth(np.interp(moments[:steps], np.arange(len(aperture)), aperture), _OPENING_WIDTH)
    lag, correlation = _best_lag(np.diff(opening), np.diff(_smooth(energy[:steps], _ENERGY_WIDTH)))
    if not correlation >= CLEAR:
        raise EvaluationError(
            f"the sound follows the lips too loosely to find an offset (correlation {correlation:.2f}, "
            f"{CLEAR} is needed)"
        )
    return lag / _PER_SECOND


def _energy(samples: NDArray[np.float32]) -> Array:
    """Level (n // 240,) in dB of the speech band, at most 40 dB below its highest."""
    count = len(samples) // _STEP
    if not count or not np.any(samples):
        raise EvaluationError("the signal is silence, on which this metric is not defined")
    window = 4 * _STEP
    padded = np.pad(np.asarray(samples, np.float64), (window // 2 - _STEP // 2, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::_STEP][:count]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(window))))
    frequencies = np.fft.rfftfreq(window, 1 / RATE)
    band = power[:, (frequencies >= _LOW) & (frequencies <= _HIGH)].sum(axis=1)
    return np.asarray(10 * np.log10(np.maximum(band, band.max() * 10 ** (-_FLOOR_DB / 10))), np.float64)


def _smooth(values: Array, width: float) -> Array:
    reach = round(4 * width)
    bell = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / width))
    return np.convolve(np.pad(values, reach, mode="edge"), bell / bell.sum(), "valid")


def _best_lag(first: Array, second: Array) -> tuple[float, float]:
    """Steps by which ``second`` comes after ``first``, with a parabola's fraction, and the correlation there."""
    reach = round(MAX_OFFSET * _PER_SECOND)
    width = len(first) - 2 * reach
    centre = first[reach : reach + width]
    scores = np.array([_correlation(centre, second[at : at + width]) for at in range(2 * reach + 1)])
    best = int(scores.argmax())
    lag = float(best - reach)
    if 0 < best < 2 * reach:
        before, at, after = scores[best - 1 : best + 2]
        curvature = before - 2 * at + after
        lag += 0.5 * float(before - after) / float(curvature) if curvature < 0 else 0.0
    return lag, float(scores[best])


def _correlation(first: Array, second: Array) -> float:
    deviation = float(first.std() * second.std())
    return float(((first - first.mean()) * (second - second.mean())).mean()) / deviation if deviation > 1e-12 else -1.0
