"""`unsilent train`: from a recipe to a model folder, again from where it was stopped, and mistakes in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.training.small import train_recipe, vocoder_recipe

from unsilent.cli import main
from unsilent.config import dump_recipe
from unsilent.errors import RecipeError
from unsilent.models.pretrained import load_reconstructor, load_vocoder
from unsilent.training.recipe import TrainRecipe, VocoderRecipe
from unsilent.training.run import load_any_recipe, train

Captured = pytest.CaptureFixture[str]


def written(folder: Path, recipe: TrainRecipe | VocoderRecipe) -> str:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(dump_recipe(recipe)))
    return str(path)


@pytest.fixture(autouse=True)
def _tip_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.setenv(name, "1")


def test_video_from_the_command_line(shards: Path, tmp_path: Path, capsys: Captured) -> None:
    recipe, out = written(tmp_path, train_recipe(shards)), tmp_path / "run"
    arguments = ["train", recipe, "--output", str(out), "--set", "run.epochs=1", "--json", str(tmp_path / "out.json")]
    assert main(arguments) == 0
    model, config, card = load_reconstructor(out / "best")
    assert model(torch.zeros(1, 2, 16, 16, dtype=torch.uint8), torch.ones(1, 2, dtype=torch.bool)).shape == (1, 80, 8)
    assert config == train_recipe(shards).model
    assert card["recipe"]["run"]["epochs"] == 1
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["folder"] == str(out)
    assert data["metrics"]["score"] == pytest.approx(card["metrics"]["score"], abs=1e-4)
    assert "best model" in capsys.readouterr().out
    # The same command finds that there is nothing left to do and says the same.
    assert main([*arguments[:-1], "-"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["metrics"]["score"] == pytest.approx(data["metrics"]["score"], abs=1e-4)


def test_vocoder_from_the_command_line(shards: Path, tmp_path: Path, capsys: Captured) -> None:
    recipe = written(tmp_path, vocoder_recipe(shards))
    assert main(["train", recipe, "-o", str(tmp_path / "run"), "--quiet", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert {"mel", "stft", "score"} <= set(json.loads(captured.out)["metrics"])
    load_vocoder(tmp_path / "run" / "best")


def one_line(capsys: Captured) -> str:
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line]
    assert lines[-1].startswith("error: ")
    assert "Traceback" not in captured.err
    return lines[-1]


def test_another_recipe_in_the_same_folder(shards: Path, tmp_path: Path, capsys: Captured) -> None:
    recipe = written(tmp_path, train_recipe(shards, run={"epochs": 1}))
    assert main(["train", recipe, "-o", str(tmp_path / "run")]) == 0
    assert main(["train", recipe, "-o", str(tmp_path / "run"), "--set", "optim.lr=0.5"]) == 2
    assert "optim.lr was 0.003, is 0.5" in one_line(capsys)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.shards=/nowhere", "/nowhere"),
        ("data.train=elsewhere", "elsewhere"),
        ("run.epochs=0", "run.epochs"),
        ("model.decoder.kernel=4", "must be odd"),
        ("start={init: model, source: /nowhere}", "/nowhere"),
        ("colour=1", "unknown key"),
    ],
)
def test_mistakes_are_one_line(shards: Path, tmp_path: Path, capsys: Captured, change: str, said: str) -> None:
    recipe = written(tmp_path, train_recipe(shards))
    assert main(["train", recipe, "-o", str(tmp_path / "run"), "--set", change]) == 2
    assert said in one_line(capsys)
    assert not (tmp_path / "run" / "best").exists()


def test_output_that_is_a_file(shards: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("mine")
    assert main(["train", written(tmp_path, train_recipe(shards)), "-o", str(tmp_path / "file")]) == 2
    assert "file" in one_line(capsys)
    assert (tmp_path / "file").read_text() == "mine"


def test_damaged_newest_checkpoint_is_passed_over_in_a_real_run(shards: Path, tmp_path: Path) -> None:
    recipe = train_recipe(shards, run={"checkpoint_minutes": 0})
    straight = train(recipe, tmp_path / "a")
    train(recipe, tmp_path / "b")
    newest = sorted((tmp_path / "b" / "checkpoints").iterdir())[-1] / "modules.safetensors"
    newest.write_bytes(newest.read_bytes()[:-3])
    assert train(recipe, tmp_path / "b") == straight
    files = [tmp_path / name / "checkpoints" / newest.parent.name / newest.name for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_best_model_that_was_half_written_is_shipped_again(shards: Path, tmp_path: Path) -> None:
    recipe = train_recipe(shards, run={"checkpoint_minutes": 0})
    train(recipe, tmp_path / "a")
    best = tmp_path / "a" / "best"
    whole = {path.name: path.read_bytes() for path in best.iterdir()}
    (best / "model.safetensors").write_bytes(whole["model.safetensors"][:-1])
    shutil.rmtree(max((tmp_path / "a" / "checkpoints").iterdir()))
    train(recipe, tmp_path / "a")
    assert {path.name: path.read_bytes() for path in best.iterdir()} == whole


@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "..", "", "a/b"])
def test_a_recipe_cannot_choose_a_folder_outside_runs(
    shards: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    recipe = written(tmp_path, train_recipe(shards, name=name))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["train", recipe]) == 2
    assert "give --output" in one_line(capsys)
    assert not list((tmp_path / "here").iterdir())


def test_threads_are_those_of_the_recipe(shards: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        train(train_recipe(shards, run={"epochs": 1, "threads": 2}), tmp_path)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_kinds_are_told_apart(tmp_path: Path, shards: Path) -> None:
    assert isinstance(load_any_recipe(written(tmp_path, train_recipe(shards)), []), TrainRecipe)
    assert isinstance(load_any_recipe(written(tmp_path, vocoder_recipe(shards)), []), VocoderRecipe)
    for text, said in (("name: x", "kind"), ("kind: bread\nname: x", "bread")):
        (tmp_path / "wrong.yaml").write_text(text)
        with pytest.raises(RecipeError, match=said):
            load_any_recipe(str(tmp_path / "wrong.yaml"), [])


def test_overrides_reach_either_kind() -> None:
    changed: Any = load_any_recipe("vocoder-small", ["steps_per_epoch=3", "optim.lr=0.25"])
    assert (changed.steps_per_epoch, changed.optim.lr) == (3, 0.25)
