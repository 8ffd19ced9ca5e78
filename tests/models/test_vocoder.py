"""The vocoder: hop samples a frame, padding that nobody hears, sound that has the mel it was made from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.models.small import VOCODER, unsettle
from torch import Tensor, nn

from unsilent.features import log_mel
from unsilent.models import Vocoder
from unsilent.nn import length_mask

MEL = VOCODER.mel


def vocoder() -> Vocoder:
    model = Vocoder(VOCODER)
    unsettle(model)
    return model.eval()


def voice(seconds: float = 0.2) -> Tensor:
    """(1, N): a buzz of 120 Hz that swells, through two resonances, with a little noise."""
    time = torch.arange(round(24_000 * seconds)) / 24_000
    buzz = torch.stack([torch.cos(2 * math.pi * 120 * k * time) / (1 + abs(k - 6)) for k in range(1, 30)]).sum(0)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.003, len(time)).astype(np.float32))
    return (0.1 * buzz * torch.sin(math.pi * time / seconds) ** 2 + noise)[None]


@pytest.mark.parametrize("frames", [1, 2, 3, 50])
def test_every_mel_frame_is_a_hop_of_sound(frames: int) -> None:
    with torch.inference_mode():
        samples = vocoder()(torch.randn(2, 80, frames) - 4)
    assert samples.shape == (2, 240 * frames)
    assert samples.isfinite().all()


def test_padded_batch_is_each_alone_to_the_last_sample() -> None:
    model, lengths = vocoder(), [20, 9, 1]
    mel = torch.randn(3, 80, 20) - 4
    mask = length_mask(torch.tensor(lengths), 20)
    with torch.inference_mode():
        out = model(torch.where(mask[:, None], mel, torch.tensor(2.0)), mask)
        for i, length in enumerate(lengths):
            alone = model(mel[i : i + 1, :, :length])
            peak = alone.abs().max().item()
            torch.testing.assert_close(out[i : i + 1, : 240 * length], alone, atol=1e-3 * peak, rtol=0)
            assert not out[i, 240 * length :].any()


def test_nothing_beyond_the_stated_context_matters() -> None:
    model = vocoder()
    reach = model.context_frames
    mel = torch.randn(1, 80, 2 * reach + 12) - 4
    other = mel.clone()
    other[:, :, reach + 1] += 3
    with torch.inference_mode():
        moved = (model(mel) - model(other))[0].abs() > 1e-6
    touched = moved.nonzero().flatten() // 240
    assert moved[(reach + 1) * 240 : (reach + 2) * 240].any()
    assert touched.max() <= 2 * reach + 1
    assert touched.min() >= 1


def test_silence_stays_silent() -> None:
    with torch.inference_mode():
        samples = Vocoder(VOCODER).eval()(torch.full((1, 80, 12), MEL.log_floor))
    assert samples.abs().max() < 2e-3


@pytest.mark.parametrize("level", [20.0, 200.0, -200.0])
def test_wild_input_never_becomes_infinite(level: float) -> None:
    with torch.inference_mode():
        samples = vocoder()(torch.full((1, 80, 6), level))
    assert samples.isfinite().all()


def test_same_input_same_sound() -> None:
    model, mel = vocoder(), torch.randn(1, 80, 8) - 4
    with torch.inference_mode():
        assert torch.equal(model(mel), model(mel))


def test_gradient_reaches_every_parameter() -> None:
    model = vocoder().train()
    out = model(torch.randn(2, 80, 6) - 4)
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_louder_mel_is_louder_sound() -> None:
    model, mel = Vocoder(VOCODER).eval(), log_mel(voice(), MEL)
    with torch.inference_mode():
        soft, loud = (model(mel + shift).square().mean().sqrt() for shift in (0.0, math.log(2)))
    assert 1.4 < (loud / soft).item() < 2.8


@pytest.mark.parametrize(("corrections", "loss_falls_to", "distance_falls_to"), [(0, 0.2, 0.15), (2, 0.7, 1.0)])
def test_it_learns_one_sound(corrections: int, loss_falls_to: float, distance_falls_to: float) -> None:
    true = voice()
    mel = log_mel(true, MEL)
    padded = nn.functional.pad(true, (392, 392))
    spectrum = torch.stft(padded, 1024, 240, 1024, torch.hann_window(1024), center=False, return_complex=True)
    target = spectrum.abs().clamp(min=1e-3).log()
    model = Vocoder(VOCODER.model_copy(update={"mel_corrections": corrections}))
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    losses, distances = [], []
    for step in range(61):
        if step in (0, 60):
            with torch.no_grad():
                distances.append((log_mel(model(mel), MEL) - mel).abs().mean().item())
        loss = (model.log_magnitude(mel).clamp(min=math.log(1e-3)) - target).abs().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < loss_falls_to * losses[0]
    assert distances[1] < distance_falls_to * distances[0]
    assert distances[1] < 0.5
