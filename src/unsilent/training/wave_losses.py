"""Losses on waveforms, masked above each recording's bandwidth and beyond its end.

Of what a recording cannot hold nothing is learnt, neither that it is silent nor anything else: a corpus of many
sources holds many bandwidths.

Shapes: B batch, N samples, K bins of a Fourier transform, F mel bands, M frames of a spectrogram.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from unsilent.features import MelConfig, stft_magnitude
from unsilent.nn import length_mask
from unsilent.training.losses import STFT_RESOLUTIONS, band_mask

__all__ = ["Heard", "cosine_basis", "local_mean", "low_pass", "mel_l1", "mfcc_l1", "power_l1", "stft_loss"]

QUIETEST = 1e-4
"""Magnitude of a bin below which nothing is heard, nor learnt."""
EDGE = 400.0
"""Hz over which `low_pass` falls from one to zero."""
CEPSTRA = 25
"""Mel-frequency cepstral coefficients that `mfcc_l1` compares."""
POWER_STFT = (1024, 240)
"""(n_fft, hop) of `power_l1`."""

Mean = Callable[[Tensor, Tensor], Tensor]
"""Sum and count of values to their mean: `local_mean`, or `unsilent.training.reduce.global_mean` in training."""


def local_mean(total: Tensor, count: Tensor) -> Tensor:
    """Mean of what this process has; 0 where nothing counts."""
    return total / count.clamp(min=1).to(total.dtype)


class Heard:
    """What of a batch of recordings is there to be learnt.

    Args:
        valid: (B,) samples of each recording before its end.
        bandwidth: (B,) Hz.
        sample_rate: Hz.
        first: (B,) samples of each that are missing at its start; none if not given.
    """

    def __init__(self, valid: Tensor, bandwidth: Tensor, sample_rate: int, first: Tensor | None = None) -> None:
        self.valid, self.bandwidth, self.sample_rate = valid, bandwidth, sample_rate
        self.first = torch.zeros_like(valid) if first is None else first

    def samples(self, length: int) -> Tensor:
        """(B, length) bool, True from each recording's start to its end."""
        return self._between(self.first, self.valid, length)

    def frames(self, n_fft: int, hop_length: int, count: int) -> Tensor:
        """(B, count) bool, True where a frame of an unpadded spectrogram lies wholly in the recording."""
        begin = -(-self.first).div(hop_length, rounding_mode="floor")
        return self._between(begin, (self.valid - n_fft).div(hop_length, rounding_mode="floor") + 1, count)

    @staticmethod
    def _between(first: Tensor, end: Tensor, length: int) -> Tensor:
        return length_mask(end, length) & ~length_mask(first, length)

    def bins(self, n_fft: int) -> Tensor:
        """(B, K) bool, True for bins up to the bandwidth."""
        hertz = torch.arange(n_fft // 2 + 1, device=self.bandwidth.device) * (self.sample_rate / n_fft)
        return hertz[None] <= self.bandwidth[:, None]

    def spectrum(self, n_fft: int, hop_length: int, count: int) -> Tensor:
        """(B, K, count) bool, both."""
        return self.bins(n_fft)[:, :, None] & self.frames(n_fft, hop_length, count)[:, None]

    def mel(self, config: MelConfig, count: int) -> Tensor:
        """(B, F, count) bool for a log-mel, whose frames start every ``hop_length`` samples."""
        hop = config.hop_length
        begin, end = -(-self.first).div(hop, rounding_mode="floor"), self.valid.div(hop, rounding_mode="floor")
        frames = self._between(begin, end, count)
        return band_mask(self.bandwidth, config)[:, :, None] & frames[:, None]

    def moved(self, samples: Tensor, lags: Tensor) -> tuple[Tensor, Heard]:
        """Recordings (B, N) whose sample ``n`` becomes what ``n + lag`` was, lags (B,), and what is there of them."""
        length = samples.shape[1]
        places = torch.arange(length, device=samples.device)[None] + lags[:, None]
        shifted = samples.gather(1, places.clamp(0, length - 1))
        valid, first = ((each - lags).clamp(0, length) for each in (self.valid, self.first))
        heard = Heard(valid, self.bandwidth, self.sample_rate, first)
        return shifted * heard.samples(length).to(samples.dtype), heard


def low_pass(samples: Tensor, bandwidth: Tensor, sample_rate: int) -> Tensor:
    """Remove what is above each recording's bandwidth, with a gradient.

    Generated and real sound pass through it before every critic, which would otherwise tell them apart by what a
    narrow recording lacks.

    Args:
        samples: (B, N).
        bandwidth: (B,) Hz; from half the sample rate on, nothing is removed.
        sample_rate: Hz.

    Returns:
        (B, N): unchanged up to ``EDGE`` below the bandwidth, nothing above it, half a cosine between.
    """
    length = samples.shape[1]
    # Silence at the end keeps the filter's ringing, two or three milliseconds, from coming round to the start.
    padded = length + sample_rate // 100
    hertz = torch.fft.rfftfreq(padded, 1 / sample_rate, device=samples.device)
    along = ((bandwidth[:, None] - hertz[None]) / EDGE).clamp(0, 1)
    gain = (1 - torch.cos(math.pi * along)) / 2
    gain = torch.where(bandwidth[:, None] >= sample_rate / 2, torch.ones_like(gain), gain)
    filtered = torch.fft.irfft(torch.fft.rfft(samples.float(), padded) * gain, padded)
    passed: Tensor = filtered[:, :length].to(samples.dtype)
    return passed


def stft_loss(
    made: Tensor,
    true: Tensor,
    heard: Heard,
    resolutions: Sequence[tuple[int, int, int]] = STFT_RESOLUTIONS,
    mean: Mean = local_mean,
) -> Tensor:
    """Spectral convergence plus L1 of log magnitudes at several resolutions, of waveforms (B, N).

    Source: Yamamoto, Song, Kim 2020 (Parallel WaveGAN), equations 4 to 6; the masks are ours. Resolutions are
    (n_fft, hop, window).
    """
    total = made.new_zeros(())
    for n_fft, hop, length in resolutions:
        window = torch.hann_window(length, device=made.device)
        mine, wanted = (stft_magnitude(each, n_fft, hop, window) for each in (made, true))
        keep = heard.spectrum(n_fft, hop, wanted.shape[2]).to(made.dtype)
        distance = ((mine - wanted) * keep).flatten(1).norm(dim=1)
        convergence = distance / (wanted * keep).flatten(1).norm(dim=1).clamp(min=1e-3)
        total = total + convergence.mean() + _masked(_log(mine), _log(wanted), keep, mean)
    return total / len(resolutions)


def power_l1(made: Tensor, true: Tensor, heard: Heard, mean: Mean = local_mean) -> Tensor:
    """Mean absolute difference of log power spectrograms of waveforms (B, N), after Mira et al. 2022."""
    n_fft, hop = POWER_STFT
    window = torch.hann_window(n_fft, device=made.device)
    mine, wanted = (2 * _log(stft_magnitude(each, n_fft, hop, window)) for each in (made, true))
    return _masked(mine, wanted, heard.spectrum(n_fft, hop, wanted.shape[2]).to(made.dtype), mean)


def mel_l1(made: Tensor, true: Tensor, keep: Tensor, mean: Mean = local_mean) -> Tensor:
    """Mean absolute difference of log-mels (B, F, M) where ``keep`` (B, F, M) is True (`Heard.mel`)."""
    return _masked(made, true, keep.to(made.dtype), mean)


def mfcc_l1(made: Tensor, true: Tensor, keep: Tensor, mean: Mean = local_mean) -> Tensor:
    """Mean absolute difference of the first `CEPSTRA` cepstral coefficients of log-mels, after Mira et al. 2022.

    Args:
        made: (B, F, M).
        true: (B, F, M).
        keep: (B, F, M) bool; bands and frames that do not count are taken to be right.
        mean: see `Mean`.
    """
    basis = cosine_basis(made.shape[1]).to(made)
    difference = torch.einsum("cf,bfm->bcm", basis, (made - true) * keep.to(made.dtype))
    frames = keep.any(1).sum() * len(basis)
    return mean(difference.abs().sum(), frames)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # an inference tensor in the cache would be of no use to training
def cosine_basis(bands: int) -> Tensor:
    """Orthonormal discrete cosine transform (type II), its first `CEPSTRA` rows: (min(CEPSTRA, F), F)."""
    band, row = torch.arange(bands, dtype=torch.float64), torch.arange(min(CEPSTRA, bands), dtype=torch.float64)
    basis = torch.cos(math.pi / bands * (band[None] + 0.5) * row[:, None]) * math.sqrt(2 / bands)
    basis[0] /= math.sqrt(2)
    return basis.float()


def _log(magnitude: Tensor) -> Tensor:
    return magnitude.clamp(min=QUIETEST).log()


def _masked(mine: Tensor, wanted: Tensor, keep: Tensor, mean: Mean) -> Tensor:
    """Mean absolute difference where ``keep``, of the shape of both, is one."""
    return mean(((mine - wanted).abs() * keep).sum(), keep.sum())
