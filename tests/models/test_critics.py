from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from unsilent.models.critics import Critics, PowerCritic, WaveCritic, gradient_penalty


def critics() -> Critics:
    torch.manual_seed(0)
    return Critics((3, 4, 5), (3, 4))


def test_a_score_for_every_waveform_and_critic() -> None:
    assert critics()(torch.randn(3, 4000)).shape == (3, 2)
    assert critics()(torch.randn(2, 2048)).shape == (2, 2)


def test_no_waveform_changes_the_score_of_another() -> None:
    judge, samples = critics().train(), torch.randn(3, 3000)
    alone = torch.cat([judge(samples[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(judge(samples), alone)
    assert not any("Norm" in type(module).__name__ for module in judge.modules())


@pytest.mark.parametrize("critic", [WaveCritic((3, 4), (4, 4)), PowerCritic((3, 4))])
def test_penalty_equals_a_finite_difference(critic: nn.Module) -> None:
    torch.manual_seed(1)
    critic = critic.double()
    real, made = torch.randn(2, 1, 1024, dtype=torch.float64) * 0.3
    along = torch.tensor([0.25], dtype=torch.float64)

    def penalty(real: Tensor) -> Tensor:
        return gradient_penalty(lambda points: critic(points.double()), real, made, along)

    point = 0.75 * made + 0.25 * real
    gradient, step = torch.zeros(1024, dtype=torch.float64), 1e-6
    with torch.no_grad():
        for i in range(1024):
            nudge = torch.zeros_like(point)
            nudge[0, i] = step
            gradient[i] = (critic(point + nudge) - critic(point - nudge)).item() / (2 * step)
    assert penalty(real).item() == pytest.approx((gradient.norm().item() - 1) ** 2, rel=1e-4)


def test_penalty_of_a_known_slope_and_its_own_gradient() -> None:
    slope = torch.full((50,), 0.5, requires_grad=True)
    real, made, along = torch.randn(4, 50), torch.randn(4, 50), torch.rand(4)
    penalty = gradient_penalty(lambda points: points @ slope, real, made, along)
    norm = 0.5 * 50**0.5
    assert penalty.item() == pytest.approx((norm - 1) ** 2, rel=1e-5)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert slope.grad is not None
    torch.testing.assert_close(slope.grad, torch.full((50,), 2 * (norm - 1) * 0.5 / norm))


def test_penalty_of_a_flat_critic_is_a_number() -> None:
    slope = torch.zeros(50, requires_grad=True)
    penalty = gradient_penalty(lambda points: points @ slope, torch.randn(4, 50), torch.randn(4, 50), torch.rand(4))
    penalty.backward()  # type: ignore[no-untyped-call]
    assert penalty.item() == pytest.approx(1.0, abs=1e-4)
    assert slope.grad is not None
    assert slope.grad.isfinite().all()


def test_penalty_is_in_float32_under_autocast() -> None:
    judge = critics()
    real, made, along = torch.randn(2, 3000), torch.randn(2, 3000), torch.rand(2)
    with torch.autocast("cpu", torch.bfloat16):
        assert judge.wave.score(torch.zeros(1, 5, 3)).dtype == torch.bfloat16
        inside = judge.penalty(real, made, along)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, judge.penalty(real, made, along))


def test_penalty_leaves_the_generator_alone() -> None:
    made = torch.randn(2, 3000, requires_grad=True)
    critics().penalty(torch.randn(2, 3000), made, torch.rand(2)).backward()  # type: ignore[no-untyped-call]
    assert made.grad is None
