from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unsilent.features import MelConfig, log_mel
from unsilent.training.losses import multi_resolution_stft
from unsilent.training.wave_losses import (
    EDGE,
    Heard,
    cosine_basis,
    low_pass,
    mel_l1,
    mfcc_l1,
    power_l1,
    stft_loss,
)

RATE, MEL = 24_000, MelConfig()
Loss = Callable[[Tensor, Tensor, Heard], Tensor]


def by_mel(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Loss:
    def of(made: Tensor, true: Tensor, heard: Heard) -> Tensor:
        mels = log_mel(made, MEL), log_mel(true, MEL)
        return loss(*mels, heard.mel(MEL, mels[0].shape[2]))

    return of


LOSSES: dict[str, Loss] = {"stft": stft_loss, "power": power_l1, "mel": by_mel(mel_l1), "mfcc": by_mel(mfcc_l1)}
every_loss = pytest.mark.parametrize("loss", list(LOSSES.values()), ids=list(LOSSES))


def all_of(samples: Tensor) -> Heard:
    return Heard(torch.full((len(samples),), samples.shape[1]), torch.full((len(samples),), RATE / 2), RATE)


def tone(hertz: float, length: int = 9600) -> Tensor:
    return 0.3 * torch.sin(2 * torch.pi * hertz * torch.arange(length) / RATE)[None]


@every_loss
def test_nothing_to_learn_from_what_is_right(loss: Loss) -> None:
    samples = torch.randn(2, 9600) * 0.1
    assert loss(samples, samples, all_of(samples)).item() == pytest.approx(0, abs=1e-6)
    assert loss(0.5 * samples, samples, all_of(samples)).item() > 0.05


def test_unmasked_it_is_the_loss_of_parallel_wavegan() -> None:
    made, true = torch.randn(2, 9600) * 0.1, torch.randn(2, 9600) * 0.1
    torch.testing.assert_close(stft_loss(made, true, all_of(true)), multi_resolution_stft(made, true))


@every_loss
def test_above_the_bandwidth_there_is_no_gradient(loss: Loss) -> None:
    true = tone(1000)
    made = (0.5 * tone(1000) + tone(9000)).requires_grad_()
    loss(made, true, Heard(torch.tensor([9600]), torch.tensor([4000.0]), RATE)).backward()  # type: ignore[no-untyped-call]
    assert made.grad is not None
    spectrum = torch.fft.rfft(made.grad * torch.hann_window(9600)).abs()[0]
    below, above = spectrum[: 9600 * 4000 // RATE].max(), spectrum[9600 * 5000 // RATE :].max()
    assert below > 0
    # Windows leak: of what lies above, as much as their side lobes, and no more.
    assert above < 1e-3 * below


@every_loss
def test_what_is_above_the_bandwidth_counts_where_it_is_heard(loss: Loss) -> None:
    # Noise covers the side lobes of the analysis windows, which put a little of every tone everywhere.
    noise = torch.randn(1, 9600, generator=torch.Generator().manual_seed(0)) * 0.02
    true, made = tone(1000) + noise, tone(1000) + tone(9000) + noise
    narrow = Heard(torch.tensor([9600]), torch.tensor([4000.0]), RATE)
    assert loss(made, true, narrow).item() < 0.1 * loss(made, true, all_of(true)).item()


@every_loss
def test_beyond_the_end_there_is_no_gradient(loss: Loss) -> None:
    true, made = torch.randn(2, 14_400) * 0.1, (torch.randn(2, 14_400) * 0.1).requires_grad_()
    valid = torch.tensor([14_400, 7000])
    heard = Heard(valid, torch.full((2,), 12_000.0), RATE)
    loss(made, true, heard).backward()  # type: ignore[no-untyped-call]
    assert made.grad is not None
    # A mel frame that ends before the end still looks half a window beyond it.
    assert made.grad[1, 7000 + MEL.n_fft // 2 :].abs().max() == 0
    assert made.grad[1, :6000].any()
    assert made.grad[0, 13_000:].any()


@every_loss
def test_a_recording_of_nothing_is_no_loss(loss: Loss) -> None:
    made = torch.randn(1, 9600, requires_grad=True)
    value = loss(made, torch.zeros(1, 9600), Heard(torch.tensor([0]), torch.tensor([0.0]), RATE))
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert made.grad is not None
    assert made.grad.isfinite().all()


def test_cosine_basis_is_that_of_scipy() -> None:
    fft = pytest.importorskip("scipy.fft")
    mel = np.random.default_rng(0).normal(size=(80, 3))
    wanted = fft.dct(mel, axis=0, norm="ortho")[:25]
    np.testing.assert_allclose(cosine_basis(80).numpy() @ mel, wanted, atol=1e-5)


@given(bandwidth=st.floats(1500, 11_000), length=st.integers(4800, 9000))
@settings(max_examples=25)
def test_low_pass_removes_what_is_above_and_keeps_what_is_below(bandwidth: float, length: int) -> None:
    samples = tone(bandwidth - EDGE - 300, length) + tone(bandwidth + 300, length)
    passed = low_pass(samples, torch.tensor([bandwidth]), RATE)
    inner = slice(1200, length - 1200)
    torch.testing.assert_close(passed[:, inner], tone(bandwidth - EDGE - 300, length)[:, inner], atol=6e-3, rtol=0)


def test_low_pass_leaves_a_whole_spectrum_and_each_has_its_own_bandwidth() -> None:
    samples = torch.randn(2, 4800)
    passed = low_pass(samples, torch.tensor([12_000.0, 3000.0]), RATE)
    torch.testing.assert_close(passed[0], samples[0], atol=1e-5, rtol=1e-4)
    spectrum = torch.fft.rfft(passed[1] * torch.hann_window(4800)).abs()
    assert spectrum[700:].max() < 1e-2 * spectrum[:500].max()


def test_low_pass_lets_no_gradient_through_above() -> None:
    samples = torch.zeros(1, 4800, requires_grad=True)
    (low_pass(samples, torch.tensor([3000.0]), RATE) * tone(6000, 4800)).sum().backward()  # type: ignore[no-untyped-call]
    assert samples.grad is not None
    assert samples.grad[:, 500:-500].abs().max() < 1e-2
    assert low_pass(samples.bfloat16(), torch.tensor([3000.0]), RATE).dtype == torch.bfloat16


def test_the_end_does_not_come_round_to_the_start() -> None:
    samples = torch.zeros(1, 4800)
    samples[0, -1] = 1
    passed = low_pass(samples, torch.tensor([3000.0]), RATE)
    assert passed[0, :2000].abs().max() < 1e-3


@pytest.mark.parametrize("lag", [-480, 0, 480])
def test_moved_recordings_know_what_is_missing(lag: int) -> None:
    samples = torch.arange(1.0, 2401)[None]
    heard = Heard(torch.tensor([2000]), torch.tensor([12_000.0]), RATE)
    moved, there = heard.moved(samples, torch.tensor([lag]))
    places = there.samples(2400)[0].nonzero()[:, 0]
    assert torch.equal(moved[0, places], samples[0, places + lag])
    assert len(places) == min(2000 - max(lag, 0), 2400 - max(-lag, 0))
    assert int(places[0]) == max(-lag, 0)
    frames = there.frames(240, 240, 10)[0].nonzero()[:, 0]
    assert frames.tolist() == list(range(max(-lag, 0) // 240, min(2000 - lag, 2400) // 240))
