"""Pitch by autocorrelation: of drawn tones, of real speech beside a network, and where there is none."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from unsilent.evaluation.pitch import pitch
from unsilent.media import read_audio
from unsilent.media.audio import resample
from unsilent.models.source import harmonics
from unsilent.training.pitch import autocorrelation_pitch, fill_pitch, pitch_l1
from unsilent.training.wave_losses import local_mean

RATE, HOP = 24_000, 240


@pytest.mark.parametrize("hertz", [62.0, 110.0, 233.3, 490.0])
@pytest.mark.parametrize("loudness", [1e-3, 0.5])
def test_of_a_tone_with_noise(hertz: float, loudness: float) -> None:
    torch.manual_seed(0)
    tone = harmonics(torch.full((1, 100), hertz), HOP, RATE)
    made = autocorrelation_pitch(loudness * (tone + 0.2 * torch.randn_like(tone)), HOP, RATE)[0, 5:-5]
    voiced = made[made > 0]
    assert len(voiced) > 0.95 * len(made)
    assert (voiced / hertz).log().abs().max() < 0.01


def test_noise_and_silence_have_none() -> None:
    torch.manual_seed(0)
    sounds = torch.stack((torch.randn(RATE), torch.zeros(RATE)))
    pitch = autocorrelation_pitch(sounds, HOP, RATE)
    assert pitch.shape == (2, 100)
    assert (pitch[0] > 0).float().mean() < 0.05
    assert not pitch[1].any()


def test_quiet_frames_beside_loud_ones_have_none() -> None:
    tone = harmonics(torch.full((1, 100), 120.0), HOP, RATE)
    tone[:, 50 * HOP :] *= 1e-3
    pitch = autocorrelation_pitch(tone, HOP, RATE)[0]
    assert pitch[5:45].all()
    assert not pitch[55:].any()


def test_gaps_are_bridged() -> None:
    pitch = torch.tensor([[0, 100, 0, 0, 0, 200, 0.0], [0.0] * 7, [0, 0, 0, 150, 0, 0, 0]])
    filled = fill_pitch(pitch)
    between = [100 * 2 ** (step / 4) for step in range(5)]
    torch.testing.assert_close(filled[0], torch.tensor([100, *between, 200.0]))
    assert not filled[1].any()
    torch.testing.assert_close(filled[2], torch.full((7,), 150.0))


def test_of_real_speech_beside_a_network(shared_data: Path) -> None:
    pytest.importorskip("swift_f0")
    pytest.importorskip("onnxruntime")
    shared, total, wrong = 0, 0, 0
    for file in sorted((shared_data / "speech").rglob("*.opus"))[::400]:
        speech = read_audio(file, RATE)[: RATE * 5]
        mine = autocorrelation_pitch(torch.from_numpy(speech[: len(speech) // HOP * HOP])[None], HOP, RATE)[0].numpy()
        theirs = pitch(resample(speech, RATE, 16_000))
        middles = (np.arange(len(theirs)) + 0.5) * 256 / 16_000
        beside = mine[np.minimum((middles * RATE / HOP).astype(int), len(mine) - 1)]
        both = (beside > 0) & ~np.isnan(theirs)
        shared, total = shared + int(both.sum()), total + int((~np.isnan(theirs)).sum())
        wrong += int((np.abs(np.log(beside[both] / theirs[both])) > 0.2).sum())
    assert shared > 0.85 * total > 100
    assert wrong < 0.03 * shared


def test_loss_counts_voiced_frames_alone() -> None:
    made = torch.tensor([[100.0, 200.0, 400.0]], requires_grad=True)
    true = torch.tensor([[200.0, 0.0, 400.0]])
    loss = pitch_l1(made, true, local_mean)
    assert loss.item() == pytest.approx(math.log(2) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert isinstance(made.grad, Tensor)
    assert made.grad[0, 1] == 0
    assert pitch_l1(made, torch.zeros(1, 3), local_mean).item() == 0
