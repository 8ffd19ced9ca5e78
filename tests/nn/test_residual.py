from __future__ import annotations

import pytest
import torch

from unsilent.nn import ResidualBlock1d, ResidualBlock2d, length_mask


@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (4, 2), (6, 1), (6, 2)])
@pytest.mark.parametrize("side", [7, 8])
def test_picture_shrinks_by_the_stride(channels: int, stride: int, side: int) -> None:
    block = ResidualBlock2d(4, channels, stride)
    assert block(torch.randn(2, 4, side, side)).shape == (2, channels, -(-side // stride), -(-side // stride))


def test_fresh_block_hands_its_input_on() -> None:
    x = torch.rand(2, 4, 5, 5)
    assert torch.equal(ResidualBlock2d(4, 4)(x), x)


def test_block_over_time_is_the_same_padded_and_keeps_padding_zero() -> None:
    block = ResidualBlock1d(4, 3).eval()
    x = torch.randn(2, 4, 9)
    mask = length_mask(torch.tensor([9, 5]), 9)
    out = block(x * mask[:, None], mask)
    torch.testing.assert_close(out[1:, :, :5], block(x[1:, :, :5], mask[1:, :5]), atol=1e-6, rtol=1e-5)
    assert not out[1, :, 5:].any()


def test_block_over_time_reaches_two_kernels_far_and_not_further() -> None:
    block = ResidualBlock1d(4, 3).eval()
    x, mask = torch.randn(1, 4, 15), torch.ones(1, 15, dtype=torch.bool)
    changed = x.clone()
    changed[:, :, 7] += 1
    moved = (block(changed, mask) - block(x, mask)).abs().amax(1)[0] > 1e-7
    assert moved.nonzero().flatten().tolist() == [5, 6, 7, 8, 9]
