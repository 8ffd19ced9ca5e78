"""Training video to mel: it learns, what is missing never counts, and a killed run resumes to the same bits."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tests.models.small import CONFIG, reconstructor
from tests.training.small import MODEL, row, save_listener, train_recipe, write_shards
from torch import Tensor, nn

from unsilent.errors import CheckpointError, ShardError, TrainingError
from unsilent.models.pretrained import load_reconstructor, save_model
from unsilent.shards import ShardReader
from unsilent.training.checkpoint import newest_snapshot
from unsilent.training.clips import NO_LABEL, ClipBatch
from unsilent.training.finetune import listener
from unsilent.training.order import BatchOrder, SampleKey
from unsilent.training.run import train
from unsilent.training.video import VideoTask


class StoppedError(Exception):
    """Stands for a kill."""


def task_of(shards: Path, **changes: Any) -> VideoTask:
    return VideoTask(train_recipe(shards, **changes), Accelerator(cpu=True))


def first_batch(task: VideoTask) -> ClipBatch:
    data = task.data()
    return task.collate([data[key] for key in next(iter(BatchOrder(len(data), 5, 0, 1)))])


def gradients(task: VideoTask, batch: ClipBatch) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses and gradients of one step that moves nothing (the rate is zero)."""
    torch.manual_seed(0)
    for group in task.optimizers["adamw"].param_groups:
        group["lr"] = 0.0
    task.modules.train()
    losses = task.update(batch, 0, 10)
    return losses, {
        name: parameter.grad.clone()
        for name, parameter in task.modules.named_parameters()
        if parameter.grad is not None
    }


def tensors_of(folder: Path) -> dict[str, Tensor]:
    snapshot = newest_snapshot(folder / "checkpoints")
    assert snapshot is not None
    groups = {"modules": snapshot.modules, "ema": snapshot.ema, "optimizers": snapshot.optimizers}
    return {f"{group}.{name}": value for group, tensors in groups.items() for name, value in tensors.items()}


def test_missing_sound_and_padding_change_neither_losses_nor_gradients(shards: Path) -> None:
    task = task_of(shards, data={"window": None})
    batch = first_batch(task)
    assert len(set(batch.frames.tolist())) > 1
    assert (batch.mel_frames < 4 * batch.frames).any()
    mel, crops = batch.mel.clone(), batch.crops.clone()
    for item, (frames, heard) in enumerate(zip(batch.frames.tolist(), batch.mel_frames.tolist(), strict=True)):
        mel[item, :, heard:] = 3.0
        crops[item, frames:] = 255
    other = dataclasses.replace(batch, mel=mel, crops=crops)
    assert not torch.equal(mel, batch.mel)
    (losses, before), (changed, after) = gradients(task, batch), gradients(task, other)
    for name in losses:
        assert changed[name] == losses[name], name
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    # What was heard does count.
    mel[0, :, int(batch.mel_frames[0]) - 1] += 1
    assert gradients(task, other)[0]["l1"] > losses["l1"]


def test_gradient_reaches_every_parameter_and_is_clipped(shards: Path) -> None:
    task = task_of(shards, optim={"clip": 1e-3})
    batch = first_batch(task)
    for _ in range(2):  # the residual blocks start as the identity, which hides their first convolution
        for group in task.optimizers["adamw"].param_groups:
            group["lr"] = 1e-2
        task.modules.train()
        metrics = task.update(batch, 0, 10)
    for name, parameter in task.modules.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert metrics["gradient_norm"] > 1e-3
    norms = torch.stack([p.grad.norm() for p in task.modules.parameters() if p.grad is not None])
    assert norms.norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_loss_is_the_weighted_sum(shards: Path) -> None:
    weights = {"l1": 2.0, "spectral_convergence": 0.25, "delta": 0.5, "content": 0.125}
    task = task_of(shards, loss=weights)
    losses, _ = gradients(task, first_batch(task))
    assert losses["loss"] == pytest.approx(sum(weight * losses[name] for name, weight in weights.items()), rel=1e-5)


def test_clips_without_word_times_train_all_the_same(shards: Path) -> None:
    task = task_of(shards)
    batch = first_batch(task)
    unknown = dataclasses.replace(batch, words=torch.full_like(batch.words, NO_LABEL))
    losses, grads = gradients(task, unknown)
    assert losses["content"] == 0
    assert all(math.isfinite(value) for value in losses.values())
    assert not grads["content.weight"].any()
    silent = dataclasses.replace(batch, words=torch.zeros_like(batch.words))
    losses, _ = gradients(task, silent)
    assert losses["content"] > 0
    assert all(math.isfinite(value) for value in losses.values())


def test_content_is_the_cross_entropy_of_labelled_frames(shards: Path) -> None:
    task = task_of(shards)
    assert task.vocabulary == {"word0": 1, "word1": 2, "word2": 3}
    with torch.no_grad():
        task.modules["content"].weight.zero_()  # type: ignore[operator]
        task.modules["content"].bias.zero_()  # type: ignore[operator]
    losses, _ = gradients(task, first_batch(task))
    assert losses["content"] == pytest.approx(math.log(4), rel=1e-5)


def test_only_matrices_and_kernels_decay(shards: Path) -> None:
    task = task_of(shards)
    decayed, free = task.optimizers["adamw"].param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0.0)
    assert {parameter.ndim for parameter in free["params"]} == {1}
    assert min(parameter.ndim for parameter in decayed["params"]) == 2
    count = len(decayed["params"]) + len(free["params"])
    assert count == len(list(task.modules.parameters()))


def test_it_learns_four_clips_by_heart(tmp_path: Path) -> None:
    shards = write_shards(
        tmp_path / "shards", [row(number, frames=8) for number in range(4)] + [row(9, split="held-out")]
    )
    still = {"crop": False, "flip": 0, "erase": 0, "time_mask": 0, "brightness": 0}
    wide = {"width": 16, "hidden": 32, "dropout": 0}
    model = {"encoder": {"dropout": 0, "out_width": 16}, "temporal": wide, "decoder": {"dropout": 0, "width": 16}}
    task = task_of(shards, data={"window": None, "augment": still}, model=model, optim={"clip": 10.0})
    batch = first_batch(task)
    for group in task.optimizers["adamw"].param_groups:
        group["lr"] = 1e-2
    task.modules.train()
    losses = [task.update(batch, step, 60) for step in range(60)]
    assert losses[-1]["l1"] < 0.4 * losses[0]["l1"]
    assert losses[-1]["spectral_convergence"] < 0.7
    assert losses[-1]["word_accuracy"] > 0.9


def test_resumed_run_is_bit_identical(shards: Path, tmp_path: Path) -> None:
    def stop(step: int, total: int, metrics: dict[str, float]) -> None:
        assert total == 6
        if step == 4:  # in mid-epoch, after the checkpoint of step 3
            raise StoppedError

    recipe = train_recipe(shards, run={"epochs": 3, "checkpoint_minutes": 0})
    straight = train(recipe, tmp_path / "straight")
    with pytest.raises(StoppedError):
        train(recipe, tmp_path / "resumed", on_step=stop)
    between = tensors_of(tmp_path / "resumed")
    assert train(recipe, tmp_path / "resumed") == straight
    wanted, resumed = tensors_of(tmp_path / "straight"), tensors_of(tmp_path / "resumed")
    assert wanted.keys() == resumed.keys()
    assert {name.split(".")[0] for name in wanted} == {"modules", "ema", "optimizers"}
    for name, value in wanted.items():
        assert torch.equal(resumed[name], value), name
    moved = [name for name, value in wanted.items() if not torch.equal(value, between[name])]
    assert len(moved) > 0.8 * len(wanted)
    weights = [folder / "best" / "model.safetensors" for folder in (tmp_path / "straight", tmp_path / "resumed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_trained_folder_is_a_model_that_says_where_it_comes_from(shards: Path, tmp_path: Path) -> None:
    loaded: list[None] = []
    recipe = train_recipe(shards)
    metrics = train(recipe, tmp_path, on_load=lambda: loaded.append(None))
    assert len(loaded) == 5
    model, config, card = load_reconstructor(tmp_path / "best")
    assert config == recipe.model
    assert card["trained_on"] == {"shards": shards.name, "split": "train", "clips": 5}
    assert card["recipe"]["optim"]["lr"] == 3e-3
    assert card["step"] in (2, 4)
    assert card["metrics"]["score"] == pytest.approx(metrics["score"], abs=1e-4)
    snapshot = newest_snapshot(tmp_path / "checkpoints")
    assert snapshot is not None
    assert snapshot.state["recipe"] == card["recipe"]
    assert model.state_dict().keys() == snapshot.ema.keys()
    json.dumps(card, allow_nan=False)


def test_validation_is_the_mean_over_clips_without_augmentation(shards: Path, tmp_path: Path) -> None:
    task = task_of(shards, run={"batch_size": 1})
    task.modules.eval()

    class Writer:
        def add_figure(self, *args: object) -> None:
            return None

    with torch.inference_mode():
        one = task.validate(Writer(), 0)  # type: ignore[arg-type]
        assert task.validate(Writer(), 0) == one  # type: ignore[arg-type]
    losses = []
    for index in range(2):
        batch = task.collate([task._held_out[index]])
        with torch.inference_mode():
            losses.append({name: value.item() for name, value in task.losses(batch).items()})
    for name in ("l1", "content", "loss"):
        assert one[name] == pytest.approx((losses[0][name] + losses[1][name]) / 2, rel=1e-5)
    assert one["score"] == one["loss"]


def test_start_from_a_model_keeps_all_of_it(shards: Path, tmp_path: Path) -> None:
    source = reconstructor()
    save_model(tmp_path, source, CONFIG, {}, dtype=torch.float32)
    task = task_of(shards, start={"init": "model", "source": str(tmp_path)})
    model = task.modules["model"]
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    dropout = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    assert set(dropout) == {0.1}
    with pytest.raises(CheckpointError, match="does not fit"):
        task_of(shards, start={"init": "model", "source": str(tmp_path)}, model={"decoder": {"width": 7}})


def test_what_the_decoder_reads_is_learnt_first(shards: Path, tmp_path: Path) -> None:
    save_listener(tmp_path, MODEL)
    start = {"init": "decoder", "source": str(tmp_path), "latents": 0.5}
    task = task_of(shards, start=start, optim={"lr": 1e-2})
    batch = first_batch(task)
    model, heard = task.modules["model"], listener(str(tmp_path))
    row = ShardReader(shards, split="train")[0]
    padded = torch.zeros(1, row.frames * 960)
    padded[0, : row.samples] = torch.from_numpy(row.audio())[: padded.shape[1]]
    torch.testing.assert_close(task.data()[0].latents, heard(padded)[0])
    before = {name: value.clone() for name, value in model.named_parameters()}
    task.modules.train()
    found = [task.update(batch, step, 100) for step in range(50)]
    assert {frozenset(each) for each in found} == {frozenset({"loss", "latents", "gradient_norm"})}
    assert found[-1]["latents"] < 0.6 * found[0]["latents"]
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("decoder.") for name in moved)
    task.modules.eval()
    assert "latents" not in task.losses(batch, judged=True)  # validation is of mels all along
    task.modules.train()
    assert "l1" in task.update(batch, 50, 100)
    assert not torch.equal(model.get_parameter("decoder.project.weight"), before["decoder.project.weight"])


def test_only_what_hears_has_latents_to_regress_onto(shards: Path, tmp_path: Path) -> None:
    save_model(tmp_path, reconstructor(), CONFIG, {}, dtype=torch.float32)
    with pytest.raises(CheckpointError, match=r"reads video .*, audio is needed here"):
        task_of(shards, start={"init": "decoder", "source": str(tmp_path), "latents": 0.1})


def test_loss_that_is_no_number_keeps_the_checkpoint(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = train_recipe(shards, run={"checkpoint_minutes": 0})
    real = VideoTask.update

    def update(self: VideoTask, batch: ClipBatch, step: int, total: int) -> dict[str, float]:
        if step == 3:
            batch = dataclasses.replace(batch, mel=torch.full_like(batch.mel, math.nan))
        return real(self, batch, step, total)

    monkeypatch.setattr(VideoTask, "update", update)
    with pytest.raises(TrainingError, match="loss is nan at step 3"):
        train(recipe, tmp_path)
    kept = tensors_of(tmp_path)
    assert all(value.isfinite().all() for value in kept.values())
    monkeypatch.undo()
    train(recipe, tmp_path)
    snapshot = newest_snapshot(tmp_path / "checkpoints")
    assert snapshot is not None
    assert snapshot.step == 4


def test_words_that_changed_since_the_checkpoint_are_one_line(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    recipe = train_recipe(shards, run={"epochs": 1})
    train(recipe, tmp_path / "run")
    (shards / "clips-00000.parquet").unlink()
    more = [row(1, words=[{"word": "new", "start": 0.0, "end": 0.1}]), row(2), row(3, split="held-out")]
    write_shards(shards, more)
    with pytest.raises(CheckpointError, match="words have changed") as caught:
        train(recipe, tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_missing_split_is_named(shards: Path) -> None:
    with pytest.raises(ShardError, match="elsewhere"):
        task_of(shards, data={"train": "elsewhere"})


def test_sample_that_is_read_late_is_the_one_that_was_cached(shards: Path) -> None:
    cached, lazy = (task_of(shards, run={"cache": cache}).data() for cache in (True, False))
    for position in range(4):
        key = SampleKey(1, position, position)
        assert torch.equal(cached[key].crops, lazy[key].crops)
        assert torch.equal(cached[key].mel, lazy[key].mel)
