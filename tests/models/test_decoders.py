"""The mel decoder keeps time: a video frame is its own four mel frames, and what is near them."""

from __future__ import annotations

import pytest
import torch
from tests.models.small import unsettle
from torch import Tensor, nn

from unsilent.features import MelConfig
from unsilent.models import MelDecoder, MelDecoderConfig
from unsilent.nn import length_mask


def decoder(blocks: int = 2, kernel: int = 3) -> MelDecoder:
    model = MelDecoder(5, MelConfig(), MelDecoderConfig(width=6, blocks=blocks, kernel=kernel, dropout=0))
    unsettle(model)
    return model.eval()


def full(batch: int, frames: int) -> Tensor:
    return torch.ones(batch, frames, dtype=torch.bool)


def moved_by(model: MelDecoder, frame: int, frames: int = 12) -> list[int]:
    x = torch.randn(1, frames, 5)
    other = x.clone()
    other[:, frame] += 1
    moved = (model(other, full(1, frames)) - model(x, full(1, frames))).abs().amax(1)[0] > 1e-6
    indices: list[int] = moved.nonzero().flatten().tolist()
    return indices


@pytest.mark.parametrize("frame", [0, 3, 11])
@pytest.mark.parametrize(("blocks", "kernel"), [(1, 3), (2, 3), (1, 5)])
def test_a_frame_reaches_its_mel_frames_and_the_receptive_field(frame: int, blocks: int, kernel: int) -> None:
    far = 2 * blocks * (kernel // 2)
    wanted = [m for m in range(48) if 4 * frame - far <= m <= 4 * frame + 3 + far]
    assert moved_by(decoder(blocks, kernel), frame) == wanted


@torch.no_grad()
def test_direct_path_puts_a_frame_at_its_four_mel_frames_in_order() -> None:
    model = decoder()
    for block in model.blocks:
        for name in ("weight", "bias", "video_mean"):
            getattr(block.norm2, name).zero_()
    for frame in (0, 5, 11):
        assert moved_by(model, frame) == list(range(4 * frame, 4 * frame + 4))
    x = torch.randn(2, 12, 5)
    out = model(x, full(2, 12))
    for frame, quarter in ((0, 0), (4, 1), (7, 3)):
        bias = model.project.bias
        assert bias is not None
        rows = slice(quarter * 6, quarter * 6 + 6)
        hidden = nn.functional.linear(x[:, frame], model.expand.weight[rows], model.expand.bias[rows])
        wanted = hidden @ model.project.weight[:, :, 0].T + bias
        torch.testing.assert_close(out[:, :, 4 * frame + quarter], wanted, atol=1e-5, rtol=1e-4)


def test_padded_batch_is_each_alone_and_padding_is_silent() -> None:
    model, x, lengths = decoder(), torch.randn(3, 6, 5), [6, 4, 1]
    mask = length_mask(torch.tensor(lengths), 6)
    out = model(torch.where(mask[..., None], x, torch.tensor(1e3)), mask)
    assert out.shape == (3, 80, 24)
    for i, length in enumerate(lengths):
        alone = model(x[i : i + 1, :length], full(1, length))
        torch.testing.assert_close(out[i : i + 1, :, : 4 * length], alone, atol=1e-5, rtol=1e-4)
        assert (out[i, :, 4 * length :] == model.mel.log_floor).all()


def test_padding_is_in_no_statistic_and_modalities_are_apart() -> None:
    model, other = decoder().train(), decoder().train()
    other.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 5)
    model(x, full(2, 3), "audio")
    other(torch.cat((x, torch.full((2, 4, 5), 50.0)), dim=1), length_mask(torch.tensor([3, 3]), 7), "audio")
    fresh = {name: value.clone() for name, value in decoder().named_buffers()}
    for (name, mine), theirs in zip(model.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(theirs, mine, msg=name)
        assert name in fresh
    before = {name: value.clone() for name, value in model.named_buffers() if "audio" in name}
    assert before
    model(x, full(2, 3), "video")
    assert all(torch.equal(value, dict(model.named_buffers())[name]) for name, value in before.items())


def test_gradient_reaches_every_parameter() -> None:
    model = decoder().train()
    out = model(torch.randn(2, 4, 5), length_mask(torch.tensor([4, 2]), 4))
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
