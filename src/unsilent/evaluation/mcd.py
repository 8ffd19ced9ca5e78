"""Mel-cepstral distortion and log-spectral distance: how far two recordings' spectra are apart, in dB.

**Mel-cepstral distortion** (Kubichek 1993, "Mel-cepstral distance measure for objective speech quality assessment").
Both signals at 16 kHz, Hann windows of 25 ms every 5 ms, zero-padded to 1024 samples. The log amplitude spectrum of a
frame, floored 60 dB below the highest point of its own recording, is read on the frequency axis of a first-order
all-pass with alpha = .41 (close to the mel scale at that rate; Tokuda, Kobayashi, Masuko, Imai 1994) and expanded in
cosines there: the coefficients of SPTK's ``sp2mc``. Of these 1 to 13 are compared; c0, the loudness, is left out, so
that a gain changes nothing. The distance of two frames is ``10 / ln 10 * sqrt(2 * sum of squared differences)``. Frames
are paired by dynamic time warping (steps of one frame in either or both signals, all of one weight, at most a second
apart), and the mean distance along the cheapest path is given. Pauses count.

Tools differ in spectrum (WORLD's envelope, a mel filter bank), order and pauses: figures of two of them do not compare.

**Log-spectral distance** (Gray & Markel 1976, "Distance measures for speech processing"). Both signals at 16 kHz, Hann
windows of 32 ms every 8 ms, power in dB, both floored 60 dB below the highest point of the *reference*; the root mean
square difference over the frequencies of a frame, averaged over frames. Nothing is warped, moved or scaled.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ORDER", "RATE", "log_spectral_distance", "mel_cepstra", "mel_cepstral_distortion", "warped_mean"]

RATE: Final = 16_000
"""Sample rate of the signals given to this module, Hz."""

ORDER: Final = 13
"""Highest mel-cepstral coefficient compared."""

_ALPHA: Final = 0.41
_WINDOW, _HOP, _FFT = 400, 80, 1024
_LSD_WINDOW, _LSD_HOP = 512, 128
_FLOOR_DB: Final = 60.0
_REACH: Final = 200
"""Frames that warping may pair: a second apart."""

Array = NDArray[np.float64]


def mel_cepstral_distortion(reference: NDArray[np.float32], degraded: NDArray[np.float32]) -> float:
    """Mel-cepstral distortion in dB, 0 upwards, of (n,) and (m,) samples at 16 kHz, neither of them silence."""
    first, second = mel_cepstra(reference), mel_cepstra(degraded)
    return float(10 / np.log(10) * np.sqrt(2)) * warped_mean(first, second, reach=_REACH)


def mel_cepstra(samples: NDArray[np.float32]) -> Array:
    """Mel-cepstral coefficients (frames, 13) of (n,) samples at 16 kHz: c1 to c13 of the natural-log amplitude."""
    power = _power(samples, _WINDOW, _HOP, _FFT)
    floor = power.max() * 10 ** (-_FLOOR_DB / 10)
    return np.asarray(0.5 * np.log(np.maximum(power, floor)) @ _warped_cosines(), np.float64)


@lru_cache(maxsize=1)
def _warped_cosines() -> Array:
    """Weights (bins, 13) that take a log amplitude spectrum to its cosine coefficients on the warped axis."""
    frequencies = np.linspace(0, np.pi, _FFT // 2 + 1)
    warped = frequencies + 2 * np.arctan2(_ALPHA * np.sin(frequencies), 1 - _ALPHA * np.cos(frequencies))
    widths = np.gradient(warped)
    widths[[0, -1]] /= 2
    return np.asarray(2 / np.pi * widths[:, None] * np.cos(warped[:, None] * np.arange(1, ORDER + 1)), np.float64)


def _power(samples: NDArray[np.float32], window: int, hop: int, fft: int) -> Array:
    """Power spectra (frames, fft / 2 + 1) of centred Hann windows; a signal of n samples has 1 + n // hop frames."""
    padded = np.pad(np.asarray(samples, np.float64), (window // 2, window - window // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][: 1 + len(samples) // hop]
    shape = np.hanning(window + 1)[:-1]
    return np.asarray(np.square(np.abs(np.fft.rfft(frames * shape, fft))), np.float64)


def warped_mean(first: Array, second: Array, *, reach: int) -> float:
    """Mean Euclidean distance of the frames that dynamic time warping pairs.

    The path starts at both first frames, ends at both last ones, moves by one frame in either or both, and has the
    lowest sum of distances; of equally cheap steps the diagonal is taken. Worked out one anti-diagonal at a time, so
    that memory grows with ``reach`` alone.

    Args:
        first: (N, D) frames.
        second: (M, D) frames.
        reach: frames that a pair may lie apart; raised to the difference of N and M where that is more.

    Returns:
        The mean over the pairs of the path, not over the frames of either signal.
    """
    N, M = len(first), len(second)
    reach = max(reach, abs(N - M)) + 1
    backwards = np.ascontiguousarray(second[::-1])
    # Cost and length of the best path to each frame of `first`, on the last anti-diagonal but one and on the last;
    # shifted by one frame, so that row 0 lies outside.
    older, newer = (np.full(N + 1, np.inf), np.zeros(N + 1)), (np.full(N + 1, np.inf), np.zeros(N + 1))
    older[0][0] = 0.0
    for total in range(N + M - 1):
        low = max(0, total - M + 1, (total - reach + 1) // 2)
        stop = min(N, total + 1, (total + reach) // 2 + 1)
        gap = first[low:stop] - backwards[M - 1 - total + low : M - 1 - total + stop]
        distance = np.sqrt(np.einsum("ij,ij->i", gap, gap))
        cost, length = older[0][low:stop], older[1][low:stop]
        for shift in (0, 1):
            other = newer[0][low + shift : stop + shift]
            length = np.where(other < cost, newer[1][low + shift : stop + shift], length)
            cost = np.minimum(cost, other)
        older[0].fill(np.inf)
        older[0][low + 1 : stop + 1] = cost + distance
        older[1][low + 1 : stop + 1] = length + 1
        older, newer = newer, older
    return float(newer[0][N] / newer[1][N])


def log_spectral_distance(reference: NDArray[np.float32], degraded: NDArray[np.float32]) -> float:
    """Log-spectral distance in dB, 0 upwards, of two signals (n,) at 16 kHz; ``reference`` is not silence."""
    true, mine = (_power(signal, _LSD_WINDOW, _LSD_HOP, _LSD_WINDOW) for signal in (reference, degraded))
    floor = true.max() * 10 ** (-_FLOOR_DB / 10)
    difference = 10 * np.log10(np.maximum(true, floor) / np.maximum(mine, floor))
    return float(np.sqrt(np.square(difference).mean(axis=1)).mean())
