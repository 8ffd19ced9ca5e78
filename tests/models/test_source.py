"""Harmonics, noise and the gains that shape them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from unsilent.models.config import SourceConfig
from unsilent.models.source import Controls, SourceFilter, harmonics
from unsilent.training.pitch import autocorrelation_pitch

HOP, RATE = 120, 24_000
CONFIG = SourceConfig(n_fft=512)


def source() -> SourceFilter:
    torch.manual_seed(0)
    return SourceFilter(4, HOP, RATE, CONFIG).eval()


def controls(hertz: float, harmonic: float, noise: float, frames: int = 100) -> Controls:
    bins = CONFIG.n_fft // 2 + 1
    flat = torch.ones(1, bins, frames)
    return Controls(torch.full((1, frames), hertz), harmonic * flat, noise * flat)


def everything(frames: int = 100) -> Tensor:
    return torch.ones(1, frames, dtype=torch.bool)


@pytest.mark.parametrize("hertz", [61.0, 137.5, 470.0])
def test_every_multiple_of_the_pitch_is_as_loud(hertz: float) -> None:
    made = harmonics(torch.full((1, 400), hertz), HOP, RATE)[0].double()
    assert made.std() == pytest.approx(1, abs=0.02)
    count = int(RATE / 2 / hertz)
    time = torch.arange(1, len(made) + 1, dtype=torch.float64) / RATE
    for number in {1, 2, count // 2, count}:
        wave = torch.exp(-2j * math.pi * hertz * number * time)
        amplitude = 2 * (made * wave).mean().abs()
        assert amplitude == pytest.approx(math.sqrt(2 / count), rel=0.03), number


def test_pitch_may_glide() -> None:
    wanted = torch.linspace(100, 250, 300)[None]
    # As soft as a voice: sharp pulses that glide are alike from one to the next in their low harmonics alone.
    made = functional.conv1d(harmonics(wanted, HOP, RATE), torch.hann_window(25)[None, None], padding=12)
    heard = autocorrelation_pitch(made, HOP, RATE)
    inside = slice(15, -15)
    assert (heard[0, inside] / wanted[0, inside]).log().abs().max() < 0.02


def test_gains_scale_what_is_heard() -> None:
    filter = source()
    quiet = filter.sound(controls(150, -6, -30), everything())
    louder = filter.sound(controls(150, -6 + math.log(2), -30), everything())
    assert (louder.std() / quiet.std()).item() == pytest.approx(2, rel=0.01)
    # Flat gains leave the source as it is.
    expected = harmonics(torch.full((1, 100), 150.0), HOP, RATE) * math.exp(-6)
    torch.testing.assert_close(torch.atanh(quiet), expected, atol=1e-5, rtol=1e-3)


def test_gains_are_of_their_own_bins_and_time() -> None:
    filter, shape = source(), controls(150, -30, -30)
    shape.noise[:, 100:120, 40:60] = -2
    made = filter.sound(shape, everything())[0]
    loud = made.view(100, HOP).std(1)
    assert loud[40:60].min() > 50 * loud[:35].max()
    spectrum = torch.fft.rfft(made).abs()
    hertz = torch.linspace(0, RATE / 2, len(spectrum))
    width = RATE / CONFIG.n_fft
    inside = (hertz > 98 * width) & (hertz < 122 * width)
    assert spectrum[inside].square().sum() > 0.99 * spectrum.square().sum()


def test_breath_is_the_same_again_but_not_in_training() -> None:
    filter, shape = source(), controls(150, -30, -3)
    assert torch.equal(filter.sound(shape, everything()), filter.sound(shape, everything()))
    filter.train()
    assert not torch.equal(filter.sound(shape, everything()), filter.sound(shape, everything()))


def test_pitch_stays_in_its_range() -> None:
    filter = source()
    with torch.no_grad():
        filter.voice.weight.fill_(100)
    pitch = filter(torch.randn(2, 4, 50)).pitch
    assert 59.9 < pitch.min() < 61
    assert 499 < pitch.max() < 500.1


def test_extremes_stay_finite() -> None:
    filter = source()
    with torch.no_grad():
        filter.gains.weight.fill_(1e6)
    x = torch.randn(1, 4, 30, requires_grad=True)
    made = filter.sound(filter(x), everything(30))
    made.square().sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(made).all()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
