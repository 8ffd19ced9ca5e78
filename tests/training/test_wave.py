"""Training towards waveforms: clips as samples, both phases, both adversaries, resumed to the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tests.models.small import ENCODER
from tests.training.small import merged, read_rows, row, train_recipe, write_shards
from tests.training.waves import DECODER, SHAPED, speech_wave_recipe, video_wave_recipe
from torch import Tensor

from unsilent.config import dump_recipe, load_recipe
from unsilent.errors import CheckpointError, RecipeError
from unsilent.features import MelConfig
from unsilent.models.pretrained import SHIPPED, load_reconstructor, save_model
from unsilent.models.source import harmonics
from unsilent.training.checkpoint import newest_snapshot
from unsilent.training.loop import Trainer
from unsilent.training.order import BatchOrder, SampleKey
from unsilent.training.pitch import autocorrelation_pitch
from unsilent.training.recipe import AugmentConfig
from unsilent.training.wave import TrainWaveTask, WaveTask
from unsilent.training.wave_data import WaveBatch, WaveClipData, collate_waves
from unsilent.training.wave_losses import local_mean
from unsilent.training.wave_pretrain import PretrainWaveTask
from unsilent.training.wave_recipe import PretrainWaveRecipe, TrainWaveRecipe

RATE = 960
TASKS: dict[type[Any], type[Any]] = {TrainWaveRecipe: TrainWaveTask, PretrainWaveRecipe: PretrainWaveTask}
both_inputs = pytest.mark.parametrize("recipe_of", [video_wave_recipe, speech_wave_recipe])
both_adversaries = pytest.mark.parametrize("kind", ["critics", "discriminators"])


class StoppedError(Exception):
    """Stands for a kill."""


def task_of(recipe: Any) -> Any:
    return TASKS[type(recipe)](recipe, Accelerator(cpu=True))


def batch_of(task: Any, size: int = 4) -> WaveBatch:
    data = task.data()
    batch: WaveBatch = task.collate([data[key] for key in next(iter(BatchOrder(len(data), size, 0, 1)))])
    return batch


def fit(recipe: Any, folder: Path, on_step: Any = lambda step, total, metrics: None) -> dict[str, float]:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    task = TASKS[type(recipe)](recipe, accelerator)
    trainer: Trainer[Any] = Trainer(task, recipe.run, recipe.optim, dump_recipe(recipe), folder, accelerator, on_step)
    return trainer.fit()


def weights(task: WaveTask, name: str) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in task.modules[name].state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_window_of_a_clip_has_the_sound_of_its_pictures(tmp_path: Path) -> None:
    rows = read_rows(tmp_path, [row(0, frames=20, short_by=529)])
    still = AugmentConfig(crop=False, flip=0, erase=0, time_mask=0, brightness=0)
    common: dict[str, Any] = {"mel": MelConfig(), "encoder": ENCODER, "bandwidth": 9000.0}
    data, whole = WaveClipData(rows, augment=still, window=8, **common), WaveClipData(rows, cache=False, **common)[0]
    assert whole.samples.shape == (20 * RATE,)
    assert whole.valid == 20 * RATE - 529
    assert whole.samples[whole.valid :].abs().max() == 0
    starts = set()
    for position in range(12):
        sample = data[SampleKey(0, position, 0)]
        fits = [k for k in range(13) if torch.equal(sample.samples, whole.samples[k * RATE : (k + 8) * RATE])]
        assert len(fits) == 1
        assert torch.equal(sample.source, whole.source[fits[0] : fits[0] + 8])
        assert sample.valid == min(8 * RATE, whole.valid - fits[0] * RATE)
        starts |= set(fits)
    assert len(starts) > 3


def test_batches_are_padded_with_silence(tmp_path: Path) -> None:
    data = WaveClipData(
        read_rows(tmp_path, [row(0, frames=9), row(1, frames=12, short_by=100)]),
        mel=MelConfig(), encoder=ENCODER, bandwidth=9000.0,
    )  # fmt: skip
    batch = collate_waves([data[0], data[1]], RATE)
    assert batch.source.shape == (2, 12, ENCODER.crop, ENCODER.crop)
    assert batch.samples.shape == (2, 12 * RATE)
    assert batch.frames.tolist() == [9, 12]
    assert batch.valid.tolist() == [9 * RATE, 12 * RATE - 100]
    assert batch.bandwidth.tolist() == [9000.0, 9000.0]
    assert batch.samples[0, 9 * RATE :].abs().max() == 0


@both_adversaries
@both_inputs
def test_adversary_comes_in_at_its_time(shards: Path, recipe_of: Any, kind: str) -> None:
    task = task_of(recipe_of(shards, adversary={"kind": kind, "steps": 2}))
    batch, adversary, model = batch_of(task), weights(task, "adversary"), weights(task, "model")
    metrics = task.update(batch, 1, 4)
    assert not {"adversarial", "adversary", "feature_matching"} & set(metrics)
    assert same(weights(task, "adversary"), adversary)
    assert not same(weights(task, "model"), model)
    metrics = task.update(batch, 2, 4)
    assert {"adversarial", "adversary"} <= set(metrics)
    assert ("feature_matching" in metrics) == (kind == "discriminators")
    assert not same(weights(task, "adversary"), adversary)
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(parameter.requires_grad for parameter in task.modules.parameters())


def test_without_an_adversary_there_is_none(shards: Path) -> None:
    task = task_of(video_wave_recipe(shards, adversary={"begin": 1.0}))
    assert set(task.modules) == set(task.optimizers) == {"model"}
    assert not task.keep_last


def test_loss_is_the_weighted_sum(shards: Path) -> None:
    loss = {"power": 0.3, "mfcc": 0.2, "estoi": 0.5, "adversarial": 0.7, "feature_matching": 0.9}
    task = task_of(video_wave_recipe(shards, loss=loss, adversary={"kind": "discriminators"}))
    metrics = task.update(batch_of(task), 3, 4)
    given = {"stft": 1.0, "mel": 1.0, **loss}
    assert set(given) <= set(metrics)
    assert metrics["loss"] == pytest.approx(sum(weight * metrics[name] for name, weight in given.items()), rel=1e-4)


def test_adversary_hears_nothing_above_the_bandwidth_nor_after_the_end(shards: Path) -> None:
    task = task_of(video_wave_recipe(shards, adversary={"segment_frames": None}))
    batch = batch_of(task)
    batch = WaveBatch(
        batch.source, batch.frames, batch.samples, batch.valid // 2, torch.full((4,), 3000.0), batch.reference
    )
    true, heard, _ = task._losses(batch, *task._made(batch), local_mean)
    made = torch.randn_like(true, requires_grad=True)
    shown = task._shown(true, made, heard)
    for each in shown:
        assert each.shape == true.shape
        assert each[0, int(heard.valid[0]) + 240 :].abs().max() < 0.02
        spectrum = torch.fft.rfft(each * torch.hann_window(each.shape[1])).abs()
        above = each.shape[1] * 3500 // 24_000
        assert spectrum[:, above:].max() < 0.03 * spectrum[:, :above].max()
    shown[1].sum().backward()
    assert made.grad is not None


@both_inputs
@pytest.mark.parametrize("decoder", [DECODER, SHAPED])
def test_a_tiny_batch_is_learnt(shards: Path, recipe_of: Any, decoder: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    changes = {"adversary": {"begin": 1.0}, "optim": {"lr": 1e-2, "clip": 5.0}, "model": {"decoder": decoder}}
    task = task_of(recipe_of(shards, **changes))
    batch = batch_of(task, 2)
    for group in task.optimizers["model"].param_groups:
        group["lr"] = 1e-2
    losses = [task.update(batch, step, 25) for step in range(25)]
    assert losses[-1]["mel"] < 0.65 * losses[0]["mel"]
    # Of two noises the log magnitudes differ, however alike they are.
    assert losses[-1]["stft"] < (0.75 if "source" in decoder else 0.65) * losses[0]["stft"]


def test_pitch_is_learnt_from_the_true_one_and_judged_by_its_own(shards: Path) -> None:
    torch.set_num_threads(1)
    decoder = merged(SHAPED, {"source": {"lowest": 50.0, "highest": 900.0}})
    task = task_of(speech_wave_recipe(shards, adversary={"begin": 1.0}, model={"decoder": decoder}))
    batch = batch_of(task, 2)
    tone = 0.2 * harmonics(torch.full((2, batch.samples.shape[1] // 240), 310.0), 240, 24_000)
    batch = replace(batch, samples=tone, source=tone)
    head = task.modules["model"].decoder.head
    with torch.no_grad():
        head.gains.bias[head.bins :] = -5  # less noise than voice, or no pitch would be heard in it
    told, own = task._made(batch, told=True)
    assert own is not None
    assert abs(autocorrelation_pitch(told, 240, 24_000)[0, 5:15].median() - 310) < 3
    before = task._losses(batch, told, own, local_mean)[2]["pitch"].item()
    wrong = abs(own.detach().log() - np.log(310))[:, 3:-3].mean()
    assert before == pytest.approx(wrong.item(), rel=0.2)
    for group in task.optimizers["model"].param_groups:
        group["lr"] = 1e-2
    for step in range(25):
        last = task.update(batch, step, 25)
    assert last["pitch"] < 0.5 * before
    task.modules.eval()
    with torch.no_grad():
        made, _ = task._made(batch)
    heard = task.modules["model"](batch.source, torch.ones(2, tone.shape[1] // 960, dtype=torch.bool))
    torch.testing.assert_close(made, heard)


def test_sound_that_is_out_of_step_is_learnt_where_it_fits(shards: Path) -> None:
    torch.manual_seed(0)
    task = task_of(video_wave_recipe(shards, loss={"lag": 4}, data={"window": 12}))
    batch = batch_of(task, 2)
    # One clip is late and the other early: what all clips share would be the model's own fault.
    made = torch.stack([torch.roll(batch.samples[0], -480), torch.roll(batch.samples[1], 480)])
    _, heard, moved = task._losses(batch, made, None, local_mean)
    still = task_of(video_wave_recipe(shards, data={"window": 12}))._losses(batch, made, None, local_mean)[2]
    assert moved["stft"] < 0.3 * still["stft"]
    assert moved["mel"] < 0.3 * still["mel"]
    assert heard.valid.tolist() == (batch.valid + torch.tensor([-480, 480])).clamp(max=made.shape[1]).tolist()


@pytest.mark.parametrize(
    ("recipe_of", "kind", "decoder"),
    [
        (video_wave_recipe, "critics", DECODER),
        (speech_wave_recipe, "discriminators", DECODER),
        (video_wave_recipe, "discriminators", SHAPED),
    ],
)
def test_resumed_run_is_bit_identical(shards: Path, tmp_path: Path, recipe_of: Any, kind: str, decoder: Any) -> None:
    def stop(step: int, total: int, metrics: dict[str, float]) -> None:
        assert ("adversary" in metrics) == (step > 2)
        if step == 3:
            raise StoppedError

    run, model = {"checkpoint_minutes": 0, "validate_every": 2}, {"decoder": decoder}
    recipe = recipe_of(shards, adversary={"kind": kind}, run=run, model=model)
    straight = fit(recipe, tmp_path / "straight")
    with pytest.raises(StoppedError):
        fit(recipe, tmp_path / "resumed", stop)
    assert fit(recipe, tmp_path / "resumed") == straight
    one, other = (newest_snapshot(tmp_path / name / "checkpoints") for name in ("straight", "resumed"))
    assert one is not None
    assert other is not None
    assert one.step == other.step == 4
    assert same(one.modules, other.modules)
    assert same(one.ema, other.ema)
    assert same(one.optimizers, other.optimizers)
    assert {name.split(".")[0] for name in one.optimizers} == {"model", "adversary"}


@pytest.mark.parametrize("decoder", [DECODER, SHAPED])
def test_pre_trained_decoder_is_handed_to_video(shards: Path, tmp_path: Path, decoder: dict[str, Any]) -> None:
    model = {"decoder": decoder}
    speech = speech_wave_recipe(shards, model=model)
    metrics = fit(speech, tmp_path / "speech")
    assert {"stft", "mel", "estoi_unmoved", "score"} <= set(metrics)
    given, config, card = load_reconstructor(tmp_path / "speech" / "best", source="audio")
    assert config.path == "a2a-wave"
    assert card["step"] == 4
    start = {"init": "decoder", "source": str(tmp_path / "speech")}
    task = task_of(video_wave_recipe(shards, start=start, model=model))
    mine = task.modules["model"].decoder.state_dict()
    for name, value in given.decoder.state_dict().items():
        if "video" not in name:
            assert torch.equal(mine[name], value), name
        else:
            assert torch.equal(mine[name], given.decoder.state_dict()[name.replace("video", "audio")]), name
    fit(video_wave_recipe(shards, start={**start, "strategy": "staged"}, model=model), tmp_path / "video")
    assert load_reconstructor(tmp_path / "video" / "best", source="video")[1].path == "v2a-wave"
    with pytest.raises(CheckpointError, match="does not fit the model to start"):
        task_of(video_wave_recipe(shards, start=start, model={"decoder": {**decoder, "blocks": 2}}))


def test_a_mel_model_hands_no_decoder_to_a_wave_model(shards: Path, tmp_path: Path) -> None:
    config = train_recipe(shards).model
    from unsilent.models import build_reconstructor

    save_model(tmp_path, build_reconstructor(config), config, {})
    with pytest.raises(CheckpointError, match="does not fit"):
        task_of(video_wave_recipe(shards, start={"init": "decoder", "source": str(tmp_path)}))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("model.decoder.target=mel", "kind train-wave makes v2a-wave"),
        ("data.augment.speed=0.1", "data.augment.speed"),
        ("start.latents=0.1", "start.latents"),
        ("data.window=2", "at least 3"),
        ("adversary.betas=[0.5, 1.0]", "adversary.betas"),
        ("adversary.steps=0", "adversary.steps"),
        ("loss.resolutions=[[512, 600, 512]]", "hop <= window"),
        ("loss.colour=1", "unknown key"),
    ],
)
def test_impossible_recipes_are_one_line(wrong: str, said: str) -> None:
    changes = [wrong, "model.decoder={target: mel}"] if "target" in wrong else [wrong]
    with pytest.raises(RecipeError) as caught:
        load_recipe("grid-wave", TrainWaveRecipe, changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shipped_recipes_fit_one_another() -> None:
    video = load_recipe("grid-wave", TrainWaveRecipe)
    speech = load_recipe("speech-wave", PretrainWaveRecipe)
    assert video.model.decoder == speech.model.decoder
    assert video.model.temporal.width == speech.model.temporal.width
    eyes = load_reconstructor(SHIPPED / "grid")[1]
    assert (video.model.encoder, video.model.temporal) == (eyes.encoder, eyes.temporal)
    assert load_recipe("speech-wavegan", PretrainWaveRecipe).adversary.begin < 1
    with pytest.raises(RecipeError, match=r"loss\.lag"):
        load_recipe("speech-wave", PretrainWaveRecipe, ["loss.lag=2"])


def test_short_speech_is_padded_and_the_padding_is_not_seen(tmp_path: Path) -> None:
    rows = [row(0, frames=3, short_by=500), row(1, frames=9), row(2, split="held-out")]
    task = task_of(speech_wave_recipe(write_shards(tmp_path, rows), data={"corrupt": {"noise": 1.0, "mask": 0.0}}))
    sample = task.data()[SampleKey(0, 0, 0)]
    assert (sample.frames, sample.valid) == (3, 3 * RATE - 500)
    assert sample.source.shape == sample.samples.shape == (6 * RATE,)
    assert not torch.equal(sample.source[: sample.valid], sample.samples[: sample.valid])
    assert sample.samples[sample.valid :].abs().max() == 0
    assert task.collate([sample]).frames.tolist() == [3]
    # Validation copies clean speech.
    assert all(torch.equal(each.source, each.samples) for each in task._held_out)
