"""Pre-training on speech alone: what is heard, what counts, and that it learns, resumes and hands over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tests.models.small import CONFIG
from tests.training.small import train_recipe

from unsilent.cli import main
from unsilent.config import validate_recipe
from unsilent.errors import RecipeError
from unsilent.features import MelConfig
from unsilent.models.pretrained import load_reconstructor
from unsilent.training.corrupt import CorruptSample, corrupt
from unsilent.training.order import SampleKey
from unsilent.training.pretrain import PretrainTask, collate_speech
from unsilent.training.pretrain_recipe import CorruptConfig, PretrainRecipe
from unsilent.training.run import train

MODEL: dict[str, Any] = {
    "encoder": {"input": "audio", "widths": [4, 4, 6, 6, 8], "bottleneck": 4, "out_width": 8},
    "temporal": CONFIG.temporal.model_dump(mode="json"),
    "decoder": CONFIG.decoder.model_dump(mode="json"),
}


def recipe_of(shards: Path, **changes: Any) -> PretrainRecipe:
    data = {
        "sources": [{"shards": str(shards), "split": "train"}],
        "validation": {"shards": str(shards), "split": "held-out"},
        "segment_frames": 8,
        "samples_per_epoch": 8,
        **changes.pop("data", {}),
    }
    base = {
        "kind": "pretrain",
        "name": "tiny",
        "model": MODEL,
        "data": data,
        "run": {"epochs": 2, "batch_size": 4, "validate_every": 1, "threads": 1},
    }
    return validate_recipe({**base, **changes}, PretrainRecipe, "recipe")


def noise(seed: int, seconds: float = 1.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(24_000 * seconds))).astype(np.float32)


def test_corruption_is_a_function_of_its_generator_and_leaves_the_input_alone() -> None:
    clean, config = noise(0, 2.0), CorruptConfig(noise=1.0, mask=0.3, shift=0.05)
    before = clean.copy()
    first, second, other = (corrupt(clean, config, 24_000, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(clean, before)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert len(first) == len(clean)


def test_each_corruption_does_what_it_says() -> None:
    clean = noise(0, 3.0)
    rng = np.random.default_rng
    none = CorruptConfig(noise=0.0, mask=0.0)
    assert np.array_equal(corrupt(clean, none, 24_000, rng(0)), clean)
    for seed in range(5):
        noisy = corrupt(clean, none.model_copy(update={"noise": 1.0, "noise_db": (10.0, 10.0)}), 24_000, rng(seed))
        ratio = 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2))
        assert ratio == pytest.approx(10, abs=0.01)
        masked = corrupt(clean, none.model_copy(update={"mask": 0.4}), 24_000, rng(seed))
        silent = masked == 0
        assert silent.sum() <= 3 * 0.4 * 24_000
        assert np.array_equal(masked[~silent], clean[~silent])
        shifted = corrupt(clean, none.model_copy(update={"shift": 0.01}), 24_000, rng(seed))
        lag = int(np.argmax([np.dot(np.roll(clean, lag), shifted) for lag in range(-240, 241)])) - 240
        assert np.array_equal(np.roll(clean, lag), shifted)


def test_what_is_no_speech_does_not_count() -> None:
    mel = MelConfig()
    items = [
        CorruptSample(noise(0), noise(0), 12_000.0, 24_000, noise(2, 0.1)),
        CorruptSample(noise(1), np.pad(noise(1, 0.5), (0, 12_000)), 3000.0, 12_000, noise(3, 0.1)),
    ]
    batch = collate_speech(items, mel)
    assert batch.frames.tolist() == [25, 13]
    assert batch.mel_frames.tolist() == [100, 50]
    assert batch.bands[0].all()
    counted = int(batch.bands[1].sum())
    assert batch.bands[1, :counted].all()
    assert 0 < counted < 80
    assert batch.mel.shape == (2, 80, 100)


def test_bands_above_the_bandwidth_have_no_gradient(shards: Path) -> None:
    task = PretrainTask(recipe_of(shards), Accelerator(cpu=True))
    items = [CorruptSample(noise(i, 0.32), noise(i, 0.32), 3000.0, 7680, noise(i, 0.0)) for i in range(2)]
    batch = task.collate(items)
    predicted = torch.zeros_like(batch.mel, requires_grad=True)
    heard = torch.ones(2, batch.mel.shape[2], dtype=torch.bool)
    losses = task._objective(predicted, batch.mel, heard, batch.bands)
    task._objective.total(losses).backward()  # type: ignore[no-untyped-call]
    assert predicted.grad is not None
    top = ~batch.bands[0]
    assert not predicted.grad[:, top].any()
    assert predicted.grad[:, ~top].abs().amin(dim=(0, 2)).max() > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {}}, "model is v2a-mel"),
        ({"loss": {"lag": 3}}, "loss.content and loss.lag"),
        ({"data": {"sources": []}}, "data.sources"),
        ({"data": {"corrupt": {"noise_db": [5, 1]}}}, "lower bound"),
        ({"data": {"samples_per_epoch": 2}}, "samples_per_epoch"),
    ],
)
def test_mistakes_in_a_recipe(shards: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        train(recipe_of(shards, **change), tmp_path)


def test_it_learns_a_tiny_batch(shards: Path) -> None:
    recipe = recipe_of(shards, optim={"lr": 5e-3, "warmup": 0.0}, data={"corrupt": {"noise": 0.0, "mask": 0.0}})
    task = PretrainTask(recipe, Accelerator(cpu=True))
    batch = task.collate(task._held_out[:2])
    task.modules.train()
    losses = [task.update(batch, step, 150)["l1"] for step in range(150)]
    assert losses[-1] < 0.35 * losses[0]


def test_stopped_and_resumed_equals_uninterrupted(shards: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop_at(step: int, total: int, metrics: dict[str, float]) -> None:
        if step == 3:
            raise StopError

    recipe = recipe_of(shards, run={"epochs": 3, "batch_size": 4, "validate_every": 1, "checkpoint_minutes": 0})
    train(recipe, tmp_path / "whole")
    with pytest.raises(StopError):
        train(recipe, tmp_path / "parts", on_step=stop_at)
    train(recipe, tmp_path / "parts")
    one, two = (load_reconstructor(tmp_path / run / "best")[0].state_dict() for run in ("whole", "parts"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_caller_can_end_a_run_and_it_stays_ended(shards: Path, tmp_path: Path) -> None:
    recipe = recipe_of(shards, run={"epochs": 9, "batch_size": 4, "validate_every": 1})
    train(recipe, tmp_path, stop=lambda step: step >= 4)
    steps: list[int] = []
    train(recipe, tmp_path, stop=lambda step: step >= 4, on_step=lambda step, total, metrics: steps.append(step))
    assert not steps
    train(recipe, tmp_path, stop=lambda step: step >= 6, on_step=lambda step, total, metrics: steps.append(step))
    assert steps == [5, 6]


def test_the_seed_alone_decides_what_is_heard(shards: Path) -> None:
    tasks = [
        PretrainTask(recipe_of(shards, run={"epochs": 1, "seed": seed}), Accelerator(cpu=True)) for seed in (0, 0, 1)
    ]
    first = [next(iter(task.order(0))) for task in tasks]
    assert first[0] == first[1]
    heard = [task.data()[first[0][0]].heard for task in tasks]
    assert np.array_equal(heard[0], heard[1])
    assert not np.array_equal(heard[0], heard[2])
    assert all(np.array_equal(tasks[0]._held_out[0].heard, task._held_out[0].heard) for task in tasks)


def test_backwards_is_backwards(shards: Path) -> None:
    plain, reverse = (
        PretrainTask(
            recipe_of(shards, data={"reverse": flag, "corrupt": {"noise": 0.0, "mask": 0.0}}), Accelerator(cpu=True)
        )
        for flag in (False, True)
    )
    key = next(iter(plain.order(0)))[0]
    ahead, back = plain.data()[key], reverse.data()[key]
    assert np.array_equal(back.clean[: back.valid_samples], ahead.clean[: ahead.valid_samples][::-1])


def test_from_speech_to_video_by_the_command_line(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "speech.json"
    recipe.write_text(recipe_of(shards).model_dump_json())
    assert main(["pretrain", str(recipe), "-o", str(tmp_path / "speech")]) == 0
    video = train_recipe(shards, start={"init": "decoder", "source": str(tmp_path / "speech")}).model_dump(mode="json")
    (tmp_path / "video.json").write_text(json.dumps(video))
    assert main(["train", str(tmp_path / "video.json"), "-o", str(tmp_path / "video")]) == 0
    assert load_reconstructor(tmp_path / "video" / "best", source="video")[1].path == "v2a-mel"
    capsys.readouterr()
    for verb, file, other in (("train", recipe, "pretrain"), ("pretrain", tmp_path / "video.json", "train")):
        assert main([verb, str(file)]) == 2
        assert f"run it with `unsilent {other}`" in capsys.readouterr().err


def test_gain_moves_what_is_heard_and_wanted_alike_and_never_clips(shards: Path) -> None:
    still = {"corrupt": {"noise": 0.0, "mask": 0.0}}
    plain = PretrainTask(recipe_of(shards, data=still), Accelerator(cpu=True))
    louder = PretrainTask(recipe_of(shards, data={**still, "gain_db": [3, 30]}), Accelerator(cpu=True))
    gains = []
    for position in range(8):
        key = SampleKey(0, position, position % 5)
        before, after = plain.data()[key], louder.data()[key]
        assert np.array_equal(after.heard, after.clean)
        gain = np.abs(after.clean).max() / np.abs(before.clean).max()
        np.testing.assert_allclose(after.clean, before.clean * gain, rtol=1e-4, atol=1e-6)
        assert np.abs(after.clean).max() <= 1.0001
        gains.append(gain)
    assert min(gains) >= 10 ** (3 / 20) * 0.999
    assert len({round(float(gain), 3) for gain in gains}) > 1
    with pytest.raises(RecipeError, match="gain_db: the lower bound"):
        recipe_of(shards, data={"gain_db": [3, 0]})
