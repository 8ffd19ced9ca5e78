"""Two processes train as one does: losses, resuming, spread weights, and refusals instead of a silent difference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tests.processes import WORLD, in_two_processes
from tests.training.small import row, save_listener, train_recipe, vocoder_recipe, write_shards
from torch import Tensor, nn

from unsilent.config import dump_recipe
from unsilent.errors import UnsilentError
from unsilent.models.pretrained import load_reconstructor
from unsilent.training import vocoder
from unsilent.training.checkpoint import newest_snapshot
from unsilent.training.loop import Trainer
from unsilent.training.parallel import replicate, synchronised
from unsilent.training.recipe import TrainRecipe, VocoderRecipe
from unsilent.training.reduce import average_gradients, global_mean, mean_shares
from unsilent.training.video import VideoTask
from unsilent.training.vocoder import VocoderTask

pytestmark = pytest.mark.timeout(900)  # two interpreters start, on a machine that may be busy
Metrics = dict[str, float]
LAYERS: dict[str, dict[str, Any]] = {"encoder": {"depths": [1, 1]}, "temporal": {"blocks": 1}, "decoder": {"blocks": 1}}
STILL = {part: {**layers, "dropout": 0} for part, layers in LAYERS.items()}
"""Dropout is drawn in every process alone, so that only runs without it can be compared."""
RUN = {"epochs": 2, "batch_size": 4, "checkpoint_minutes": 0, "validate_every": 2}


class StoppedError(Exception):
    """Stands for a kill."""


def recipe_of(kind: str, shards: Path) -> TrainRecipe | VocoderRecipe:
    if kind == "vocoder":
        return vocoder_recipe(shards, run={"batch_size": 4, "validate_every": 2})
    if kind == "dropping":  # two steps an epoch, and everything that is drawn
        return train_recipe(shards, model=LAYERS, run={**RUN, "batch_size": 2})
    spread = {"fsdp": kind == "fsdp", **({"batch_size": 6, "accumulate": 2} if kind == "uneven" else {})}
    losses = {"estoi": 0.5, "lag": 0}
    start = (
        {"init": "decoder", "source": str(shards.parent / "listener"), "latents": 0.5} if kind == "regressed" else {}
    )
    return train_recipe(shards, model=STILL, data={"window": None}, loss=losses, run={**RUN, **spread}, start=start)


def fit(kind: str, shards: Path, folder: Path, stop: int | None = None) -> Metrics:
    """Train, or go on, in as many processes as call this; ``stop`` kills all of them after a step."""
    recipe = recipe_of(kind, shards)

    def on_step(step: int, total: int, metrics: Metrics) -> None:
        if step == stop:
            raise StoppedError

    accelerator = Accelerator(cpu=True)
    task: Any = (VocoderTask if isinstance(recipe, VocoderRecipe) else VideoTask)(recipe, accelerator)  # type: ignore[arg-type]
    trainer: Trainer[Any] = Trainer(task, recipe.run, recipe.optim, dump_recipe(recipe), folder, accelerator, on_step)
    return trainer.fit()


def killed(kind: str, shards: Path, folder: Path, stop: int) -> None:
    with pytest.raises(StoppedError):
        fit(kind, shards, folder, stop)


def refusal(call: Callable[[], Any]) -> str:
    try:
        call()
    except UnsilentError as error:
        return f"{type(error).__name__} {error}"
    return "none"


def thawed(rank: int) -> dict[str, bool]:
    """Whether averaged gradients are those of the whole batch, while a layer freezes and thaws after the wrapping."""
    torch.manual_seed(0)
    layers, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(6, 3)
    alone = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    alone.load_state_dict(layers.state_dict())
    layers[0].requires_grad_(False)
    network = replicate(layers, freezes=True)
    same: dict[str, bool] = {}
    assert not layers[0].weight.requires_grad
    for learns in (False, True, False, True):
        for module in (layers, alone):
            module[0].requires_grad_(learns)
            module.zero_grad(set_to_none=True)
        for part, last in ((x[rank:3:WORLD], False), (x[3 + rank :: WORLD], True)):
            with synchronised(network, last):
                count = torch.tensor(float(len(part)))
                torch.autograd.backward(global_mean(network(part).square().sum(), count) * _half(count, len(x)))
        torch.autograd.backward(alone(x).square().sum() / len(x))
        pairs = list(zip(layers.parameters(), alone.parameters(), strict=True))
        same[f"{len(same)} {learns}"] = all(
            (a.grad is None and b.grad is None) or torch.allclose(a.grad, b.grad, atol=1e-6)  # type: ignore[arg-type]
            for a, b in pairs
        )
    return same


def _half(count: Tensor, items: int) -> Tensor:
    """Share of a part's items in all of them, over all processes."""
    count = count.clone()
    torch.distributed.all_reduce(count)
    return count / items


def explicit(rank: int) -> dict[str, Any]:
    """What the reductions give, of numbers that can be computed by hand."""
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, 2)), nn.Parameter(torch.zeros(1))]
    for parameter in parameters[:2]:
        parameter.grad = torch.full_like(parameter, float(rank + 1))
    average_gradients(parameters)
    shares = mean_shares([{"l1": 1.0 + rank, "none": 0.0}, {"l1": 4.0, "none": 0.0}], torch.device("cpu"))
    nothing = global_mean(torch.zeros((), requires_grad=True), torch.tensor(0))
    return {
        "gradients": [None if each.grad is None else each.grad.flatten().tolist() for each in parameters],
        "shares": shares,
        "nothing": nothing.item(),
    }


def worker(rank: int, folder: Path) -> None:
    shards = folder / "shards"
    for kind in ("plain", "fsdp", "vocoder", "regressed"):
        fit(kind, shards, folder / kind)
    fit("dropping", shards, folder / "straight")
    killed("dropping", shards, folder / "resumed", stop=4)
    if rank == 0:
        shutil.copytree(folder / "resumed", folder / "alone")
    fit("dropping", shards, folder / "resumed")
    killed("fsdp", shards, folder / "fsdp-resumed", stop=2)
    fit("fsdp", shards, folder / "fsdp-resumed")
    found = {
        "uneven": refusal(lambda: fit("uneven", folder / "six", folder / "uneven")),
        "elsewhere": refusal(lambda: fit("dropping", shards, folder / ("resumed" if rank else "nowhere"))),
        "thawed": thawed(rank),
        "explicit": explicit(rank),
    }
    setattr(vocoder, "average_gradients", lambda parameters: None)  # noqa: B010 (it is imported there, not exported)
    found["drifting"] = refusal(lambda: fit("vocoder", shards, folder / "drifting"))
    (folder / f"found-{rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("processes")
    write_shards(made / "shards")
    rows = [row(number, frames=10) for number in range(6)] + [row(9, split="held-out")]
    write_shards(made / "six", rows)
    save_listener(made / "listener", train_recipe(made / "shards", model=STILL).model)
    in_two_processes(worker, made)
    return made


def history(folder: Path, group: str = "train") -> list[Metrics]:
    records = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [record for record in records if record["group"] == group]


def tensors_of(folder: Path) -> dict[str, Tensor]:
    snapshot = newest_snapshot(folder / "checkpoints")
    assert snapshot is not None
    groups = {"modules": snapshot.modules, "ema": snapshot.ema, "optimizers": snapshot.optimizers}
    return {f"{group}.{name}": value for group, tensors in groups.items() for name, value in tensors.items()}


@pytest.fixture(scope="module")
def one(folder: Path) -> Path:
    for kind in ("plain", "vocoder", "regressed"):
        fit(kind, folder / "shards", folder / f"one-{kind}")
    return folder


@pytest.mark.parametrize(
    ("mine", "theirs"), [("plain", "plain"), ("fsdp", "plain"), ("vocoder", "vocoder"), ("regressed", "regressed")]
)
def test_losses_are_those_of_one_process_with_the_same_batch(one: Path, mine: str, theirs: str) -> None:
    for group in ("train", "validation"):
        two, alone = history(one / mine, group), history(one / f"one-{theirs}", group)
        assert [each["step"] for each in two] == [each["step"] for each in alone]
        for ours, wanted in zip(two, alone, strict=True):
            assert ours.keys() == wanted.keys()
            for name in wanted.keys() - {"time", "group"}:
                assert ours[name] == pytest.approx(wanted[name], rel=1e-4, abs=1e-5), (name, wanted["step"])
    # Before any weight has moved, nothing but the order of sums differs.
    first, wanted = history(one / mine)[0], history(one / f"one-{theirs}")[0]
    for name in ("loss", "gradient_norm"):
        assert first[name] == pytest.approx(wanted[name], rel=2e-5)
    moved, still = tensors_of(one / mine), tensors_of(one / f"one-{theirs}")
    assert {name: value.shape for name, value in moved.items()} == {name: value.shape for name, value in still.items()}
    # A gradient that is zero but for noise still moves its weight by a whole step of Adam, so all are judged together.
    names = [name for name in still if name.startswith("modules")]
    weights, alone_weights = (torch.cat([each[name].flatten().double() for name in names]) for each in (moved, still))
    assert (weights - alone_weights).norm() < (5e-3 if mine == "vocoder" else 1e-5) * alone_weights.norm()


def test_resumed_in_mid_epoch_it_is_bit_identical(folder: Path) -> None:
    straight, resumed = tensors_of(folder / "straight"), tensors_of(folder / "resumed")
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
    steps = [record["step"] for record in history(folder / "resumed")]
    assert steps == [1, 2, 3, 4]


def test_another_number_of_processes_goes_on(folder: Path) -> None:
    assert [record["step"] for record in history(folder / "alone")] == [1, 2, 3]
    fit("dropping", folder / "shards", folder / "alone")
    assert [record["step"] for record in history(folder / "alone")] == [1, 2, 3, 4]


def test_spread_weights_are_saved_in_one_piece_and_resume(folder: Path) -> None:
    model, _, card = load_reconstructor(folder / "fsdp" / "best")
    assert card["recipe"]["run"]["fsdp"]
    average = {name[4:]: value for name, value in tensors_of(folder / "fsdp").items() if name.startswith("ema.")}
    assert model.state_dict().keys() == average.keys()
    for name, value in average.items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=2e-3, rtol=1e-3)
    straight, resumed = tensors_of(folder / "fsdp"), tensors_of(folder / "fsdp-resumed")
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())


def test_only_the_main_process_writes(folder: Path) -> None:
    assert len(list((folder / "plain" / "tensorboard").glob("events.*"))) == 1
    assert [record["step"] for record in history(folder / "plain")] == [1, 2]


@pytest.fixture(params=range(WORLD))
def found(request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / f"found-{request.param}.json").read_text()))


def test_batch_that_cannot_be_divided_names_what_can(found: dict[str, Any]) -> None:
    assert found["uneven"].startswith("RecipeError run.batch_size: 6")
    assert found["uneven"].endswith("multiple of 4")


def test_folder_that_processes_do_not_share_is_refused(found: dict[str, Any]) -> None:
    assert found["elsewhere"].startswith("CheckpointError")
    assert "steps 0 to 4" in found["elsewhere"]


def test_processes_that_drift_apart_are_stopped(found: dict[str, Any]) -> None:
    assert found["drifting"].startswith("TrainingError")
    assert "drifted apart at step" in found["drifting"]


def test_layers_that_thaw_are_averaged_too(found: dict[str, Any]) -> None:
    assert found["thawed"] == {"0 False": True, "1 True": True, "2 False": True, "3 True": True}


def test_reductions_are_what_they_are_by_hand(found: dict[str, Any]) -> None:
    rank = 0 if found["explicit"]["shares"][0]["l1"] < 0.3 else 1
    assert found["explicit"]["gradients"] == [[1.5, 1.5], [1.5, 1.5], None]
    total = 1 + 2 + 4 + 4
    assert found["explicit"]["shares"][0]["l1"] == pytest.approx(2 * (1 + rank) / total)
    assert found["explicit"]["shares"][1] == {"l1": pytest.approx(2 * 4 / total), "none": 0.0}
    assert found["explicit"]["nothing"] == 0.0
