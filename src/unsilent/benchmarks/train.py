"""How fast a recipe trains: samples a second, waiting for data, and arithmetic beside what the machine can do."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from unsilent.benchmarks.speak import matrix_peak
from unsilent.models import Reconstructor
from unsilent.nn import length_mask
from unsilent.training.order import BatchOrder, RankOrder
from unsilent.training.run import Recipe, begin

__all__ = ["bench_train"]

WARM_UP = 2
"""Steps before the clock starts: memory is set up in the first ones."""


def bench_train(recipe: Recipe, steps: int = 10, advance: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Train for some steps, with the recipe's own data and loader, and throw the result away.

    Args:
        recipe: of any kind.
        steps: that are timed.
        advance: called once a step.

    Returns:
        ``samples_per_second``; ``waiting``, the share of time that a step waits for its samples; ``flops``, of forward
        and backward pass a second, as `torch.utils.flop_counter` counts them; ``peak``, of a large matrix product in
        the same run; ``encoder``, the same for the encoder's forward and backward pass alone.

    Raises:
        ShardError, CheckpointError, RecipeError: data or recipe cannot be used.
    """
    task, _ = begin(recipe)
    batches = _batches(task, recipe, steps + WARM_UP)
    waits, updates, batch = [], [], None
    for number in range(steps + WARM_UP):
        started = time.perf_counter()
        batch = next(batches)
        ready = time.perf_counter()
        task.modules.train()
        task.update(batch, number, 1000)
        if number >= WARM_UP:
            waits.append(ready - started)
            updates.append(time.perf_counter() - ready)
        advance()
    assert batch is not None
    task.modules.train()
    with FlopCounterMode(display=False) as counter:
        task.update(batch, steps + WARM_UP, 1000)
    counted = counter.get_total_flops()
    step = statistics.median(updates)
    peak = matrix_peak() * 1e9
    return {
        "recipe": recipe.name,
        "threads": torch.get_num_threads(),
        "steps": steps,
        "batch_size": recipe.run.batch_size,
        "seconds_per_step": step,
        "samples_per_second": recipe.run.batch_size / (step + statistics.median(waits)),
        "waiting": sum(waits) / (sum(waits) + sum(updates)),
        "flops": counted / step,
        "peak": peak,
        "share_of_peak": counted / step / peak,
        "encoder": _encoder(task, batch, peak),
    }


def _batches(task: Any, recipe: Recipe, steps: int) -> Iterator[Any]:
    data, run = task.data(), recipe.run
    if hasattr(task, "order"):
        order = task.order(0)
    else:
        epochs = -(-steps // max(1, len(data) // run.batch_size))
        order = BatchOrder(len(data), run.batch_size, run.seed, epochs, 0)
    sampler = RankOrder(order, 0, 1, run.accumulate)
    return iter(DataLoader(data, batch_sampler=sampler, collate_fn=task.collate, num_workers=run.workers))


def _encoder(task: Any, batch: Any, peak: float) -> dict[str, float] | None:
    """Forward and backward pass of the encoder alone, on one batch; None where it has no such part."""
    model = task.modules["model"]
    if not isinstance(model, Reconstructor) or not hasattr(batch, "source"):
        return None
    mask = length_mask(batch.frames, batch.source.shape[1] if batch.source.ndim == 4 else int(batch.frames.max()))

    def run() -> Tensor:
        model.zero_grad(set_to_none=True)
        out: Tensor = model.encoder(batch.source, mask)
        out.square().mean().backward()  # type: ignore[no-untyped-call]
        return out

    with FlopCounterMode(display=False) as counter:
        run()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    rate = counter.get_total_flops() / statistics.median(times)
    return {"seconds": statistics.median(times), "flops": rate, "share_of_peak": rate / peak}
