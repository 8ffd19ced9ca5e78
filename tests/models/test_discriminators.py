"""Discriminators: any length of sound, gradients to whoever made it, and they do tell one sound from another."""

from __future__ import annotations

import pytest
import torch

from unsilent.models.discriminators import (
    MultiPeriodDiscriminator,
    MultiResolutionDiscriminator,
    VocoderDiscriminators,
)


@pytest.mark.parametrize("samples", [2048, 2049, 4800])
def test_any_length_and_one_judgement_each(samples: int) -> None:
    judgements = VocoderDiscriminators((2, 3), 2)(torch.randn(2, samples) * 0.1)
    assert len(judgements) == 5 + 3
    for score, maps in judgements:
        assert score.shape[0] == 2
        assert score.ndim == 2
        assert score.isfinite().all()
        assert len(maps) >= 3


def test_items_of_a_batch_do_not_meet() -> None:
    critics, samples = VocoderDiscriminators((2, 3), 2), torch.randn(3, 2100) * 0.1
    for (score, _), (alone, _) in zip(critics(samples), critics(samples[1:2]), strict=True):
        torch.testing.assert_close(score[1:2], alone, atol=1e-5, rtol=1e-4)


def test_period_discriminator_sees_samples_a_period_apart() -> None:
    critic = MultiPeriodDiscriminator((2,), periods=(5,))
    samples = torch.zeros(1, 600)
    before = critic(samples)[0][1][0]
    samples[0, 302] = 1.0
    columns = (critic(samples)[0][1][0] - before).abs().amax((0, 1, 2))
    assert columns.nonzero().flatten().tolist() == [302 % 5]


def test_silence_is_judged_without_nan_gradients() -> None:
    samples = torch.zeros(1, 2400, requires_grad=True)
    torch.autograd.backward([score.sum() for score, _ in MultiResolutionDiscriminator(2)(samples)])
    assert samples.grad is not None
    assert samples.grad.isfinite().all()


def test_they_learn_to_tell_a_tone_from_noise() -> None:
    critics = VocoderDiscriminators((4, 4), 4)
    optimizer = torch.optim.AdamW(critics.parameters(), 3e-3)
    time = torch.arange(2400) / 24_000
    losses = []
    for _ in range(12):
        true = 0.3 * torch.sin(2 * torch.pi * (200 + 800 * torch.rand(2, 1)) * time)
        made = 0.2 * torch.randn(2, 2400)
        loss = torch.stack([
            (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
            for (real, _), (fake, _) in zip(critics(true), critics(made), strict=True)
        ]).mean()  # fmt: skip
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(2.0, abs=0.4)
    assert losses[-1] < 0.8 * losses[0]
    for name, parameter in critics.named_parameters():
        assert parameter.grad is not None, name
