from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from tests.training.conftest import shards
from tests.training.small import train_recipe, vocoder_recipe
from tests.training.waves import speech_wave_recipe, video_wave_recipe

from unsilent.benchmarks import train
from unsilent.benchmarks.train import bench_train
from unsilent.cli import main
from unsilent.training.run import Recipe

__all__ = ["shards"]


def test_the_shares_are_of_the_same_run(shards: Path) -> None:
    steps = []
    result = bench_train(train_recipe(shards), 3, lambda: steps.append(1))
    assert len(steps) == 5
    assert 0 <= result["waiting"] < 1
    assert result["share_of_peak"] == pytest.approx(result["flops"] / result["peak"])
    assert 0 < result["share_of_peak"] < 1.5
    assert 0 < result["encoder"]["share_of_peak"] < 1.5
    assert result["samples_per_second"] * result["seconds_per_step"] <= result["batch_size"] * 1.01


@pytest.mark.parametrize(
    ("verb", "made"),
    [
        ("train", train_recipe),
        ("train", video_wave_recipe),
        ("train", vocoder_recipe),
        ("pretrain", speech_wave_recipe),
    ],
    ids=["mel", "waveform", "vocoder", "speech to waveform"],
)
def test_every_kind_of_recipe(
    verb: str, made: Callable[[Path], Recipe], shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(made(shards).model_dump_json())
    path = tmp_path / "out.json"
    assert main(["bench", verb, str(recipe), "--steps", "3", "--json", str(path), "-q"]) == 0
    result = json.loads(path.read_text())
    assert (result["device"], result["precision"]) == ("cpu", "float32")
    assert (result["encoder"] is None) == (made is vocoder_recipe)
    other = {"train": "pretrain", "pretrain": "train"}[verb]
    assert main(["bench", other, str(recipe), "-q"]) == 2
    assert f"measure it with `unsilent bench {verb}`" in capsys.readouterr().err


def test_a_trace_names_the_costliest_operations(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, trace = tmp_path / "recipe.json", tmp_path / "traces" / "steps.json"
    recipe.write_text(train_recipe(shards).model_dump_json())
    path = tmp_path / "out.json"
    given = ["bench", "train", str(recipe), "--steps", "3", "--profile", str(trace), "--json", str(path), "-q"]
    assert main(given) == 0
    found = json.loads(path.read_text())["profile"]
    assert len(found["operations"]) == 5
    shares = [row["share"] for row in found["operations"]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1
    assert 0 <= found["waiting"] < 1
    events = [event.get("name") for event in json.loads(trace.read_text())["traceEvents"]]
    assert events.count("wait for data") >= found["steps"]
    assert {row["name"] for row in found["operations"]} < set(events)
    shown = capsys.readouterr().out
    assert all(row["name"] in shown for row in found["operations"])
    assert f"trace: {trace}" in shown


def test_a_trace_that_cannot_be_written_is_one_line_before_the_work(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(train_recipe(shards).model_dump_json())
    assert main(["bench", "train", str(recipe), "--profile", str(recipe / "steps.json"), "-q"]) == 2
    assert "recipe.json is a file, not a folder" in capsys.readouterr().err


def test_precision_is_the_recipe_s_for_all_that_is_measured(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    seen: set[torch.dtype] = set()

    def peak(**given: object) -> float:
        asked.append(given)
        return 1.0

    monkeypatch.setattr(train, "matrix_peak", peak)
    linear = torch.nn.functional.linear

    def watched(*values: Any) -> torch.Tensor:
        out = linear(*values)
        seen.add(out.dtype)
        return out

    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        result = bench_train(train_recipe(shards, run={"precision": "bf16"}), 3)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert asked == [{"device": torch.device("cpu"), "dtype": torch.bfloat16}]
    assert seen == {torch.bfloat16}
    assert result["precision"] == "bf16"


def test_a_stage_without_an_encoder_has_none(shards: Path) -> None:
    assert bench_train(vocoder_recipe(shards), 3)["encoder"] is None
