"""Public vocoders behind our interface: their scale, their place in time, no seams, padding that nobody hears."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unsilent.config import load_recipe, validate_recipe
from unsilent.errors import RecipeError
from unsilent.features import MelConfig, log_mel, mel_filterbank
from unsilent.models.public_vocoders import (
    HifiganConfig,
    ParallelWaveganConfig,
    PublicMelConfig,
    PublicVocoder,
    mel_differences,
)
from unsilent.models.public_vocoders.parallel_wavegan import frame_noise
from unsilent.synthesis.windows import windowed_samples
from unsilent.training.recipe import TrainRecipe

MEL = PublicMelConfig(sample_rate=900, n_fft=64, hop_length=15, win_length=40, n_mels=5, f_min=20, f_max=400)
PWG = ParallelWaveganConfig(
    mel=MEL,
    log_base="10",
    normalised=True,
    centred=True,
    layers=4,
    stacks=2,
    residual_channels=4,
    gate_channels=6,
    skip_channels=5,
    rates=(3, 5),
)
HIFIGAN = HifiganConfig(
    mel=MEL,
    log_base="e",
    normalised=False,
    centred=False,
    channels=8,
    rates=(5, 3),
    rate_kernels=(11, 7),
    block_kernels=(3, 5),
    block_dilations=((1, 3), (1, 2)),
)
LIBRITTS = PublicMelConfig(n_fft=2048, hop_length=300, win_length=1200, f_min=80, f_max=7600, floor=1e-10)


@torch.no_grad()
def vocoder(config: HifiganConfig | ParallelWaveganConfig) -> PublicVocoder:
    model = PublicVocoder(config).eval()
    for value in model.parameters():
        value.add_(torch.randn_like(value) * 0.2)
    if config.normalised:
        model.mean.copy_(torch.linspace(-3, -1, 5))
        model.scale.copy_(torch.linspace(0.5, 1.5, 5))
    return model


BOTH = pytest.mark.parametrize("config", [PWG, HIFIGAN], ids=["pwg", "hifigan"])


@BOTH
@pytest.mark.parametrize("frames", [1, 2, 30])
@torch.inference_mode()
def test_every_mel_frame_is_a_hop_of_sound_and_the_same_every_time(
    config: HifiganConfig | ParallelWaveganConfig, frames: int
) -> None:
    model, mel = vocoder(config), torch.randn(2, 5, frames) - 4
    made = model(mel)
    assert made.shape == (2, 15 * frames)
    assert made.isfinite().all()
    assert torch.equal(made, model(mel))


@BOTH
@torch.inference_mode()
def test_padded_batch_is_each_alone(config: HifiganConfig | ParallelWaveganConfig) -> None:
    model, mel = vocoder(config), torch.randn(3, 5, 20) - 4
    mask = torch.arange(20)[None] < torch.tensor([20, 7, 0])[:, None]
    made = model(mel, mask)
    for item, length in enumerate((20, 7)):
        assert torch.equal(made[item, : 15 * length], model(mel[item : item + 1, :, :length])[0])
    assert not made[1, 15 * 7 :].any()
    assert not made[2].any()


@BOTH
@torch.inference_mode()
def test_nothing_beyond_the_stated_context_matters(config: HifiganConfig | ParallelWaveganConfig) -> None:
    model = vocoder(config)
    reach = model.context_frames
    mel = torch.randn(1, 5, 2 * reach + 12) - 4
    other = mel.clone()
    other[:, :, reach + 5] += 3
    touched = (model(mel) != model(other))[0].nonzero().flatten() // 15
    assert touched.min() >= 5
    assert touched.max() <= 2 * reach + 5
    assert touched.max() - touched.min() >= reach  # not far more than is needed: that would cost time


@BOTH
def test_long_clips_have_no_seams(config: HifiganConfig | ParallelWaveganConfig) -> None:
    model = vocoder(config)
    mel = (torch.randn(5, 137) - 4).numpy()
    mel[:, 60:100] = mel[:, 60:61]  # a stretch of silence over a seam

    @torch.inference_mode()
    def vocode(piece: np.ndarray) -> np.ndarray:
        made: np.ndarray = model(torch.from_numpy(piece)[None])[0].numpy()
        return made

    pieces = np.split(mel, [21, 40, 50, 51, 120], axis=1)
    joined = np.concatenate(list(windowed_samples(iter(pieces), vocode, 15, model.context_frames)))
    whole = vocode(mel)
    assert joined.shape == whole.shape
    # Equal frames in a row get noise by their number in the row, which a window that begins among them cannot know.
    same = np.abs(joined - whole) < 1e-5
    quiet = np.zeros(len(whole), bool)
    quiet[(60 - model.context_frames) * 15 : (100 + model.context_frames) * 15] = True
    assert same[~quiet].all()
    assert same.all() or config is PWG


@torch.inference_mode()
def test_the_network_gets_its_own_scale() -> None:
    model = vocoder(PWG)
    amplitude = torch.rand(1, 5, 4) + 0.01
    expected = (amplitude.log10() - model.mean[:, None]) / model.scale[:, None]
    torch.testing.assert_close(model.own_scale(amplitude.log()), expected)
    mel = amplitude.log()
    assert torch.equal(vocoder(HIFIGAN).own_scale(mel), mel)


def reference_mel(samples: Tensor, config: PublicMelConfig, first: int, frames: int) -> Tensor:
    """log10 mel after kan-bayashi's definition: frame m is centred on sample ``first + m * hop_length``."""
    window = torch.zeros(config.n_fft, dtype=torch.float64)
    side = (config.n_fft - config.win_length) // 2
    window[side : side + config.win_length] = torch.hann_window(config.win_length, dtype=torch.float64)
    rows = []
    for frame in range(frames):
        start = first + frame * config.hop_length - config.n_fft // 2
        spectrum = torch.fft.rfft(samples[start : start + config.n_fft].double() * window).abs()
        rows.append((mel_filterbank(config).double() @ spectrum).clamp(min=1e-10).log10())
    return torch.stack(rows, 1)


def test_our_frames_are_theirs_half_a_hop_later() -> None:
    recipe = load_recipe("svts", TrainRecipe).model.mel
    assert (recipe.samples_per_frame, recipe.mels_per_frame) == (1200, 4)
    assert mel_differences(LIBRITTS, recipe) == ""
    samples = torch.randn(24_000) * torch.linspace(0.01, 0.3, 24_000)
    ours = log_mel(samples[None], recipe)[0]
    assert ours.shape == (80, 80)
    theirs = reference_mel(samples, LIBRITTS, 10 * 300 + 150, 60)
    torch.testing.assert_close(ours[:, 10:70].double() / math.log(10), theirs, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_sound_comes_where_the_mel_has_it() -> None:
    """A network that answers a frame with a click at its own centre: frame m of ours is centred half a hop later."""

    class Clicks(torch.nn.Module):
        context_frames = 0

        def speak(self, own: Tensor) -> Tensor:
            out = torch.zeros(len(own), own.shape[2] * 15)
            out[:, ::15] = own[:, 0]
            return out

    model = vocoder(PWG)
    model.generator = Clicks()  # type: ignore[assignment]
    mel = torch.full((1, 5, 6), float(model.mean[0]) * math.log(10))
    mel[0, 0, 2] = 3.0
    heard = model(mel)[0]
    assert heard.shape == (90,)
    assert heard.abs().argmax() == 2 * 15 + 8  # the middle of frame 2, to the next whole sample


@given(frames=st.integers(1, 12), cut=st.integers(0, 11), seed=st.integers(0, 99))
def test_a_frame_has_its_noise_wherever_a_window_begins(frames: int, cut: int, seed: int) -> None:
    mel = np.random.default_rng(seed).normal(size=(5, frames)).astype(np.float32)
    whole = frame_noise(mel, 7)
    begin = min(cut, frames - 1)
    np.testing.assert_array_equal(frame_noise(mel[:, begin:], 7), whole[begin * 7 :])


def test_noise_is_normal_and_does_not_repeat_in_silence() -> None:
    noise = frame_noise(np.full((80, 200), -11.5, np.float32), 300)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)
    frames = noise.reshape(200, 300)
    likeness = np.corrcoef(frames) - np.eye(200)
    assert np.abs(likeness).max() < 0.35
    assert np.abs(np.correlate(noise[:30_000], noise[300:30_300]))[0] / 30_000 < 0.03


def test_differences_name_both_values() -> None:
    ours = MelConfig()
    said = mel_differences(LIBRITTS, ours)
    assert "hop_length 240, the vocoder's 300" in said
    assert "n_fft 1024, the vocoder's 2048" in said
    assert "floor" not in said
    assert mel_differences(ours, ours) == ""
    assert mel_differences(ours, MelConfig(floor=1e-6)) == "floor 1e-06, the vocoder's 1e-05"


def test_frame_rates_that_a_hop_fits() -> None:
    assert {20, 40, 80} <= set(LIBRITTS.frame_rates)
    assert 25 not in LIBRITTS.frame_rates
    assert PublicMelConfig(sample_rate=22_050, hop_length=256, f_max=8000).frame_rates == ()


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        (PWG, {"rates": (3, 4)}, "product of"),
        (PWG, {"stacks": 3}, "multiple of stacks"),
        (PWG, {"kernel": 2}, "odd"),
        (HIFIGAN, {"rate_kernels": (11,)}, "same lengths"),
        (HIFIGAN, {"rate_kernels": (4, 7)}, "not be smaller"),
        (HIFIGAN, {"block_kernels": (3, 4)}, "odd"),
        (HIFIGAN, {"channels": 6}, "halved"),
        (HIFIGAN, {"mel": {**MEL.model_dump(), "f_max": 500}}, "f_max"),
        (HIFIGAN, {"mel": {**MEL.model_dump(), "win_length": 100}}, "win_length"),
    ],
)
def test_impossible_settings(
    config: HifiganConfig | ParallelWaveganConfig, change: dict[str, object], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        validate_recipe({**config.model_dump(), **change}, type(config), "card.json")
