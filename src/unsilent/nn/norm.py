"""Batch normalisation for sequences whose input comes from audio at one time and from video at another.

While several processes train together, statistics are those of the batch of all of them: a process has as few as one
clip of it. `torch.nn.SyncBatchNorm` does not take tensors on a CPU, nor does it know of padding.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = ["GlobalBatchNorm2d", "Modality", "ModalityBatchNorm", "world_size"]

Modality = Literal["audio", "video"]


def world_size() -> int:
    """Processes that train together; 1 where there is no process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


class _GlobalNormalise(torch.autograd.Function):
    """Batch-norm of (N, C, ...) with the statistics of all processes; a process may have none of the N.

    Means and variances of the processes are put together as Chan, Golub, LeVeque 1983 do it: sums of squares would
    lose the digits of a variance that is small beside its mean.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        mine = x.new_zeros(2 * x.shape[1] + 1, dtype=torch.float32)
        if x.numel():
            mine[0] = x.numel() // x.shape[1]
            mine[1:] = torch.cat(torch.var_mean(x.float(), axes, correction=0)[::-1])
        stats = [torch.empty_like(mine) for _ in range(world_size())]
        distributed.all_gather(stats, mine)
        table = torch.stack(stats)
        counts, (means, variances) = table[:, :1], table[:, 1:].chunk(2, dim=1)
        total = counts.sum().clamp(min=1)
        mean = (counts * means).sum(0) / total
        var = (counts * (variances + (means - mean).square())).sum(0) / total
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(var + eps), total)
        ctx.mark_non_differentiable(mean, var, total)
        out = functional.batch_norm(x, mean, var, weight, bias, False, 0.0, eps) if x.numel() else x.clone()
        return out, mean, var, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale, total = ctx.saved_tensors
        axes, shape = [axis for axis in range(x.ndim) if axis != 1], [-1, *[1] * (x.ndim - 2)]
        centred, wide = x.float() - mean.view(shape), grad.float()
        sums = torch.cat((wide.sum(axes), (wide * centred).sum(axes) * scale))
        for_bias, for_weight = sums.clone().chunk(2)
        distributed.all_reduce(sums)
        level, slope = (sums / total).chunk(2)
        factor = weight.float() * scale
        for_x = factor.view(shape) * (wide - level.view(shape) - (slope * scale).view(shape) * centred)
        return for_x.to(x.dtype), for_weight.to(weight.dtype), for_bias.to(weight.dtype), None


def _normalise_globally(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, momentum: float, eps: float
) -> Tensor:
    """`functional.batch_norm` in training mode, over the batch of all processes; ``mean`` and ``var`` are updated."""
    out, batch_mean, batch_var, count = _GlobalNormalise.apply(x, weight, bias, eps)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        mean.lerp_(batch_mean, momentum)
        var.lerp_(batch_var * count / (count - 1).clamp(min=1), momentum)
    normalised: Tensor = out
    return normalised


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` whose statistics are those of all processes that train together."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        return _normalise_globally(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.momentum, self.eps
        )


class ModalityBatchNorm(nn.Module):
    """Batch-norm over time with running statistics of each modality and one shared scale and shift.

    A decoder that moves from audio to video input keeps its weights, while the statistics that it normalises
    with stay those of the input it sees (Kefalas, Pantic, Panagakis 2024, as third-party notes report it; the
    formulation here is ours). Padding never enters the statistics, which are those of all processes that train
    together.

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

    @torch.no_grad()
    def copy_statistics(self, source: Modality, target: Modality) -> None:
        """Start the running statistics of one modality from those of another; shared ones stay as they are."""
        if self.split:
            for kind in ("mean", "var"):
                getattr(self, f"{target}_{kind}").copy_(getattr(self, f"{source}_{kind}"))

    def _normalise(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        if world_size() > 1:
            return _normalise_globally(x, mean, var, self.weight, self.bias, self.momentum, self.eps)
        return functional.batch_norm(x, mean, var, self.weight, self.bias, True, self.momentum, self.eps)
