"""A differentiable stand-in for ESTOI, computed from log-mel spectrograms.

Shapes: B batch, F mel bands, M mel frames, K bins of the Fourier transform, O third-octave bands, S segments,
N mel frames a segment.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from unsilent.features import MelConfig, mel_filterbank

__all__ = ["mel_estoi"]

BANDS, LOWEST = 15, 150.0
"""Third-octave bands and the centre of the lowest, Hz."""
SEGMENT = 0.384
"""Seconds over which amplitudes are normalised and correlated."""
DYNAMIC_RANGE = 40.0
"""Frames of the true speech that lie this many dB under its loudest are left out."""
SMALL = 1e-5
"""Added to norms; relative to speech's amplitudes it changes nothing, and silence then has no gradient."""


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _matrices(config: MelConfig) -> tuple[Tensor, Tensor]:
    """Mel amplitudes to magnitudes of bins, (K, F), and squared magnitudes to third-octave energies, (O, K)."""
    bank = mel_filterbank(config)
    share = bank / bank.amax(1, keepdim=True)
    spread = (share / share.sum(0, keepdim=True).clamp(min=1e-3)).T
    hertz = torch.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1)
    centres = LOWEST * 2.0 ** (torch.arange(BANDS) / 3)
    low, high = centres * 2 ** (-1 / 6), centres * 2 ** (1 / 6)
    inside = (hertz[None] >= low[:, None]) & (hertz[None] < high[:, None])
    return spread, inside.float()


def mel_estoi(predicted: Tensor, target: Tensor, mask: Tensor, config: MelConfig) -> Tensor:
    """ESTOI (Jensen, Taal 2016) of each clip, from log-mels instead of waveforms, averaged over segments.

    ESTOI takes third-octave amplitudes of 26 ms frames, 12.8 ms apart, at 10 kHz; here they are put together from mel
    bands, 10 ms apart. Segments are as long, silence is left out as there, and rows and then columns of a segment are
    normalised as in the paper's equations 3 to 5. A clip without one whole segment of speech scores zero and has no
    gradient. Our choice: SVTS and its successors do not train on it.

    Args:
        predicted: (B, F, M).
        target: (B, F, M).
        mask: (B, M), frames that count.
        config: the mel definition of both.

    Returns:
        (B,) in [-1, 1]; 1 where they are equal.
    """
    spread, bands = (matrix.to(predicted) for matrix in _matrices(config))
    length = round(SEGMENT * config.sample_rate / config.hop_length)
    scores = []
    for mine, true, counts in zip(predicted, target, mask, strict=True):
        magnitude = spread @ true.exp()
        loudness = 10 * magnitude.square().sum(0).clamp(min=1e-10).log10()
        quietest = loudness.masked_fill(~counts, -torch.inf).amax() - DYNAMIC_RANGE
        spoken = counts & (loudness > quietest)
        if int(spoken.sum()) < length:
            scores.append((mine * 0).sum())
            continue
        amplitudes = (
            (bands @ (spread @ each[:, spoken].clamp(max=4.0).exp()).square() + 1e-12).sqrt() for each in (mine, true)
        )
        pieces = (each.unfold(1, length, 1).transpose(0, 1) for each in amplitudes)  # (S, O, N) each
        first, second = (_normalise(_normalise(piece, 2), 1) for piece in pieces)
        scores.append((first * second).sum((1, 2)).mean() / length)
    return torch.stack(scores)


def _normalise(segments: Tensor, axis: int) -> Tensor:
    """Zero mean and unit norm along ``axis``."""
    centred = segments - segments.mean(axis, keepdim=True)
    norm = (centred.square().sum(axis, keepdim=True) + SMALL**2).sqrt()
    return centred / norm
