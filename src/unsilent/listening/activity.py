"""Where someone speaks: WebRTC's voice activity detector, a gate on level, and smoothing.

The detector (Google, BSD licence; package ``webrtcvad-wheels``) classifies 10 ms at 16 kHz by a Gaussian mixture over
six sub-bands. It calls steady hum and far-off noise speech now and then, so frames well below the loud ones do not
count, and short runs are smoothed away.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import soxr
import webrtcvad
from numpy.typing import NDArray

__all__ = ["ACTIVITY_RATE", "frame_power", "signal_to_noise", "speech_activity", "stretches"]

ACTIVITY_RATE: Final = 100
"""Decisions a second."""
_DETECTOR_RATE: Final = 16_000
_AGGRESSIVENESS: Final = 2
_RANGE: Final = 40.0
"""Decibels below the loud frames from which on nothing counts as speech."""
_SHORTEST_RUN: Final = 5
_LONGEST_GAP: Final = 20
_MARGIN: Final = 10
"""Frames added on both sides: the detector is late at soft onsets, and cuts final consonants."""
_LOUD: Final = 95.0
_QUIET: Final = 5.0
_ENOUGH_QUIET: Final = 10
_RUMBLE: Final = 120
HIGHEST_RATIO: Final = 100.0


def frame_power(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Mean square of every whole 10 ms of ``samples`` (n,), hum and rumble left out: (n * 100 // sample_rate,)."""
    hop = sample_rate // ACTIVITY_RATE
    count = len(samples) // hop
    if not count:
        return np.zeros(0)
    voiced = _without_rumble(_without_rumble(samples.astype(np.float64), sample_rate), sample_rate)
    return np.asarray(np.square(voiced[: count * hop].reshape(count, hop)).mean(1))


def _without_rumble(samples: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """High-pass: what remains of a running mean over 1/120 s (50 Hz: -12 dB, 100 Hz: -2 dB)."""
    width = sample_rate // _RUMBLE | 1
    padded = np.pad(samples, (width // 2 + 1, width // 2), mode="edge")
    total = np.cumsum(padded)
    return np.asarray(samples - (total[width:] - total[:-width]) / width)


def speech_activity(
    samples: NDArray[np.float32], sample_rate: int, power: NDArray[np.float64] | None = None
) -> NDArray[np.bool_]:
    """Say for every 10 ms whether someone speaks.

    Args:
        samples: (n,) in [-1, 1]; its level does not matter.
        sample_rate: in Hz, a multiple of 100.
        power: what :func:`frame_power` gives for them, if it is known already.

    Returns:
        (n * 100 // sample_rate,); all False for silence.
    """
    power = frame_power(samples, sample_rate) if power is None else power
    active = np.zeros(len(power), np.bool_)
    if not len(power) or power.max() <= 0:
        return active
    loud = float(np.percentile(power, _LOUD)) or float(power.max())
    near = samples if sample_rate == _DETECTOR_RATE else soxr.resample(samples, sample_rate, _DETECTOR_RATE, "MQ")
    peak = float(np.abs(near).max())
    if peak <= 0:
        return active
    # The detector's thresholds are absolute: a soft recording is brought to the level it was trained at.
    pcm = np.rint(near * (0.5 * 32767 / peak)).astype("<i2").tobytes()
    detector = webrtcvad.Vad(_AGGRESSIVENESS)
    step = 2 * _DETECTOR_RATE // ACTIVITY_RATE
    for index in range(min(len(power), len(pcm) // step)):
        active[index] = detector.is_speech(pcm[index * step : (index + 1) * step], _DETECTOR_RATE)
    active &= power > loud * 10 ** (-_RANGE / 10)
    return _smooth(active)


def _smooth(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    runs = stretches(active)
    kept = np.zeros_like(active)
    previous: int | None = None
    for start, end in runs:
        if end - start < _SHORTEST_RUN:
            continue
        if previous is not None and start - previous <= _LONGEST_GAP:
            kept[previous:start] = True
        kept[max(0, start - _MARGIN) : end + _MARGIN] = True
        previous = end
    return kept


def stretches(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end (exclusive) of every run of True in ``active`` (n,)."""
    padded = np.concatenate([[False], active, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def signal_to_noise(power: NDArray[np.float64], active: NDArray[np.bool_]) -> float:
    """Level of speech over that of the pauses, in decibels, at most 100.

    The noise is the mean power where nobody speaks; with less than 0.1 s of that, the power that 5 % of all frames
    stay below (an underestimate of the ratio in speech without any pause).

    Args:
        power: (n,) of every frame, from :func:`frame_power`.
        active: (n,) whether someone speaks, from :func:`speech_activity`.
    """
    speech = float(power[active].mean()) if active.any() else 0.0
    pauses = power[~active]
    enough = len(pauses) >= _ENOUGH_QUIET
    noise = float(pauses.mean()) if enough else float(np.percentile(power, _QUIET)) if len(power) else 0.0
    if speech <= noise:
        return 0.0
    return float(min(HIGHEST_RATIO, 10 * np.log10((speech - noise) / max(noise, 1e-12))))
