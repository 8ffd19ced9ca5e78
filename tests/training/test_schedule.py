"""Learning rate and moving average, value by value."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from unsilent.training.recipe import OptimConfig
from unsilent.training.schedule import Ema, learning_rate, set_learning_rate

CONFIG = OptimConfig(lr=2e-3, final_lr=0.1, warmup=0.1)


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 2e-3 / 10),
        (4, 1e-3),
        (9, 2e-3),
        (10, 2e-3),
        (55, 2e-3 * 0.55),
        (32, 2e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi * 22 / 90)) / 2)),
        (100, 2e-4),
    ],
)
def test_warm_up_then_cosine(step: int, rate: float) -> None:
    assert learning_rate(step, 100, CONFIG) == pytest.approx(rate)


@pytest.mark.parametrize(("step", "share"), [(9, 1.0), (10, 1.0), (81, 1.0), (82, 1.0), (91, 0.55), (100, 0.1)])
def test_held_before_it_falls(step: int, share: float) -> None:
    config = CONFIG.model_copy(update={"hold": 0.8})  # of the 90 steps after the warm-up: to step 82
    assert learning_rate(step, 100, config) == pytest.approx(2e-3 * share)


@given(total=st.integers(1, 300), warmup=st.floats(0, 1), final=st.floats(0, 1))
def test_rate_rises_then_falls_within_its_bounds(total: int, warmup: float, final: float) -> None:
    config = OptimConfig(lr=1.0, final_lr=final, warmup=warmup)
    rates = [learning_rate(step, total, config) for step in range(total)]
    assert all(0 < rate <= 1 + 1e-9 or final == 0 for rate in rates)
    assert max(rates) <= 1 + 1e-9
    top = math.ceil(warmup * total)
    assert all(a <= b for a, b in pairwise(rates[:top]))
    assert all(a >= b - 1e-9 for a, b in pairwise(rates[top:]))


def test_groups_may_have_a_scale() -> None:
    weight = nn.Parameter(torch.zeros(1))
    other = nn.Parameter(torch.zeros(1))
    groups: list[dict[str, Any]] = [{"params": [weight]}, {"params": [other], "scale": 0.5}]
    optimizer = torch.optim.AdamW(groups, 1.0)
    set_learning_rate(optimizer, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.1]


def test_average_of_parameters_and_copy_of_buffers() -> None:
    module = nn.BatchNorm1d(1)
    ema = Ema(module, 0.9)
    with torch.no_grad():
        module.weight.fill_(11.0)
    module.running_mean = torch.tensor([5.0])
    module.num_batches_tracked = torch.tensor(3)
    ema.update(module, step=0)  # decay (1 + 0) / (10 + 0) = .1
    assert ema.state["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 11)
    assert ema.state["running_mean"].item() == 5.0
    assert ema.state["num_batches_tracked"].item() == 3
    assert ema.state["num_batches_tracked"].dtype == torch.int64
    ema.update(module, step=1000)  # from here on the decay asked for
    assert ema.state["weight"].item() == pytest.approx(0.9 * 10.0 + 0.1 * 11)


def test_average_shares_no_memory_with_the_module() -> None:
    module = nn.Linear(2, 2)
    ema = Ema(module, 0.9)
    before = ema.state["weight"].clone()
    with torch.no_grad():
        module.weight.add_(1)
    assert torch.equal(ema.state["weight"], before)
    ema.update(module, 0)
    assert not ema.state["weight"].requires_grad
