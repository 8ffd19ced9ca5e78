"""One training loop for every stage: order, update, average, validate, checkpoint, resume."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from unsilent.errors import CheckpointError, OutputError, RecipeError, TrainingError
from unsilent.files import sha256_file, sweep
from unsilent.models.pretrained import CARD, WEIGHTS, read_card
from unsilent.training.checkpoint import (
    Snapshot,
    flatten_optimizer,
    newest_snapshot,
    restore_optimizer,
    write_snapshot,
)
from unsilent.training.journal import Journal
from unsilent.training.order import BatchOrder, RankOrder, StepOrder
from unsilent.training.parallel import replicate, shard, translate
from unsilent.training.recipe import OptimConfig, RunConfig
from unsilent.training.reduce import (
    average_metrics,
    gathered,
    like_parameter,
    whole_tensor,
    world_size,
)
from unsilent.training.schedule import Ema, learning_rate, set_learning_rate

__all__ = ["Networked", "Ordered", "Task", "Trainer"]

log = logging.getLogger(__name__)
Batch = TypeVar("Batch")
Metrics = dict[str, float]


class Task(Protocol[Batch]):
    """What a stage brings: its modules, how one step learns, how it is judged and what it ships.

    A task may also be `Networked` or `Ordered`. One that is not `Networked` calls `reduce.average_gradients` after
    every backward pass, or several processes would each learn on their own.
    """

    modules: nn.ModuleDict
    """Everything that learns, never wrapped. The moving average is taken of ``modules['model']``."""
    optimizers: Mapping[str, Optimizer]
    keep_last: bool
    """Ship the newest weights rather than those of the best score, which an adversarial loss does not lower."""

    def data(self) -> Dataset[Any]:
        """Training samples, indexed by `SampleKey`."""

    def collate(self, samples: list[Any]) -> Batch:
        """Samples to a batch."""

    def update(self, batch: Batch, step: int, total: int) -> Metrics:
        """Learn from this process's share of a batch: forward, backward, clip, optimiser step."""

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Judge ``modules['model']``, which holds the averaged weights; a lower ``score`` is better.

        Called in the main process alone: it must not talk to the others.
        """

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged model and its card to ``folder``; called in the main process alone."""


@runtime_checkable
class Networked(Protocol):
    """A task whose every step is one forward and one backward pass of one module, or of each part of the step."""

    network: nn.Module
    """Made of the parameters of ``modules``; ``update`` calls it, and the trainer puts DDP or FSDP in its place."""
    freezes: bool
    """Some of its parameters do not learn at every step."""


@runtime_checkable
class Ordered(Protocol):
    """A task whose samples come in an order of its own."""

    def order(self, start: int) -> StepOrder:
        """Batches of all processes from step ``start`` on."""


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
        stop: asked in the main process, with the step, when the run begins or resumes and after every validation; True
            ends it there.
        overdue: asked in the main process after every step, where given; True has the run judged, saved and ended
            there.
        renew: brings the recipe of a checkpoint into the form of ``recipe``: settings that have come up since get
            their defaults.
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
        stop: Callable[[int], bool] = lambda step: False,
        overdue: Callable[[], bool] | None = None,
        renew: Callable[[dict[str, Any]], dict[str, Any]] = lambda old: old,
    ) -> None:
        self.stop, self.overdue, self.renew = stop, overdue, renew
        self.task, self.run, self.optim, self.recipe, self.folder = task, run, optim, recipe, folder
        self.accelerator, self.on_step = accelerator, on_step
        self._main = accelerator.is_main_process
        self._shadow: nn.ModuleDict | None = None
        """Where weights are spread over processes: the same modules in one piece, to judge and to ship."""
        self._spread_out()
        self.ema = Ema(task.modules["model"], optim.ema)
        self.step, self.best = 0, math.inf

    def fit(self) -> Metrics:
        """Train to the end and return the best validation metrics.

        Raises:
            RecipeError: a step's samples cannot be divided over the processes.
            TrainingError: the loss is not a number, or processes have drifted apart; the last good checkpoint stays.
            CheckpointError: the folder holds a run of another recipe, or of other data.
            OutputError: the folder cannot be made or written.
        """
        self._resume()
        data, order = self.task.data(), self._order()
        loader = DataLoader(
            data,
            batch_sampler=RankOrder(order, self.accelerator.process_index, world_size(), self.run.accumulate),
            collate_fn=self.task.collate,
            num_workers=self.run.workers,
            persistent_workers=False,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        every = self.run.validate_every * order.steps_per_epoch
        journal = Journal(self.folder, self.step) if self._main else None
        saved_at, best_metrics = time.monotonic(), self._read_best()
        for batch in () if self._stopped() else loader:
            metrics = self._learn(batch, order.total)
            self.step += 1
            self.on_step(self.step, order.total, metrics)
            if journal is not None and self.step % self.run.log_every == 0:
                journal.add(self.step, "train", metrics)
            late = self._late()
            if late or self.step % every == 0 or self.step == order.total:
                best_metrics = self._validate(journal, best_metrics)
                self._save()
                saved_at = time.monotonic()
                if self._stopped() or late:
                    break
            elif self._agreed(time.monotonic() - saved_at > 60 * self.run.checkpoint_minutes):
                self._save()
                saved_at = time.monotonic()
        return best_metrics if self._main else self._read_best()

    def _stopped(self) -> bool:
        """Whether the caller wants no more steps; the same answer in every process."""
        return any(gathered(float(self._main and self.step > 0 and self.stop(self.step)), self.accelerator.device))

    def _late(self) -> bool:
        """Whether time is over; the same answer in every process."""
        return self.overdue is not None and any(gathered(float(self._main and self.overdue()), self.accelerator.device))

    def _order(self) -> StepOrder:
        if isinstance(self.task, Ordered):
            return self.task.order(self.step)
        run = self.run
        return BatchOrder(len(self.task.data()), run.batch_size, run.seed, run.epochs, self.step)  # type: ignore[arg-type]

    def _spread_out(self) -> None:
        """Let the processes share gradients, or everything."""
        task, run = self.task, self.run
        if not isinstance(task, Networked):
            for name, wanted in (("accumulate", run.accumulate > 1), ("fsdp", run.fsdp), ("compile", run.compile)):
                if wanted:
                    raise RecipeError(f"run.{name}: is not for this kind of training; leave it out")
            return
        if run.compile and run.fsdp:
            raise RecipeError("run.compile: has not been made to work with run.fsdp; leave one of them out")
        if run.compile:
            translate(task.network)
        if run.fsdp and task.freezes:
            raise RecipeError(
                "run.fsdp: is not for training that freezes layers; set start.strategy to full and start.latents to 0"
            )
        if run.fsdp and world_size() > 1:
            self._shadow = copy.deepcopy(self.task.modules)
            task.network = shard(task.network, self.task.optimizers.values())
        else:
            task.network = replicate(task.network, task.freezes)

    def _agreed(self, due: bool) -> bool:
        """Whether to write a checkpoint: the main process writes it, but all have to give their parts where spread."""
        return due if self._shadow is None else any(gathered(float(due), self.accelerator.device))

    def _learn(self, batch: Batch, total: int) -> Metrics:
        # Dropout draws from a generator that step and process alone determine, so that a resumed run repeats it.
        torch.manual_seed((self.run.seed * 1_000_003 + self.step + self.accelerator.process_index * 2**53) % 2**63)
        rate = learning_rate(self.step, total, self.optim)
        for optimizer in self.task.optimizers.values():
            set_learning_rate(optimizer, rate)
        self.task.modules.train()
        metrics = average_metrics(self.task.update(batch, self.step, total), self.accelerator.device)
        # A gradient that is not a number has spoilt the weights already, though only the next loss would show it.
        wrong = [name for name in ("loss", "gradient_norm") if not math.isfinite(metrics.get(name, 0.0))]
        if wrong:
            raise TrainingError(
                f"{self.folder}: {wrong[0]} is {metrics[wrong[0]]} at step {self.step}; the last checkpoint is kept: "
                "lower optim.lr or look for damaged samples, and run the same command again"
            )
        self.ema.update(self.task.modules["model"], self.step)
        return {**metrics, "lr": rate}

    def _validate(self, journal: Journal | None, best_metrics: Metrics) -> Metrics:
        """Judge in the main process, while the others wait."""
        self._check_drift()
        learning, average = self.task.modules, _whole(self.ema.state)
        if self._shadow is not None:
            # Weights that are spread over processes cannot be used in one of them alone.
            self._shadow.load_state_dict(_whole(learning.state_dict()))
            self.task.modules = self._shadow
        try:
            if journal is not None:
                best_metrics = self._judge(journal, average, best_metrics)
        finally:
            self.task.modules = learning
        self.accelerator.wait_for_everyone()
        return best_metrics

    def _judge(self, journal: Journal, average: dict[str, Tensor], best_metrics: Metrics) -> Metrics:
        model = self.task.modules["model"]
        learnt = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(average)
        self.task.modules.eval()
        try:
            with torch.inference_mode():
                metrics = self.task.validate(journal.writer, self.step)
            journal.add(self.step, "validation", metrics)
            if metrics["score"] < self.best or self.task.keep_last:
                self.best = min(self.best, metrics["score"])
                best_metrics = metrics
                self.task.ship(self.folder / "best", metrics, self.step)
        finally:
            model.load_state_dict(learnt)
        return best_metrics

    def _check_drift(self) -> None:
        """Refuse to go on where processes do not hold the same weights, as when gradients were not averaged.

        Raises:
            TrainingError: they do not.
        """
        if world_size() == 1 or self._shadow is not None:
            return
        total = sum(parameter.detach().double().square().sum().item() for parameter in self.task.modules.parameters())
        totals = gathered(total, self.accelerator.device)
        if not math.isclose(min(totals), max(totals), rel_tol=1e-6):
            raise TrainingError(
                f"{self.folder}: the processes' weights have drifted apart at step {self.step} "
                f"(squared norms from {min(totals)} to {max(totals)}); the task does not average its gradients"
            )

    def _save(self) -> None:
        if not self._main and self._shadow is None:
            return
        optimizers = {}
        for name, optimizer in self.task.optimizers.items():
            optimizers.update(flatten_optimizer(name, optimizer))
        modules, average = _whole(self.task.modules.state_dict()), _whole(self.ema.state)
        if self._main:
            state = {"recipe": self.recipe, "best": self.best if math.isfinite(self.best) else None}
            write_snapshot(self.folder / "checkpoints", Snapshot(self.step, modules, average, optimizers, state))

    def _resume(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(
                f"{self.folder}: is no folder that a run can be kept in ({reason}); choose another"
            ) from error
        if self._main:
            for folder in ("checkpoints", "best"):
                sweep(self.folder / folder)
        snapshot = newest_snapshot(self.folder / "checkpoints")
        steps = gathered(float(snapshot.step if snapshot else 0), self.accelerator.device)
        if min(steps) != max(steps):
            raise CheckpointError(
                f"{self.folder}: the processes find different checkpoints there (steps {min(steps):.0f} to "
                f"{max(steps):.0f}); choose an --output on a file system that all of them share"
            )
        if snapshot is None:
            return
        before = self.renew(snapshot.state["recipe"])
        if _learning(before) != _learning(self.recipe):
            changed = _first_difference(_learning(before), _learning(self.recipe))
            raise CheckpointError(
                f"{self.folder}: holds a run of another recipe ({changed}); choose another --output or delete it"
            )
        try:
            _put_back(self.task.modules, snapshot.modules)
            for name, value in self.ema.state.items():
                value.copy_(like_parameter(snapshot.ema[name], value))
            for name, optimizer in self.task.optimizers.items():
                restore_optimizer(name, optimizer, snapshot.optimizers)
        except (RuntimeError, KeyError, IndexError) as error:
            raise CheckpointError(
                f"{self.folder}: its checkpoint does not fit the model, as when the shards' words have changed "
                f"({str(error).splitlines()[-1].strip()}); choose another --output or delete it"
            ) from error
        self.step = snapshot.step
        best = snapshot.state["best"]
        # Killed between the two files of a model, a run leaves one that nothing loads: any is better.
        self.best = math.inf if best is None or self._best_is_damaged() else best
        log.info("resuming %s at step %d", self.folder, self.step)

    def _best_is_damaged(self) -> bool:
        folder = self.folder / "best"
        if not (folder / WEIGHTS).is_file():
            return False
        try:
            return bool(read_card(folder).get("sha256") != sha256_file(folder / WEIGHTS))
        except CheckpointError:
            return True

    def _read_best(self) -> Metrics:
        try:
            card = json.loads((self.folder / "best" / CARD).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return card.get("metrics", {}) if isinstance(card, dict) else {}


def _whole(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: whole_tensor(value) for name, value in state.items()}


def _put_back(module: nn.Module, state: dict[str, Tensor]) -> None:
    current = module.state_dict()
    module.load_state_dict(
        {name: like_parameter(value, current[name]) if name in current else value for name, value in state.items()}
    )


def _learning(recipe: Any) -> Any:
    """A recipe without what may be another when a run goes on."""
    if not isinstance(recipe, dict) or not isinstance(recipe.get("run"), dict):
        return recipe
    return {**recipe, "run": {name: value for name, value in recipe["run"].items() if name != "compile"}}


def _first_difference(old: Any, new: Any, path: str = "") -> str:
    """Name the first key in which two recipes differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return f"{path} was {old}, is {new}"
