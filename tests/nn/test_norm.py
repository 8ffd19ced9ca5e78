"""Modality batch-norm: each modality's statistics are its own, and padding is in none of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unsilent.nn import ModalityBatchNorm, length_mask


def padded_batch(garbage: float = 1e3) -> tuple[Tensor, Tensor, Tensor]:
    """(2, 3, 6) with ``garbage`` where the second item is padded, its mask, and the valid positions as (1, 3, 10)."""
    mask = length_mask(torch.tensor([6, 4]), 6)
    x = torch.randn(2, 3, 6) * 2 + 5
    x[1, :, 4:] = garbage
    return x, mask, x.transpose(1, 2)[mask].T[None]


def buffers(norm: ModalityBatchNorm) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in norm.named_buffers()}


def test_padding_is_in_no_statistic() -> None:
    x, mask, valid = padded_batch()
    padded, alone = ModalityBatchNorm(3), ModalityBatchNorm(3)
    out = padded(x, mask)
    wanted = alone(valid, torch.ones(1, 10, dtype=torch.bool))
    torch.testing.assert_close(out.transpose(1, 2)[mask].T[None], wanted)
    for name, value in buffers(alone).items():
        torch.testing.assert_close(buffers(padded)[name], value)
    assert padded.video_mean.abs().max() < 10  # type: ignore[operator]


def test_it_is_batch_norm_where_nothing_is_padded() -> None:
    mine, theirs = ModalityBatchNorm(3, momentum=0.3), nn.BatchNorm1d(3, momentum=0.3)
    mask = torch.ones(2, 7, dtype=torch.bool)
    for _ in range(3):
        x = torch.randn(2, 3, 7) * 3 - 1
        torch.testing.assert_close(mine(x, mask), theirs(x))
    torch.testing.assert_close(mine.video_mean, theirs.running_mean)
    torch.testing.assert_close(mine.video_var, theirs.running_var)
    mine.eval(), theirs.eval()
    torch.testing.assert_close(mine(x, mask), theirs(x))


def test_a_modality_never_touches_the_other() -> None:
    x, mask, _ = padded_batch()
    norm = ModalityBatchNorm(3)
    norm(x - 20, mask, "audio")
    before = buffers(norm)
    assert not before["video_mean"].any()
    norm(x + 7, mask, "video")
    after = buffers(norm)
    assert torch.equal(after["audio_mean"], before["audio_mean"])
    assert torch.equal(after["audio_var"], before["audio_var"])
    assert after["video_mean"].abs().min() > 0
    norm.eval()
    frozen = buffers(norm)
    assert not torch.allclose(norm(x, mask, "audio"), norm(x, mask, "video"))
    assert all(torch.equal(value, frozen[name]) for name, value in buffers(norm).items())


def test_modalities_share_scale_and_shift_and_gradients_reach_them() -> None:
    norm = ModalityBatchNorm(3)
    assert {name for name, _ in norm.named_parameters()} == {"weight", "bias"}
    x, mask, _ = padded_batch()
    (norm(x, mask, "audio") * torch.randn(2, 3, 6)).sum().backward()
    assert norm.weight.grad is not None
    assert norm.weight.grad.abs().min() > 0


def test_without_split_both_use_one_set() -> None:
    norm = ModalityBatchNorm(3, split=False)
    assert set(buffers(norm)) == {"video_mean", "video_var"}
    x, mask, _ = padded_batch()
    norm(x, mask, "audio")
    assert norm.video_mean.abs().min() > 0  # type: ignore[operator]


def test_gradient_does_not_come_from_padding() -> None:
    x, mask, _ = padded_batch(garbage=3.0)
    x.requires_grad_()
    norm = ModalityBatchNorm(3)
    norm(x, mask)[:, :, :4].square().sum().backward()
    assert x.grad is not None
    assert not x.grad[1, :, 4:].any()
