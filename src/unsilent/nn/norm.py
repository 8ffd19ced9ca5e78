"""Batch normalisation for sequences whose input comes from audio at one time and from video at another."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Modality", "ModalityBatchNorm"]

Modality = Literal["audio", "video"]


class ModalityBatchNorm(nn.Module):
    """Batch-norm over time with running statistics of each modality and one shared scale and shift.

    A decoder that moves from audio to video input keeps its weights, while the statistics that it normalises
    with stay those of the input it sees (Kefalas, Pantic, Panagakis 2024, as third-party notes report it; the
    formulation here is ours). Padding never enters the statistics.

    Args:
        channels: C.
        momentum: weight of a new batch in the running statistics.
        eps: added to the variance.
        split: one set of running statistics a modality; otherwise both share the set named ``video``.
    """

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5, split: bool = True) -> None:
        super().__init__()
        self.momentum, self.eps, self.split = momentum, eps, split
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        for modality in get_args(Modality) if split else ("video",):
            self.register_buffer(f"{modality}_mean", torch.zeros(channels))
            self.register_buffer(f"{modality}_var", torch.ones(channels))

    def forward(self, x: Tensor, mask: Tensor, modality: Modality = "video") -> Tensor:
        """Normalise (B, C, T); only positions where ``mask`` (B, T) is True enter the statistics."""
        name = modality if self.split else "video"
        mean: Tensor = getattr(self, f"{name}_mean")
        var: Tensor = getattr(self, f"{name}_var")
        if not self.training:
            scale = self.weight * torch.rsqrt(var + self.eps)
            return x * scale[:, None] + (self.bias - mean * scale)[:, None]
        if bool(mask.all()):
            return self._normalise(x, mean, var)
        # Only valid positions are handed to batch_norm; it computes the statistics and updates the running ones.
        packed = self._normalise(x.transpose(1, 2)[mask], mean, var)
        out = x.new_zeros(x.shape[0], x.shape[2], x.shape[1])
        out[mask] = packed
        return out.transpose(1, 2)

    def _normalise(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return functional.batch_norm(x, mean, var, self.weight, self.bias, True, self.momentum, self.eps)
