"""What the reductions do in one process: nothing, but for parts of a batch, whose means become that of the batch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tests.training.small import train_recipe
from torch import Tensor, nn

from unsilent.training.clips import ClipBatch
from unsilent.training.order import BatchOrder
from unsilent.training.parallel import replicate, synchronised
from unsilent.training.reduce import (
    average_gradients,
    average_metrics,
    clip_gradients,
    gathered,
    global_mean,
    like_parameter,
    mean_shares,
    split_batch,
    whole_tensor,
)
from unsilent.training.video import VideoTask

CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class Pair:
    x: Tensor
    y: Tensor


def test_alone_they_change_nothing() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.tensor([3.0, 0.0, 4.0])
    average_gradients([parameter])
    assert clip_gradients([parameter], 10.0) == pytest.approx(5.0)
    assert parameter.grad.tolist() == [3.0, 0.0, 4.0]
    assert clip_gradients([parameter], 1.0) == pytest.approx(5.0)
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.0, 0.8]), atol=1e-5, rtol=0)
    metrics = {"loss": 0.1}
    assert average_metrics(metrics, CPU) is metrics
    assert gathered(0.3, CPU) == [0.3]
    assert whole_tensor(parameter) is parameter
    layer = nn.Linear(1, 1)
    assert replicate(layer) is layer
    with synchronised(layer, last=False):
        assert mean_shares([{"l1": 7.0, "none": 0.0}], CPU) == [{"l1": 1.0, "none": 1.0}]


def test_global_mean_is_a_mean_with_a_gradient_and_zero_of_nothing() -> None:
    x = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    mean = global_mean(x.sum(), torch.tensor(3))
    assert mean.item() == 3.0
    assert torch.autograd.grad(mean, x)[0].tolist() == pytest.approx([1 / 3] * 3)
    assert global_mean(torch.zeros(()), torch.tensor(0)).item() == 0.0


def test_shares_of_parts_make_the_mean_of_all() -> None:
    parts = [torch.tensor([1.0, 2.0, 6.0]), torch.tensor([7.0])]
    shares = mean_shares([{"l1": float(len(part)), "none": 0.0} for part in parts], CPU)
    mean = sum(part.mean().item() * share["l1"] for part, share in zip(parts, shares, strict=True))
    assert mean == pytest.approx(torch.cat(parts).mean().item())
    assert [share["none"] for share in shares] == [0.0, 0.0]


def test_parts_of_a_batch_are_all_of_it_in_order() -> None:
    batch = Pair(torch.arange(6).view(6, 1), torch.arange(6))
    assert split_batch(batch, 1) == [batch]
    parts = split_batch(batch, 3)
    assert [len(part.y) for part in parts] == [2, 2, 2]
    assert torch.equal(torch.cat([part.x for part in parts]), batch.x)
    assert torch.equal(torch.cat([part.y for part in parts]), batch.y)


def test_state_takes_the_layout_of_its_parameter() -> None:
    parameter = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    value = torch.randn(2, 3, 4, 5)
    moved = like_parameter(value, parameter)
    assert torch.equal(moved, value)
    assert moved.stride() == parameter.stride()
    assert like_parameter(value, torch.zeros(2, 3)) is value


def learnt(shards: Path, accumulate: int) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses and gradients of a step on clips of different lengths, whose batch-norms use running statistics."""
    still: Any = {part: {"dropout": 0} for part in ("encoder", "temporal", "decoder")}
    recipe = train_recipe(
        shards, model=still, data={"window": None}, loss={"estoi": 0.5}, optim={"clip": 1e9},
        run={"batch_size": 4, "accumulate": accumulate},
    )  # fmt: skip
    task = VideoTask(recipe, Accelerator(cpu=True))
    data = task.data()
    batch: ClipBatch = task.collate([data[key] for key in next(iter(BatchOrder(len(data), 4, 0, 1)))])
    assert len(set(batch.frames.tolist())) > 1
    task.modules.eval()
    losses = task.update(batch, 0, 10)
    gradients = {name: each.grad for name, each in task.modules.named_parameters() if each.grad is not None}
    return losses, gradients


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_step_is_that_of_the_whole_batch_but_for_batch_norm(shards: Path, accumulate: int) -> None:
    (losses, whole), (parts, accumulated) = learnt(shards, 1), learnt(shards, accumulate)
    assert parts == pytest.approx(losses, rel=1e-4, abs=1e-6)
    assert accumulated.keys() == whole.keys()
    for name, value in whole.items():
        torch.testing.assert_close(accumulated[name], value, atol=1e-5, rtol=1e-3, msg=name)
