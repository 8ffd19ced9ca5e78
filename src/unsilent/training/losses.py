"""Losses, masked so that padding and missing sound never count.

Shapes: B batch, F mel bands, M mel frames, N samples. A mask is (B, M), or (B, F, M) where some bands of a recording
do not count because its bandwidth ends below them (`band_mask`).
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional

from unsilent.features import MelConfig, band_edges, stft_magnitude
from unsilent.nn.norm import world_size

__all__ = [
    "band_mask",
    "best_lags",
    "centre_lags",
    "masked_delta_l1",
    "masked_l1",
    "multi_resolution_stft",
    "shift_frames",
    "spectral_convergence",
]

STFT_RESOLUTIONS = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))
"""(n_fft, hop, window) of the multi-resolution STFT loss, as in Parallel WaveGAN (Yamamoto et al. 2020)."""


def masked_l1(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of (B, F, M) over the places where ``mask`` is True."""
    weight = _weight(mask, predicted)
    total = ((predicted - target).abs() * weight).sum()
    mean: Tensor = total / weight.sum().clamp(min=1)
    return mean


def masked_delta_l1(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """`masked_l1` of the differences between neighbouring frames."""
    return masked_l1(predicted.diff(dim=-1), target.diff(dim=-1), mask[..., 1:] & mask[..., :-1])


def band_mask(bandwidth: Tensor, config: MelConfig) -> Tensor:
    """Mel bands that lie wholly below each recording's bandwidth: (B,) Hz to (B, F) bool.

    What a recording cannot hold must not be learnt as silence.
    """
    edges = band_edges(config).to(bandwidth)
    return edges[None] <= bandwidth[:, None]


def _weight(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as numbers, of the shape of ``like`` (B, F, M)."""
    return (mask if mask.ndim == 3 else mask[:, None]).to(like.dtype).expand_as(like)


def best_lags(predicted: Tensor, target: Tensor, mask: Tensor, reach: int, price: float = 0.002) -> Tensor:
    """Lag of each target that makes it most like the prediction.

    Corpora have pictures and sound that are out of step, by another amount in every clip; a loss that takes the target
    where it fits best does not teach a model to smear its phones over the time in which they may come. Our choice.

    Args:
        predicted: (B, F, M).
        target: (B, F, M).
        mask: (B, M), frames of the target that count.
        reach: largest lag, in frames.
        price: added to the L1 for every frame of lag, so that no clip is moved for nothing.

    Returns:
        (B,) int64 lags in [-reach, reach]; frame ``m + lag`` of the target belongs to frame ``m`` of the prediction.
    """
    with torch.no_grad():
        costs = []
        for lag in range(-reach, reach + 1):
            moved, counts = shift_frames(target, mask, target.new_full((len(target),), lag, dtype=torch.long))
            weight = counts[:, None].to(predicted.dtype)
            total = weight.sum((1, 2)).clamp(min=1) * predicted.shape[1]
            costs.append(((predicted - moved).abs() * weight).sum((1, 2)) / total + price * abs(lag))
        return torch.stack(costs).argmin(0) - reach


@torch.no_grad()
def centre_lags(lags: Tensor, *, alone: bool) -> Tensor:
    """Lags (B,) less their rounded mean: clips may be out of step, but a model that is late for all of them is late.

    Without this, a model that may move its targets is free to settle on any timing.

    Args:
        lags: of this process's clips.
        alone: take the mean over these; else over those of all processes.
    """
    total = torch.tensor([float(lags.sum()), float(len(lags))], dtype=torch.float64, device=lags.device)
    if not alone and world_size() > 1:
        distributed.all_reduce(total)
    return lags - int((total[0] / total[1]).round())


def shift_frames(target: Tensor, mask: Tensor, lags: Tensor) -> tuple[Tensor, Tensor]:
    """Move each target (B, F, M) and its mask (B, M) by its lag (B,): frame ``m`` of the result is ``m + lag``."""
    source = torch.arange(target.shape[2], device=target.device)[None] + lags[:, None]
    inside = (source >= 0) & (source < target.shape[2])
    source = source.clamp(0, target.shape[2] - 1)
    moved = target.gather(2, source[:, None].expand_as(target))
    return moved, mask.gather(1, source) & inside


def spectral_convergence(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """||predicted - target|| / ||target|| of amplitudes, from log-mels (B, F, M), averaged over clips.

    SVTS adds this term to L1 (Mira et al. 2022); that it is taken of amplitudes is our choice.
    """
    weight = _weight(mask, predicted)
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
