"""Training the vocoder: both phases, resumed to the same bits, and starts that cannot work refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from accelerate import Accelerator
from tests.models.small import CONFIG, VOCODER, reconstructor
from tests.training.small import row, sound_of, states_of, vocoder_recipe, write_shards
from torch import Tensor

from unsilent.errors import CheckpointError, RecipeError, ShardError
from unsilent.features import MelConfig
from unsilent.models import Vocoder, build_reconstructor
from unsilent.models.pretrained import load_vocoder, save_model
from unsilent.training.checkpoint import newest_snapshot
from unsilent.training.order import BatchOrder
from unsilent.training.run import train
from unsilent.training.vocoder import VocoderTask


class StoppedError(Exception):
    """Stands for a kill."""


def task_of(shards: Path, **changes: Any) -> VocoderTask:
    return VocoderTask(vocoder_recipe(shards, **changes), Accelerator(cpu=True))


def batch_of(task: VocoderTask, size: int = 4) -> Any:
    data = task.data()
    return task.collate([data[key] for key in next(iter(BatchOrder(len(data), size, 0, 1)))])


def weights(task: VocoderTask, name: str) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in task.modules[name].state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_discriminators_come_in_at_their_time(shards: Path) -> None:
    task = task_of(shards)
    batch, critics, model = batch_of(task), weights(task, "critics"), weights(task, "model")
    metrics = task.update(batch, 1, 4)
    assert not {"adversarial", "critics", "feature_matching"} & set(metrics)
    assert same(weights(task, "critics"), critics)
    assert not same(weights(task, "model"), model)
    metrics = task.update(batch, 2, 4)
    assert {"adversarial", "critics", "feature_matching"} <= set(metrics)
    assert not same(weights(task, "critics"), critics)
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["feature_matching"] > 0
    assert all(parameter.requires_grad for parameter in task.modules.parameters())


def test_vocoder_step_leaves_no_gradient_in_the_discriminators(shards: Path) -> None:
    task = task_of(shards)
    task.update(batch_of(task), 2, 4)
    before = [
        parameter.grad.clone() for parameter in task.modules["critics"].parameters() if parameter.grad is not None
    ]
    made, true = torch.randn(1, 2400, requires_grad=True), torch.randn(1, 2400)
    losses = task._adversarial(true, made)
    torch.autograd.backward(list(losses.values()))
    after = [parameter.grad for parameter in task.modules["critics"].parameters() if parameter.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert made.grad is not None
    assert made.grad.abs().sum() > 0


def test_loss_is_the_weighted_sum(shards: Path) -> None:
    task = task_of(shards)
    loss = task.recipe.loss
    metrics = task.update(batch_of(task), 2, 4)
    wanted = sum(getattr(loss, name) * metrics[name] for name in type(loss).model_fields if name in metrics)
    assert metrics["loss"] == pytest.approx(wanted, rel=1e-5)


def test_true_magnitudes_have_no_loss(shards: Path) -> None:
    task, mel = task_of(shards), VOCODER.mel
    samples = batch_of(task).samples
    padded = torch.nn.functional.pad(samples, (392, 392))
    window = torch.hann_window(mel.n_fft)
    true = torch.stft(padded, 1024, 240, 1024, window, center=False, return_complex=True).abs()
    losses = task._magnitude(true.clamp(min=1e-9).log(), samples)
    assert all(value.item() < 1e-3 for value in losses.values()), losses
    louder = task._magnitude((2 * true).clamp(min=1e-9).log(), samples)
    assert all(value.item() > 0.3 for value in louder.values())


def test_it_learns(shards: Path) -> None:
    task = task_of(shards, model={"mel_corrections": 0}, loss={"adversarial_from": 1.0})
    batch = batch_of(task)
    for group in task.optimizers["model"].param_groups:
        group["lr"] = 5e-3
    losses = [task.update(batch, step, 40) for step in range(40)]
    assert losses[-1]["magnitude"] < 0.4 * losses[0]["magnitude"]
    assert losses[-1]["convergence"] < 0.8 * losses[0]["convergence"]


@pytest.mark.parametrize("stop_at", [2, 4])
def test_resumed_run_is_bit_identical_in_both_phases(shards: Path, tmp_path: Path, stop_at: int) -> None:
    def stop(step: int, total: int, metrics: dict[str, float]) -> None:
        assert total == 6
        assert ("critics" in metrics) == (step > 3)
        if step == stop_at:
            raise StoppedError

    recipe = vocoder_recipe(shards, run={"epochs": 3, "checkpoint_minutes": 0, "validate_every": 3})
    straight = train(recipe, tmp_path / "straight")
    with pytest.raises(StoppedError):
        train(recipe, tmp_path / "resumed", on_step=stop)
    assert train(recipe, tmp_path / "resumed") == straight
    one, other = (newest_snapshot(tmp_path / name / "checkpoints") for name in ("straight", "resumed"))
    assert one is not None
    assert other is not None
    assert one.step == other.step == 6
    assert same(one.modules, other.modules)
    assert same(one.ema, other.ema)
    assert same(one.optimizers, other.optimizers)
    assert {name.split(".")[0] for name in one.optimizers} == {"model", "critics"}


def test_trained_folder_is_a_vocoder_of_the_newest_weights(shards: Path, tmp_path: Path) -> None:
    recipe = vocoder_recipe(shards)
    metrics = train(recipe, tmp_path)
    model, config, card = load_vocoder(tmp_path / "best")
    assert config == recipe.model
    assert card["step"] == 4
    assert card["trained_on"] == {"shards": shards.name, "split": "train", "folders": [], "recordings": [5]}
    assert {"mel", "stft", "score"} <= set(metrics)
    snapshot = newest_snapshot(tmp_path / "checkpoints")
    assert snapshot is not None
    for name, value in model.state_dict().items():
        assert torch.equal(value, snapshot.ema[name].half().float()), name


def test_folders_of_speech_alone_or_beside_shards(shards: Path, tmp_path: Path) -> None:
    for number in range(2):
        soundfile.write(tmp_path / f"{number}.wav", sound_of(states_of(number, 9)), 24_000)
    alone = task_of(shards, data={"shards": None, "folders": [str(tmp_path)]})
    assert [len(group) for group in alone.data().groups] == [2]
    assert len(alone._held_out) == 1
    both = task_of(shards, data={"folders": [str(tmp_path)], "shards_share": 0.25})
    assert [len(group) for group in both.data().groups] == [5, 2]
    assert both.data().shares.tolist() == [0.25, 0.75]
    assert len(both._held_out) == 2


def test_mels_that_a_model_predicts_train_it(shards: Path, tmp_path: Path) -> None:
    model = reconstructor()
    save_model(tmp_path, model, CONFIG, {}, dtype=torch.float32)
    task = task_of(shards, data={"predicted": str(tmp_path)})
    true = task_of(shards)
    mine, theirs = task.data().groups[0][0], true.data().groups[0][0]
    assert np.array_equal(mine.samples, theirs.samples)
    assert mine.mel.shape == theirs.mel.shape
    assert not torch.allclose(mine.mel, theirs.mel, atol=0.5)
    metrics = task.update(batch_of(task), 2, 4)
    assert np.isfinite(metrics["loss"])
    other = CONFIG.model_copy(update={"mel": MelConfig(f_max=8000)})
    save_model(tmp_path / "other", build_reconstructor(other), other, {})
    with pytest.raises(CheckpointError, match="its mel"):
        task_of(shards, data={"predicted": str(tmp_path / "other")})


def test_short_recordings_are_left_out(tmp_path: Path) -> None:
    rows = [row(0), row(1, frames=2), row(2, split="held-out"), row(3, frames=1, split="held-out")]
    task = task_of(write_shards(tmp_path, rows))
    assert [len(group) for group in task.data().groups] == [1]
    assert len(task._held_out) == 1


def test_segment_that_the_losses_cannot_look_at_is_refused(shards: Path) -> None:
    with pytest.raises(RecipeError, match=r"data\.segment_frames: 12 .* at least 13"):
        task_of(shards, data={"segment_frames": 12})
    task = task_of(shards, data={"segment_frames": 13})
    assert np.isfinite(task.update(batch_of(task, 2), 3, 4)["loss"])


def test_start_from_a_vocoder(shards: Path, tmp_path: Path) -> None:
    recipe = vocoder_recipe(shards)
    model = Vocoder(recipe.model)
    save_model(tmp_path, model, recipe.model, {}, dtype=torch.float32)
    task = task_of(shards, source=str(tmp_path), model={"phase_iterations": 3})
    assert same(weights(task, "model"), dict(model.state_dict()))
    with pytest.raises(CheckpointError, match="does not fit"):
        task_of(shards, source=str(tmp_path), model={"width": 18})


def test_sound_at_another_rate_is_refused(tmp_path: Path) -> None:
    rows = [row(0, sample_rate=16_000), row(1, split="held-out")]
    with pytest.raises(ShardError, match="16000 Hz"):
        task_of(write_shards(tmp_path, rows))
