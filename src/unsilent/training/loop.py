"""One training loop for every stage: order, update, average, validate, checkpoint, resume."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from unsilent.errors import CheckpointError, OutputError, TrainingError
from unsilent.training.checkpoint import (
    Snapshot,
    flatten_optimizer,
    newest_snapshot,
    restore_optimizer,
    write_snapshot,
)
from unsilent.training.order import BatchOrder
from unsilent.training.recipe import OptimConfig, RunConfig
from unsilent.training.schedule import Ema, learning_rate, set_learning_rate

__all__ = ["Task", "Trainer"]

log = logging.getLogger(__name__)
Batch = TypeVar("Batch")
Metrics = dict[str, float]


class Task(Protocol[Batch]):
    """What a stage brings: its modules, how one step learns, how it is judged and what it ships."""

    modules: nn.ModuleDict
    """Everything that learns. The moving average is taken of ``modules['model']``."""
    optimizers: Mapping[str, Optimizer]
    keep_last: bool
    """Ship the newest weights rather than those of the best score, which an adversarial loss does not lower."""

    def data(self) -> Dataset[Any]:
        """Training samples, indexed by `SampleKey`."""

    def collate(self, samples: list[Any]) -> Batch:
        """Samples to a batch."""

    def update(self, batch: Batch, step: int, total: int) -> Metrics:
        """Learn from one batch: forward, backward, clip, optimiser step."""

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Judge ``modules['model']``, which holds the averaged weights; a lower ``score`` is better."""

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged model and its card to ``folder``."""


class Trainer(Generic[Batch]):
    """Runs a task from wherever its folder says it is to its last step.

    Args:
        task: the stage.
        run: length, seed, batch size.
        optim: schedule and averaging.
        recipe: the resolved recipe, stored in every checkpoint.
        folder: of the run: ``checkpoints/``, ``best/``, ``tensorboard/``, ``history.jsonl``.
        accelerator: device, processes, precision.
        on_step: called with (step, total, metrics) after every step, for a progress bar.
    """

    def __init__(
        self,
        task: Task[Batch],
        run: RunConfig,
        optim: OptimConfig,
        recipe: dict[str, Any],
        folder: Path,
        accelerator: Accelerator,
        on_step: Callable[[int, int, Metrics], None] = lambda step, total, metrics: None,
    ) -> None:
        self.task, self.run, self.optim, self.recipe, self.folder = task, run, optim, recipe, folder
        self.accelerator, self.on_step = accelerator, on_step
        self.ema = Ema(task.modules["model"], optim.ema)
        self.step, self.best = 0, math.inf

    def fit(self) -> Metrics:
        """Train to the end and return the best validation metrics.

        Raises:
            TrainingError: the loss is not a number; the last good checkpoint stays.
            CheckpointError: the folder holds a run of another recipe, or of other data.
            OutputError: the folder cannot be made or written.
        """
        self._resume()
        data = self.task.data()
        order = BatchOrder(len(data), self.run.batch_size, self.run.seed, self.run.epochs, self.step)  # type: ignore[arg-type]
        loader = DataLoader(
            data,
            batch_sampler=order,
            collate_fn=self.task.collate,
            num_workers=self.run.workers,
            persistent_workers=False,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        every = self.run.validate_every * order.steps_per_epoch
        writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.step)
        saved_at, best_metrics = time.monotonic(), self._read_best()
        try:
            for batch in loader:
                metrics = self._learn(batch, order.total)
                self.step += 1
                self.on_step(self.step, order.total, metrics)
                if self.step % self.run.log_every == 0:
                    self._log(writer, "train", metrics)
                if self.step % every == 0 or self.step == order.total:
                    best_metrics = self._validate(writer, best_metrics)
                    self._save()
                    saved_at = time.monotonic()
                elif time.monotonic() - saved_at > 60 * self.run.checkpoint_minutes:
                    self._save()
                    saved_at = time.monotonic()
        finally:
            writer.close()
        return best_metrics

    def _learn(self, batch: Batch, total: int) -> Metrics:
        # Dropout draws from a generator that the step alone determines, so that a resumed run repeats it.
        torch.manual_seed(self.run.seed * 1_000_003 + self.step)
        rate = learning_rate(self.step, total, self.optim)
        for optimizer in self.task.optimizers.values():
            set_learning_rate(optimizer, rate)
        self.task.modules.train()
        metrics = self.task.update(batch, self.step, total)
        # A gradient that is not a number has spoilt the weights already, though only the next loss would show it.
        wrong = [name for name in ("loss", "gradient_norm") if not math.isfinite(metrics.get(name, 0.0))]
        if wrong:
            raise TrainingError(
                f"{self.folder}: {wrong[0]} is {metrics[wrong[0]]} at step {self.step}; the last checkpoint is kept: "
                "lower optim.lr or look for damaged samples, and run the same command again"
            )
        self.ema.update(self.accelerator.unwrap_model(self.task.modules["model"]), self.step)
        return {**metrics, "lr": rate}

    def _validate(self, writer: SummaryWriter, best_metrics: Metrics) -> Metrics:
        model = self.accelerator.unwrap_model(self.task.modules["model"])
        learnt = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.ema.state)
        self.task.modules.eval()
        try:
            with torch.inference_mode():
                metrics = self.task.validate(writer, self.step)
            self._log(writer, "validation", metrics)
            if metrics["score"] < self.best or self.task.keep_last:
                self.best = min(self.best, metrics["score"])
                best_metrics = metrics
                self.task.ship(self.folder / "best", metrics, self.step)
        finally:
            model.load_state_dict(learnt)
        return best_metrics

    def _log(self, writer: SummaryWriter, group: str, metrics: Metrics) -> None:
        for name, value in metrics.items():
            writer.add_scalar(f"{group}/{name}", value, self.step)
        with open(self.folder / "history.jsonl", "a", encoding="utf-8") as handle:
            handle.write(
                json.dumps({"step": self.step, "time": round(time.time(), 1), "group": group, **metrics}) + "\n"
            )

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        optimizers = {}
        for name, optimizer in self.task.optimizers.items():
            optimizers.update(flatten_optimizer(name, optimizer))
        modules = self.accelerator.unwrap_model(self.task.modules).state_dict()
        state = {"recipe": self.recipe, "best": self.best if math.isfinite(self.best) else None}
        write_snapshot(self.folder / "checkpoints", Snapshot(self.step, modules, self.ema.state, optimizers, state))

    def _resume(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(
                f"{self.folder}: is no folder that a run can be kept in ({reason}); choose another"
            ) from error
        snapshot = newest_snapshot(self.folder / "checkpoints")
        if snapshot is None:
            return
        if snapshot.state["recipe"] != self.recipe:
            changed = _first_difference(snapshot.state["recipe"], self.recipe)
            raise CheckpointError(
                f"{self.folder}: holds a run of another recipe ({changed}); choose another --output or delete it"
            )
        try:
            self.task.modules.load_state_dict(snapshot.modules)
            for name, value in self.ema.state.items():
                value.copy_(snapshot.ema[name])
            for name, optimizer in self.task.optimizers.items():
                restore_optimizer(name, optimizer, snapshot.optimizers)
        except (RuntimeError, KeyError, IndexError) as error:
            raise CheckpointError(
                f"{self.folder}: its checkpoint does not fit the model, as when the shards' words have changed "
                f"({str(error).splitlines()[-1].strip()}); choose another --output or delete it"
            ) from error
        self.step = snapshot.step
        best = snapshot.state["best"]
        self.best = math.inf if best is None else best
        log.info("resuming %s at step %d", self.folder, self.step)

    def _read_best(self) -> Metrics:
        card = self.folder / "best" / "card.json"
        return json.loads(card.read_text(encoding="utf-8")).get("metrics", {}) if card.is_file() else {}


def _first_difference(old: Any, new: Any, path: str = "") -> str:
    """Name the first key in which two recipes differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return f"{path} was {old}, is {new}"
