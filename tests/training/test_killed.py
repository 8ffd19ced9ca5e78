"""Training that is killed at any moment goes on with the same command, to the same bits, and leaves no rubbish."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.kills import Runs, Straight
from tests.training.small import train_recipe, vocoder_recipe
from tests.training.waves import video_wave_recipe

from unsilent.training.checkpoint import read_snapshot

pytest.importorskip("resource", reason="the platform has no SIGKILL")

CHANGES: dict[str, Any] = {"run": {"checkpoint_minutes": 0, "epochs": 4, "validate_every": 2}}
RECIPES: dict[str, Callable[..., Any]] = {"mel": train_recipe, "vocoder": vocoder_recipe, "wave": video_wave_recipe}
QUICK = 3
MOMENTS = [
    pytest.param("mel" if number < QUICK else ("mel", "vocoder", "wave")[number % 3], number, id=str(number),
                 marks=() if number < QUICK else pytest.mark.slow)
    for number in range(20)
]  # fmt: skip


def command(recipe: Path, run: Path) -> list[str]:
    return ["train", str(recipe), "-o", str(run), "-q"]


@pytest.fixture(scope="module")
def straight(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Straight]:
    """The undisturbed run of a kind, made when it is first asked for."""
    made: dict[str, Straight] = {}

    def get(kind: str) -> Straight:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            recipe = folder / "recipe.json"
            recipe.write_text(RECIPES[kind](shards, **CHANGES).model_dump_json())
            runs = Runs(partial(command, recipe), folder, "checkpoints")
            ended = runs.run(folder / "run")
            assert ended.code == 0, ended.said
            assert ended.operations > 50
            made[kind] = Straight(runs, folder / "run", ended)
        return made[kind]

    return get


def tensors(folder: Path) -> dict[str, bytes]:
    """Every tensor of a folder of safetensors, as bytes."""
    return {
        f"{path.name}:{name}": value.numpy().tobytes()
        for path in sorted(folder.glob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def check_same_end(run: Path, straight: Path) -> None:
    last = sorted((straight / "checkpoints").iterdir())[-1].name
    wanted = tensors(straight / "checkpoints" / last)
    assert wanted
    assert tensors(run / "checkpoints" / last) == wanted
    assert tensors(run / "best") == tensors(straight / "best")
    assert (run / "best" / "card.json").read_bytes() == (straight / "best" / "card.json").read_bytes()
    names = [sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if "tensorboard" not in str(path))
             for folder in (run, straight)]  # fmt: skip
    assert names[0] == names[1]


def check_whole(run: Path) -> None:
    for path in (run / "checkpoints").glob("step-*"):
        read_snapshot(path)


@pytest.mark.parametrize(("kind", "number"), MOMENTS)
def test_killed_at_a_random_moment(kind: str, number: int, straight: Callable[[str], Straight], tmp_path: Path) -> None:
    reference, run = straight(kind), tmp_path / "run"
    ended = reference.runs.killed(run, reference.ended, number)
    assert ended.code == -9, ended.said
    check_whole(run)
    ended = reference.runs.run(run)
    assert ended.code == 0, ended.said
    check_same_end(run, reference.folder)
