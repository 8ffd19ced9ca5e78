"""The loop: resumes to the same bits, validates the average, ships the best, and stops at what is no number."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter

from unsilent.errors import CheckpointError, OutputError, RecipeError, TrainingError
from unsilent.training.checkpoint import newest_snapshot, read_snapshot
from unsilent.training.loop import Trainer
from unsilent.training.order import BatchOrder, SampleKey, sample_rng
from unsilent.training.recipe import OptimConfig, RunConfig

Metrics = dict[str, float]
RUN = RunConfig(epochs=3, batch_size=2, validate_every=1, log_every=1, checkpoint_minutes=0)
OPTIM = OptimConfig(lr=0.05, ema=0.5)


class Numbers(Dataset[Tensor]):
    """Six points, each with a little noise that its key decides."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, key: SampleKey) -> Tensor:
        return torch.tensor([float(key.sample), sample_rng(0, key).random()])


class Line:
    """Fits a line with dropout; keeps a record of what it was asked to do."""

    def __init__(self, scores: list[float] | None = None, *, keep_last: bool = False) -> None:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.modules = nn.ModuleDict({"model": model, "extra": nn.Linear(1, 1)})
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            "adamw": torch.optim.AdamW(self.modules.parameters(), 0.05)
        }
        self.keep_last, self.scores = keep_last, scores
        self.shipped: list[int] = []
        self.judged: list[dict[str, Tensor]] = []
        self.spoil: Callable[[int, Metrics], Metrics] = lambda step, metrics: metrics

    def data(self) -> Dataset[Any]:
        return Numbers()

    def collate(self, samples: list[Any]) -> Tensor:
        return torch.stack(samples)

    def update(self, batch: Tensor, step: int, total: int) -> Metrics:
        assert self.modules.training
        loss = (self.modules["extra"](self.modules["model"](batch)) - batch[:, :1]).square().mean()
        self.optimizers["adamw"].zero_grad()
        torch.autograd.backward(loss)
        self.optimizers["adamw"].step()
        return self.spoil(step, {"loss": loss.item(), "gradient_norm": 1.0})

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        assert not self.modules.training
        assert torch.is_inference_mode_enabled()
        self.judged.append({name: value.clone() for name, value in self.modules["model"].state_dict().items()})
        return {"score": self.scores.pop(0) if self.scores else 1.0 / step}

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "card.json").write_text(json.dumps({"metrics": metrics}))
        self.shipped.append(step)


class StoppedError(Exception):
    """Stands for a kill."""


def trainer(folder: Path, task: Line, *, stop: int | None = None, recipe: object = None, run: RunConfig = RUN) -> Any:
    def on_step(step: int, total: int, metrics: Metrics) -> None:
        assert (total, "lr" in metrics) == (9, True)
        if step == stop:
            raise StoppedError

    made: Trainer[Tensor] = Trainer(
        task, run, OPTIM, {"name": "line", "recipe": recipe}, folder, Accelerator(cpu=True), on_step
    )
    return made


def everything(folder: Path) -> dict[str, Tensor]:
    """All tensors of the newest checkpoint."""
    snapshot = newest_snapshot(folder / "checkpoints")
    assert snapshot is not None
    groups = {"modules": snapshot.modules, "ema": snapshot.ema, "optimizers": snapshot.optimizers}
    found = {f"{group}.{name}": value for group, tensors in groups.items() for name, value in tensors.items()}
    return {**found, "step": torch.tensor(snapshot.step), "best": torch.tensor(snapshot.state["best"])}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("stops", [(1,), (4,), (5, 8), (9,)])
def test_resumed_run_is_bit_identical(tmp_path: Path, stops: tuple[int, ...]) -> None:
    straight = trainer(tmp_path / "straight", Line()).fit()
    for stop in stops:
        with pytest.raises(StoppedError):
            trainer(tmp_path / "resumed", Line(), stop=stop).fit()
    resumed = trainer(tmp_path / "resumed", Line()).fit()
    assert resumed == straight
    assert_same(everything(tmp_path / "resumed"), everything(tmp_path / "straight"))
    assert everything(tmp_path / "straight")["step"] == 9


def test_time_that_is_over_ends_a_run_after_the_step_and_loses_nothing(tmp_path: Path) -> None:
    straight, late = trainer(tmp_path / "straight", Line()), trainer(tmp_path / "late", Line())
    left = iter([False, False, False, True])
    late.overdue = lambda: next(left)
    late.fit()
    found = everything(tmp_path / "late")
    assert found["step"] == 4
    judged = [json.loads(line) for line in (tmp_path / "late" / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in judged if row["group"] == "validation"][-1] == 4
    straight.fit()
    trainer(tmp_path / "late", Line()).fit()
    whole, resumed = everything(tmp_path / "straight"), everything(tmp_path / "late")
    # Judged once more than the other, it may have kept another model for the best; what learns is the same.
    del whole["best"], resumed["best"]
    assert_same(resumed, whole)


def test_different_seeds_differ(tmp_path: Path) -> None:
    trainer(tmp_path / "a", Line()).fit()
    trainer(tmp_path / "b", Line(), run=RUN.model_copy(update={"seed": 1})).fit()
    a, b = everything(tmp_path / "a"), everything(tmp_path / "b")
    assert not torch.equal(a["modules.model.0.weight"], b["modules.model.0.weight"])


def test_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    first = trainer(tmp_path, Line()).fit()
    before = everything(tmp_path)
    task = Line()
    assert trainer(tmp_path, task).fit() == first
    assert not task.judged
    assert_same(everything(tmp_path), before)


def test_validation_sees_the_average_and_training_goes_on_with_its_own_weights(tmp_path: Path) -> None:
    task = Line()
    trainer(tmp_path, task).fit()
    assert len(task.judged) == 3
    tensors = everything(tmp_path)
    for name, value in task.judged[-1].items():
        assert torch.equal(value, tensors[f"ema.{name}"]), name
    assert not torch.equal(tensors["ema.0.weight"], tensors["modules.model.0.weight"])
    assert torch.equal(tensors["ema.1.running_mean"], tensors["modules.model.1.running_mean"])
    assert torch.equal(task.modules["model"].state_dict()["0.weight"], tensors["modules.model.0.weight"])


def test_best_is_shipped(tmp_path: Path) -> None:
    task = Line([0.5, 0.7, 0.4])
    assert trainer(tmp_path, task).fit() == {"score": 0.4}
    assert task.shipped == [3, 9]


def test_worse_is_not_shipped_nor_returned_nor_after_resuming(tmp_path: Path) -> None:
    task = Line([0.5, 0.7, 0.9])
    with pytest.raises(StoppedError):
        trainer(tmp_path, task, stop=4).fit()
    assert trainer(tmp_path, task).fit() == {"score": 0.5}
    assert task.shipped == [3]


def test_adversarial_task_ships_the_newest(tmp_path: Path) -> None:
    task = Line([0.5, 0.7, 0.9], keep_last=True)
    assert trainer(tmp_path, task).fit() == {"score": 0.9}
    assert task.shipped == [3, 6, 9]
    snapshot = newest_snapshot(tmp_path / "checkpoints")
    assert snapshot is not None
    assert snapshot.state["best"] == 0.5


def test_score_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    task = Line([math.nan, 0.7, math.nan])
    assert trainer(tmp_path, task).fit() == {"score": 0.7}
    assert task.shipped == [6]


def test_other_recipe_in_the_folder_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        trainer(tmp_path, Line(), stop=4, recipe={"optim": {"lr": 1, "betas": [0.9, 0.98]}}).fit()
    before = everything(tmp_path)
    with pytest.raises(CheckpointError, match=r"recipe\.optim\.lr was 1, is 2") as caught:
        trainer(tmp_path, Line(), recipe={"optim": {"lr": 2, "betas": [0.9, 0.98]}}).fit()
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match=r"recipe\.optim\.new was None, is 3"):
        trainer(tmp_path, Line(), recipe={"optim": {"lr": 1, "betas": [0.9, 0.98], "new": 3}}).fit()
    assert_same(everything(tmp_path), before)


def test_checkpoint_of_other_sizes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        trainer(tmp_path, Line(), stop=3).fit()
    task = Line()
    task.modules["extra"] = nn.Linear(1, 2)
    with pytest.raises(CheckpointError, match="size mismatch") as caught:
        trainer(tmp_path, task).fit()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"loss": math.nan}, {"loss": math.inf}, {"gradient_norm": math.nan}])
def test_what_is_no_number_stops_the_run_and_is_never_saved(tmp_path: Path, wrong: Metrics) -> None:
    def spoil(step: int, metrics: Metrics) -> Metrics:
        if step < 5:
            return metrics
        with torch.no_grad():
            task.modules["model"][0].weight.fill_(math.nan)  # type: ignore[index]
        return {**metrics, **wrong}

    task = Line()
    task.spoil = spoil
    with pytest.raises(TrainingError, match=f"{next(iter(wrong))} is (nan|inf) at step 5") as caught:
        trainer(tmp_path, task).fit()
    assert "\n" not in str(caught.value)
    kept = everything(tmp_path)
    assert kept["step"] == 5
    assert all(value.isfinite().all() for name, value in kept.items())
    # The same command goes on from there.
    trainer(tmp_path, Line()).fit()
    assert everything(tmp_path)["step"] == 9


def test_checkpoints_come_with_validation_and_by_the_clock(tmp_path: Path) -> None:
    rare = RUN.model_copy(update={"checkpoint_minutes": 1000.0, "validate_every": 2})
    with pytest.raises(StoppedError):
        trainer(tmp_path / "rare", Line(), stop=6, run=rare).fit()
    assert newest_snapshot(tmp_path / "rare" / "checkpoints") is None
    trainer(tmp_path / "rare", Line(), run=rare).fit()
    steps = sorted(path.name for path in (tmp_path / "rare" / "checkpoints").iterdir())
    assert steps == ["step-00000006", "step-00000009"]
    with pytest.raises(StoppedError):
        trainer(tmp_path / "often", Line(), stop=5).fit()
    assert read_snapshot(tmp_path / "often" / "checkpoints" / "step-00000004").step == 4


def test_history_is_a_line_of_json_a_record(tmp_path: Path) -> None:
    trainer(tmp_path, Line()).fit()
    records = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [(record["group"], record["step"]) for record in records] == [
        ("train", 1), ("train", 2), ("train", 3), ("validation", 3), ("train", 4), ("train", 5), ("train", 6),
        ("validation", 6), ("train", 7), ("train", 8), ("train", 9), ("validation", 9),
    ]  # fmt: skip
    assert {"loss", "lr", "gradient_norm", "time"} <= set(records[0])
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="file"):
            trainer(folder, Line()).fit()
    assert (tmp_path / "file").read_text() == "mine"


class Backwards(Line):
    """Brings an order of its own, and a network of which it says that layers freeze."""

    freezes = True

    def __init__(self) -> None:
        super().__init__()
        self.network: nn.Module = self.modules["model"]
        self.asked: list[int] = []

    def order(self, start: int) -> BatchOrder:
        self.asked.append(start)
        return BatchOrder(6, 2, 99, 3, start)


def test_task_may_bring_its_own_order(tmp_path: Path) -> None:
    task = Backwards()
    with pytest.raises(StoppedError):
        trainer(tmp_path, task, stop=4).fit()
    resumed = Backwards()
    trainer(tmp_path, resumed).fit()
    assert (task.asked, resumed.asked) == ([0], [3])
    trainer(tmp_path / "other", Line()).fit()
    assert not torch.equal(
        everything(tmp_path)["modules.model.0.weight"], everything(tmp_path / "other")["modules.model.0.weight"]
    )


def test_what_a_task_cannot_do_is_refused_by_its_key(tmp_path: Path) -> None:
    for name, value in (("accumulate", 2), ("fsdp", True)):
        with pytest.raises(RecipeError, match=rf"run\.{name}: is not for this kind"):
            trainer(tmp_path, Line(), run=RUN.model_copy(update={name: value}))
    with pytest.raises(RecipeError, match=r"run\.fsdp: .* start\.strategy"):
        trainer(tmp_path, Backwards(), run=RUN.model_copy(update={"fsdp": True}))
