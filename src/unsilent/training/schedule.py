"""Learning-rate schedule and moving average of weights."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unsilent.training.recipe import OptimConfig

__all__ = ["Ema", "learning_rate", "set_learning_rate"]


def learning_rate(step: int, total: int, config: OptimConfig) -> float:
    """Linear warm-up from 0, then ``lr`` for as long as it is held, then a cosine from there to ``final_lr * lr``.

    Args:
        step: from 0 to ``total - 1``.
        total: steps of the whole run.
        config: rate, warm-up, how long it is held, and end.
    """
    warm = config.warmup * total
    if step < warm:
        return config.lr * min(1.0, (step + 1) / warm)
    along = (step - warm) / max(1.0, total - warm)
    along = max(0.0, along - config.hold) / max(1e-9, 1 - config.hold)
    return config.lr * (config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * along)) / 2)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the rate of every group, times the group's own ``scale`` if it has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


class Ema:
    """Exponential moving average of a module's parameters; buffers are copied, not averaged."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self._averaged = [name for name, _ in module.named_parameters()]

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the module's weights; early steps use a shorter memory, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        state = module.state_dict()
        mine = [self.state[name] for name in self._averaged]
        torch._foreach_lerp_(cast(list[Tensor], mine), [state[name] for name in self._averaged], 1 - decay)
        averaged = set(self._averaged)
        for name, value in state.items():
            if name not in averaged:
                self.state[name].copy_(value)
