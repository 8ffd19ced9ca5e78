"""Means over all processes, so that several of them learn what one would.

Every helper does nothing, and costs nothing, in a single process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from unsilent.nn.norm import world_size

__all__ = [
    "average_gradients",
    "average_metrics",
    "clip_gradients",
    "gathered",
    "global_mean",
    "like_parameter",
    "mean_shares",
    "split_batch",
    "whole_tensor",
    "world_size",
]

Batch = TypeVar("Batch")
BUCKET = 25_000_000
"""Gradient values that are reduced at once."""


def global_mean(total: Tensor, count: Tensor) -> Tensor:
    """Mean over what all processes have, written so that the average of gradients over processes is its gradient.

    Losses are means over valid frames. Processes have different numbers of these, so that the mean of their means would
    not be the mean of all: ``total`` is divided by the count of all processes, and multiplied by how many they are.

    Args:
        total: () sum of this process, which has a gradient.
        count: () number of values in it.

    Returns:
        (): ``total / count`` in one process; in several, its mean over them is the mean of all. 0 where nothing counts.
    """
    count, world = count.detach().to(torch.float64), world_size()
    if world > 1:
        distributed.all_reduce(count)
    mean: Tensor = total * world / count.clamp(min=1).to(total.dtype)
    return mean


def mean_shares(counts: Sequence[Mapping[str, float]], device: torch.device) -> list[dict[str, float]]:
    """Weights that make the means of parts of a step's batch into the means of all of it.

    Args:
        counts: for every part that this process works on in turn, how many values each loss is a mean of.
        device: on which the processes talk to each other.

    Returns:
        For every part, the factor of every loss: ``processes * its count / the count of all parts of all processes``.
        The sum over parts, averaged over processes, is the mean of the whole batch.
    """
    world = world_size()
    if world == 1 and len(counts) == 1:
        return [dict.fromkeys(counts[0], 1.0)]
    names = list(counts[0])
    sums = torch.tensor([sum(part[name] for part in counts) for name in names], dtype=torch.float64, device=device)
    if world > 1:
        distributed.all_reduce(sums)
    totals = dict(zip(names, sums.tolist(), strict=True))
    return [{name: world * part[name] / max(totals[name], 1.0) for name in names} for part in counts]


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Split a dataclass of tensors that all begin with the batch axis into ``parts`` of it, for accumulation."""
    if parts == 1:
        return [batch]
    pieces = {name: value.tensor_split(parts) for name, value in vars(batch).items()}
    return [type(batch)(**{name: values[part] for name, values in pieces.items()}) for part in range(parts)]


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over processes, after the backward pass and before they are clipped.

    For adversarial training, where `torch.nn.parallel.DistributedDataParallel` would stand in the way: it follows one
    forward and one backward pass, while there several networks take turns and a penalty differentiates twice.
    Every process must have gradients of the same parameters.
    """
    if world_size() == 1:
        return
    bucket: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is not None:
            bucket.append(parameter.grad)
            if sum(gradient.numel() for gradient in bucket) >= BUCKET:
                _average(bucket)
                bucket = []
    _average(bucket)


def _average(tensors: list[Tensor]) -> None:
    if not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    flat /= world_size()
    for tensor, values in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(values.view(tensor.shape))


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """`torch.nn.utils.clip_grad_norm_`, also of parameters that are spread over processes; returns the norm."""
    return float(whole_tensor(nn.utils.clip_grad_norm_(parameters, limit)).item())


def average_metrics(metrics: dict[str, float], device: torch.device) -> dict[str, float]:
    """Mean of each metric over processes, which must all name the same ones."""
    if world_size() == 1:
        return metrics
    values = torch.tensor(list(metrics.values()), dtype=torch.float64, device=device)
    distributed.all_reduce(values)
    return dict(zip(metrics, (values / world_size()).tolist(), strict=True))


def gathered(value: float, device: torch.device) -> list[float]:
    """The ``value`` of every process."""
    if world_size() == 1:
        return [value]
    mine = torch.tensor([value], dtype=torch.float64, device=device)
    values = [torch.empty_like(mine) for _ in range(world_size())]
    distributed.all_gather(values, mine)
    return torch.cat(values).tolist()


def whole_tensor(tensor: Tensor) -> Tensor:
    """All of a tensor that may be spread over processes, in every one of them."""
    whole: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole


@torch.no_grad()
def like_parameter(value: Tensor, parameter: Tensor) -> Tensor:
    """``value`` as ``parameter`` lies in memory and over processes; as it is where their shapes differ."""
    if value.shape != parameter.shape:
        return value
    if isinstance(parameter, DTensor):
        moved = value.to(device=parameter.device, dtype=parameter.dtype)
        return distribute_tensor(moved, parameter.device_mesh, parameter.placements)
    return torch.empty_like(parameter).copy_(value)
