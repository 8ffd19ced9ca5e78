"""Losses against values worked out by hand, and what lies under the mask."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from unsilent.features import MelConfig, band_edges, mel_filterbank
from unsilent.training.losses import (
    band_mask,
    best_lags,
    centre_lags,
    masked_delta_l1,
    masked_l1,
    multi_resolution_stft,
    shift_frames,
    spectral_convergence,
)

MASK = torch.tensor([[True, True, True], [True, True, False]])


def mels() -> tuple[Tensor, Tensor]:
    target = torch.zeros(2, 2, 3)
    predicted = torch.tensor([[[1.0, 2, 3], [0, 0, 0]], [[-4.0, 0, 99], [0, 1, 99]]])
    return predicted, target


def test_l1_is_the_mean_over_valid_frames_and_bands() -> None:
    predicted, target = mels()
    assert masked_l1(predicted, target, MASK).item() == pytest.approx((1 + 2 + 3 + 4 + 1) / (5 * 2))


def test_delta_is_the_mean_over_pairs_of_valid_frames() -> None:
    predicted, target = mels()
    assert masked_delta_l1(predicted, target, MASK).item() == pytest.approx((1 + 1 + 4 + 1) / (3 * 2))


def test_spectral_convergence_is_a_ratio_of_amplitudes_a_clip() -> None:
    target = torch.zeros(2, 1, 3)
    predicted = torch.log(torch.tensor([[[4.0, 1, 1]], [[1, 3, 1e9]]]))
    wanted = (3 / math.sqrt(3) + 2 / math.sqrt(2)) / 2
    assert spectral_convergence(predicted, target, MASK).item() == pytest.approx(wanted)
    wild = torch.full((1, 1, 3), 80.0)
    assert spectral_convergence(wild, target[:1], MASK[:1]).item() == pytest.approx(math.exp(4) - 1, rel=1e-4)


@pytest.mark.parametrize("loss", [masked_l1, masked_delta_l1, spectral_convergence])
def test_nothing_under_the_mask_counts(loss: object) -> None:
    assert callable(loss)
    predicted, target = torch.randn(2, 4, 3, requires_grad=True), torch.randn(2, 4, 3)
    value = loss(predicted, target, MASK)
    torch.autograd.backward(value)
    assert predicted.grad is not None
    assert not predicted.grad[1, :, 2].any()
    assert predicted.grad[1, :, 1].abs().min() > 0
    other, wanted = predicted.detach().clone(), target.clone()
    other[1, :, 2], wanted[1, :, 2] = 3.0, -7.0
    assert torch.equal(loss(other, wanted, MASK), value)
    padded = (torch.nn.functional.pad(each, (0, 5), value=2.0) for each in (predicted, target))
    wide = torch.nn.functional.pad(MASK, (0, 5))
    torch.testing.assert_close(loss(*padded, wide), value)


@pytest.mark.parametrize("loss", [masked_l1, masked_delta_l1, spectral_convergence])
def test_nothing_valid_is_zero_with_finite_gradients(loss: object) -> None:
    assert callable(loss)
    predicted = torch.randn(1, 4, 3, requires_grad=True)
    value = loss(predicted, torch.randn(1, 4, 3), torch.zeros(1, 3, dtype=torch.bool))
    torch.autograd.backward(value)
    assert value.item() == 0
    assert predicted.grad is not None
    assert not predicted.grad.any()


@pytest.mark.parametrize("loss", [masked_l1, masked_delta_l1, spectral_convergence])
def test_equal_is_zero_with_finite_gradients(loss: object) -> None:
    assert callable(loss)
    predicted = torch.randn(2, 4, 3, requires_grad=True)
    value = loss(predicted, predicted.detach().clone(), MASK)
    torch.autograd.backward(value)
    assert value.item() == 0
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


def test_stft_loss_is_zero_for_equal_and_grows_with_the_difference() -> None:
    samples = torch.randn(2, 4096) * 0.1
    assert multi_resolution_stft(samples, samples).item() == pytest.approx(0, abs=1e-6)
    near, far = (multi_resolution_stft(samples + level * torch.randn(2, 4096), samples) for level in (0.01, 0.1))
    assert 0 < near < far
    # Twice as loud: |2x - x| / |x| = 1 and log 2 at every resolution.
    assert multi_resolution_stft(2 * samples, samples).item() == pytest.approx(1 + math.log(2), abs=0.01)
    # Only magnitudes count.
    assert multi_resolution_stft(-samples, samples).item() == pytest.approx(0, abs=1e-6)


def test_stft_loss_has_gradients_at_silence() -> None:
    samples = torch.zeros(1, 4096, requires_grad=True)
    torch.autograd.backward(multi_resolution_stft(samples, torch.randn(1, 4096)))
    assert samples.grad is not None
    assert samples.grad.isfinite().all()


def test_frames_are_moved_by_each_items_own_lag() -> None:
    target = torch.arange(6.0).expand(2, 1, 6)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    moved, counts = shift_frames(target, mask, torch.tensor([2, -1]))
    assert moved[0, 0, :4].tolist() == [2, 3, 4, 5]
    assert counts[0].tolist() == [True] * 4 + [False] * 2
    assert moved[1, 0, 1:].tolist() == [0, 1, 2, 3, 4]
    assert counts[1].tolist() == [False, True, True, True, True, False]


def test_the_lag_of_each_item_is_found() -> None:
    true = torch.randn(3, 8, 60)
    mask = torch.ones(3, 60, dtype=torch.bool)
    lags = torch.tensor([-3, 0, 4])
    predicted, _ = shift_frames(true, mask, lags)
    assert best_lags(predicted, true, mask, 5).tolist() == lags.tolist()
    # A prediction that says nothing about time stays where it is.
    assert best_lags(torch.zeros_like(true), torch.ones_like(true), mask, 5).tolist() == [0, 0, 0]


def test_lags_that_all_clips_share_are_none() -> None:
    for lags, left in (([3, 3, 3], [0, 0, 0]), ([1, 2, 6], [-2, -1, 3]), ([-2, -1], [0, 1]), ([4], [0])):
        assert centre_lags(torch.tensor(lags), alone=True).tolist() == left


def test_bands_above_the_bandwidth_do_not_count() -> None:
    config = MelConfig()
    bands = band_mask(torch.tensor([12_000.0, 4000.0, 0.0]), config)
    assert bands.shape == (3, 80)
    assert bands[0].all()
    assert not bands[2].any()
    edges = band_edges(config)
    assert float(edges[bands[1]].max()) <= 4000 < float(edges[~bands[1]].min())
    bank = mel_filterbank(config)
    hertz = torch.linspace(0, 12_000, bank.shape[1])
    assert not bank[bands[1]][:, hertz > 4000].any()


@pytest.mark.parametrize("loss", [masked_l1, masked_delta_l1, spectral_convergence])
def test_a_mask_of_bands_leaves_out_bands(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    predicted, target = torch.randn(2, 6, 5), torch.randn(2, 6, 5)
    frames = torch.ones(2, 5, dtype=torch.bool)
    bands = torch.tensor([True, True, True, True, False, False])
    mask = (frames[:, None] & bands[None, :, None]).expand(2, 6, 5)
    torch.testing.assert_close(loss(predicted, target, mask), loss(predicted[:, :4], target[:, :4], frames))
