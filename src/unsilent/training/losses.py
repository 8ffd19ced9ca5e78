"""Losses, masked so that padding and missing sound never count.

Shapes: B batch, F mel bands, M mel frames, N samples.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unsilent.features import stft_magnitude

__all__ = ["masked_delta_l1", "masked_l1", "multi_resolution_stft", "spectral_convergence"]

STFT_RESOLUTIONS = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))
"""(n_fft, hop, window) of the multi-resolution STFT loss, as in Parallel WaveGAN (Yamamoto et al. 2020)."""


def masked_l1(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of (B, F, M) over the frames where ``mask`` (B, M) is True."""
    weight = mask[:, None].to(predicted.dtype)
    total = ((predicted - target).abs() * weight).sum()
    mean: Tensor = total / (weight.sum() * predicted.shape[1]).clamp(min=1)
    return mean


def masked_delta_l1(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """`masked_l1` of the differences between neighbouring frames."""
    return masked_l1(predicted.diff(dim=-1), target.diff(dim=-1), mask[:, 1:] & mask[:, :-1])


def spectral_convergence(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """||predicted - target|| / ||target|| of amplitudes, from log-mels (B, F, M), averaged over clips.

    SVTS adds this term to L1 (Mira et al. 2022); that it is taken of amplitudes is our choice.
    """
    weight = mask[:, None].to(predicted.dtype)
    # exp() of a wild prediction would swamp everything else early in training; real speech stays below e^4.
    difference = (predicted.clamp(max=4.0).exp() - target.exp()) * weight
    norm = (target.exp() * weight).flatten(1).norm(dim=1)
    ratio: Tensor = difference.flatten(1).norm(dim=1) / norm.clamp(min=1e-3)
    return ratio.mean()


def multi_resolution_stft(predicted: Tensor, target: Tensor) -> Tensor:
    """Spectral convergence plus L1 of log magnitudes at three resolutions, of waveforms (B, N).

    Source: Yamamoto, Song, Kim 2020 (Parallel WaveGAN), equations 4 to 6.
    """
    total = predicted.new_zeros(())
    for n_fft, hop, length in STFT_RESOLUTIONS:
        window = torch.hann_window(length, device=predicted.device)
        mine = stft_magnitude(predicted, n_fft, hop, window)
        true = stft_magnitude(target, n_fft, hop, window)
        convergence = (mine - true).flatten(1).norm(dim=1) / true.flatten(1).norm(dim=1).clamp(min=1e-3)
        logarithmic = functional.l1_loss(mine.clamp(min=1e-4).log(), true.clamp(min=1e-4).log())
        total = total + convergence.mean() + logarithmic
    return total / len(STFT_RESOLUTIONS)
