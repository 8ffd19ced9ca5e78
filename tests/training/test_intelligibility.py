"""The estimate of ESTOI against pystoi's, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.evaluation.sounds import speech, with_noise
from torch import Tensor

from unsilent.features import MelConfig, log_mel
from unsilent.training.intelligibility import mel_estoi

MEL = MelConfig()


def mel_of(samples: np.ndarray) -> Tensor:
    return log_mel(torch.from_numpy(samples)[None], MEL)


def whole(mel: Tensor) -> Tensor:
    return torch.ones(mel.shape[0], mel.shape[2], dtype=torch.bool)


def test_it_orders_sounds_as_estoi_does() -> None:
    pystoi = pytest.importorskip("pystoi")
    estimated, true = [], []
    for seed in range(3):
        clean = speech(2.0, seed)
        for decibels in (-5.0, 0.0, 5.0, 10.0, 20.0):
            noisy = with_noise(clean, decibels)
            mel = mel_of(clean)
            estimated.append(mel_estoi(mel_of(noisy), mel, whole(mel), MEL).item())
            true.append(pystoi.stoi(clean, noisy, 24_000, extended=True))
    assert np.corrcoef(estimated, true)[0, 1] > 0.9


def test_equal_is_one_and_bounds_hold() -> None:
    mel = mel_of(speech(1.5))
    assert mel_estoi(mel, mel, whole(mel), MEL).item() == pytest.approx(1.0, abs=1e-3)
    other = torch.randn(1, 80, mel.shape[2]) - 4
    assert abs(mel_estoi(other, mel, whole(mel), MEL).item()) < 0.3


def test_gradient_is_finite_and_improves_the_score() -> None:
    mel = mel_of(speech(1.5))
    guess = (mel + torch.randn(mel.shape, generator=torch.Generator().manual_seed(0))).requires_grad_(True)
    before = mel_estoi(guess, mel, whole(mel), MEL)
    (gradient,) = torch.autograd.grad(before.sum(), guess)
    assert torch.isfinite(gradient).all()
    assert mel_estoi(guess.detach() + 20 * gradient, mel, whole(mel), MEL).item() > before.item() + 0.01


def test_masked_frames_do_not_count() -> None:
    mel = mel_of(speech(1.5))
    mask = whole(mel)
    mask[:, 100:] = False
    guess = mel.clone()
    guess[:, :, 100:] = 3.0
    guess.requires_grad_(True)
    score = mel_estoi(guess, mel, mask, MEL)
    assert score.item() == pytest.approx(1.0, abs=1e-3)
    (gradient,) = torch.autograd.grad(score.sum(), guess)
    assert not gradient[:, :, 100:].any()


def test_a_clip_too_short_scores_zero_with_no_gradient() -> None:
    mel = mel_of(speech(1.0))[:, :, :20]
    guess = mel.clone().requires_grad_(True)
    score = mel_estoi(guess, mel, whole(mel), MEL)
    (gradient,) = torch.autograd.grad(score.sum(), guess)
    assert score.item() == 0
    assert not gradient.any()


def test_silence_has_finite_gradients() -> None:
    mel = mel_of(speech(1.5))
    silent = torch.full_like(mel, MEL.log_floor).requires_grad_(True)
    (gradient,) = torch.autograd.grad(mel_estoi(silent, mel, whole(mel), MEL).sum(), silent)
    assert torch.isfinite(gradient).all()
