"""How fast a recipe trains: samples a second, waiting for data, and arithmetic beside what the machine can do."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, record_function
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from unsilent.benchmarks.reference import matrix_peak, now
from unsilent.files import atomic_path, check_place
from unsilent.models import Reconstructor
from unsilent.nn import length_mask
from unsilent.training.loop import Networked
from unsilent.training.order import BatchOrder, RankOrder
from unsilent.training.parallel import translate
from unsilent.training.run import Recipe, begin

__all__ = ["bench_train"]

WARM_UP = 2
"""Steps before the clock starts: memory is set up in the first ones."""
PROFILED = 3
"""Steps of a trace."""
COSTLIEST = 5
TOTAL = 1000
"""Steps that the run would have: what begins late in training, such as critics, is not in the first of them."""


def bench_train(
    recipe: Recipe, steps: int = 10, advance: Callable[[], object] = lambda: None, profile: Path | None = None
) -> dict[str, Any]:
    """Train for some steps, with the recipe's own data, loader, device and precision, and throw the result away.

    Args:
        recipe: of any kind.
        steps: that are timed.
        advance: called once a step.
        profile: file for a trace of `PROFILED` further steps, as `torch.profiler` writes it.

    Returns:
        ``samples_per_second``; ``waiting``, the share of time that a step waits for its samples; ``flops``, of forward
        and backward pass a second, as `torch.utils.flop_counter` counts them; ``peak``, of a large matrix product on
        the same device, in the recipe's precision, in the same run; ``encoder``, the same for the encoder's forward and
        backward pass alone; ``profile``, what the trace says, if there is one.

    Raises:
        ShardError, CheckpointError, RecipeError: data or recipe cannot be used.
        OutputError: the trace cannot be written.
    """
    if profile is not None:
        check_place(profile)
    task, accelerator = begin(recipe)
    if recipe.run.compile and isinstance(task, Networked):
        translate(task.network)
    device, precision = accelerator.device, recipe.run.precision
    batches = _batches(task, recipe, device, steps + WARM_UP + PROFILED)
    waits, updates, batch = _timed(task, batches, device, steps + WARM_UP, advance)
    waits, updates = waits[WARM_UP:], updates[WARM_UP:]
    with FlopCounterMode(display=False) as counter:
        task.update(batch, steps + WARM_UP, TOTAL)
    counted, step = counter.get_total_flops(), statistics.median(updates)
    peak = 1e9 * matrix_peak(device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    return {
        "recipe": recipe.name,
        "device": device.type,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "steps": steps,
        "batch_size": recipe.run.batch_size,
        "seconds_per_step": step,
        "samples_per_second": recipe.run.batch_size / (step + statistics.median(waits)),
        "waiting": sum(waits) / (sum(waits) + sum(updates)),
        "flops": counted / step,
        "peak": peak,
        "share_of_peak": counted / step / peak,
        "encoder": _encoder(task, accelerator, batch, peak),
        "profile": None if profile is None else _profile(task, batches, device, profile),
    }


def _batches(task: Any, recipe: Recipe, device: torch.device, steps: int) -> Iterator[Any]:
    data, run = task.data(), recipe.run
    if hasattr(task, "order"):
        order = task.order(0)
    else:
        epochs = -(-steps // max(1, len(data) // run.batch_size))
        order = BatchOrder(len(data), run.batch_size, run.seed, epochs, 0)
    sampler, pinned = RankOrder(order, 0, 1, run.accumulate), device.type == "cuda"
    loader = DataLoader(
        data, batch_sampler=sampler, collate_fn=task.collate, num_workers=run.workers, pin_memory=pinned
    )
    while True:  # of a recipe that is shorter, again
        yield from loader


def _timed(
    task: Any, batches: Iterator[Any], device: torch.device, steps: int, advance: Callable[[], object]
) -> tuple[list[float], list[float], Any]:
    """Seconds that each step waited for its samples, and worked, and the last batch."""
    waits, updates, batch = [], [], None
    for number in range(steps):
        started = now(device)
        with record_function("wait for data"):
            batch = next(batches)
        ready = now(device)
        task.modules.train()
        with record_function("step"):
            task.update(batch, number, TOTAL)
        waits.append(ready - started)
        updates.append(now(device) - ready)
        advance()
    return waits, updates, batch


def _encoder(task: Any, accelerator: Any, batch: Any, peak: float) -> dict[str, float] | None:
    """Forward and backward pass of the encoder alone, on one batch; None where it has no such part."""
    model = task.modules["model"]
    if not isinstance(model, Reconstructor) or not hasattr(batch, "source"):
        return None
    device = accelerator.device
    there = batch.to(device)
    length = there.source.shape[1] if there.source.ndim == 4 else int(there.frames.max())
    mask = length_mask(there.frames, length)

    def run() -> None:
        model.zero_grad(set_to_none=True)
        with accelerator.autocast():
            out: Tensor = model.encoder(there.source, mask)
        out.float().square().mean().backward()  # type: ignore[no-untyped-call]

    with FlopCounterMode(display=False) as counter:
        run()
    times = []
    for _ in range(5):
        started = now(device)
        run()
        times.append(now(device) - started)
    seconds = statistics.median(times)
    rate = counter.get_total_flops() / seconds
    return {"seconds": seconds, "flops": rate, "share_of_peak": rate / peak}


def _profile(task: Any, batches: Iterator[Any], device: torch.device, path: Path) -> dict[str, Any]:
    """Trace a few steps into a file; the costliest operations, and the share of time that waits for samples."""
    on_gpu = device.type == "cuda"
    with torch.profiler.profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]) as trace:
        waits, updates, _ = _timed(task, batches, device, PROFILED, lambda: None)
    with atomic_path(path) as temporary:
        trace.export_chrome_trace(str(temporary))
    # What runs on the GPU is charged to the operations that asked for it, and would else count twice.
    operations = [
        event for event in trace.key_averages() if event.device_type.name == "CPU" and not event.is_user_annotation
    ]
    took = {event.key: event.self_device_time_total if on_gpu else event.self_cpu_time_total for event in operations}
    calls, whole = {event.key: event.count for event in operations}, sum(took.values())
    costliest = sorted(took, key=lambda name: -took[name])[:COSTLIEST]
    return {
        "file": path,
        "steps": PROFILED,
        "waiting": sum(waits) / (sum(waits) + sum(updates)),
        "operations": [
            {"name": name, "calls": calls[name], "seconds": took[name] / 1e6, "share": took[name] / whole}
            for name in costliest
        ],
    }
