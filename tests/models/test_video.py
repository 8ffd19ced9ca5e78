"""The video encoder: what a frame's vector depends on, and that padding is no part of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.models.small import ENCODER, unsettle
from torch import Tensor, nn

from unsilent.models import VideoEncoder
from unsilent.models.video import CROP_MEAN, CROP_STD, Stem, centre_crop, resize_crops
from unsilent.nn import length_mask


def encoder() -> VideoEncoder:
    model = VideoEncoder(ENCODER)
    unsettle(model)
    return model.eval()


def crops_of(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (*shape, 16, 16), dtype=np.uint8))


def full(batch: int, frames: int) -> Tensor:
    return torch.ones(batch, frames, dtype=torch.bool)


@pytest.mark.parametrize("changed", [0, 1, 5, 10])
def test_a_frame_reaches_two_frames_far(changed: int) -> None:
    model, crops = encoder(), crops_of(1, 11)
    other = crops.clone()
    other[0, changed] = 255 - other[0, changed]
    moved = (model(other, full(1, 11)) - model(crops, full(1, 11))).abs().amax(2)[0] > 1e-6
    assert moved.nonzero().flatten().tolist() == [i for i in range(11) if abs(i - changed) <= 2]


def test_padded_batch_is_each_alone() -> None:
    model, crops = encoder(), crops_of(3, 8)
    lengths = [8, 5, 1]
    out = model(crops, length_mask(torch.tensor(lengths), 8))
    for i, length in enumerate(lengths):
        alone = model(crops[i : i + 1, :length], full(1, length))
        torch.testing.assert_close(out[i : i + 1, :length], alone, atol=1e-5, rtol=1e-4)
        assert not out[i, length:].any()


def test_padding_is_in_no_statistic() -> None:
    torch.manual_seed(3)
    alone, padded = VideoEncoder(ENCODER).train(), VideoEncoder(ENCODER).train()
    padded.load_state_dict(alone.state_dict())
    crops = crops_of(2, 4)
    wide = torch.cat((crops, torch.full((2, 5, 16, 16), 255, dtype=torch.uint8)), dim=1)
    out, other = alone(crops, full(2, 4)), padded(wide, length_mask(torch.tensor([4, 4]), 9))
    torch.testing.assert_close(other[:, :4], out, atol=1e-5, rtol=1e-4)
    for (name, before), after in zip(alone.named_buffers(), padded.buffers(), strict=True):
        torch.testing.assert_close(after, before, msg=name)


def test_bytes_and_floats_are_the_same_pixels() -> None:
    model, crops = encoder(), crops_of(1, 3)
    assert torch.equal(model(crops, full(1, 3)), model(crops.float(), full(1, 3)))


def test_stem_is_a_3d_convolution() -> None:
    stem = Stem(ENCODER)
    unsettle(stem)
    stem.eval()
    conv = nn.Conv3d(1, 4, (5, 3, 3), (1, 2, 2), padding=(2, 1, 1), bias=False)
    assert stem.conv.weight[:, None].shape == conv.weight.shape
    conv.weight.data = stem.conv.weight.data[:, None]
    crops = torch.randn(2, 7, 16, 16)
    wanted = nn.functional.silu(stem.norm(conv(crops[:, None]).transpose(1, 2).flatten(0, 1)))
    torch.testing.assert_close(stem(crops, full(2, 7)), wanted, atol=1e-5, rtol=1e-4)


def test_gradient_reaches_every_parameter() -> None:
    model = encoder().train()
    out = model(crops_of(2, 4), length_mask(torch.tensor([4, 3]), 4))
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_mean_pooling_to_the_same_width_needs_no_projection() -> None:
    config = ENCODER.model_copy(update={"pooling": "mean", "out_width": 6})
    model = VideoEncoder(config).eval()
    assert isinstance(model.project, nn.Identity)
    assert model(crops_of(1, 2), full(1, 2)).shape == (1, 2, 6)


def test_mean_grey_is_zero_to_the_network() -> None:
    grey = (crops_of(1, 1).float() * 0 + 255 * CROP_MEAN) / 255
    assert ((grey - CROP_MEAN) / CROP_STD).abs().max() < 1e-5


def test_resizing_averages_areas_and_keeps_frames_apart() -> None:
    crops = np.zeros((2, 96, 96), np.uint8)
    crops[0, ::2, ::2] = 200
    crops[1] = 77
    small = resize_crops(crops, 48)
    assert small.shape == (2, 48, 48)
    assert (small[0] == 50).all()
    assert (small[1] == 77).all()
    assert resize_crops(crops, 96) is crops
    gradient = np.broadcast_to(np.arange(96, dtype=np.uint8) * 2, (1, 96, 96)).copy()
    assert np.abs(resize_crops(gradient, 72)[0, 5].astype(float) - (np.arange(72) + 0.5) * 192 / 72 + 1).max() <= 1


@pytest.mark.parametrize(("size", "start"), [(64, 4), (72, 0), (2, 35), (63, 4)])
def test_centre_crop_is_in_the_middle(size: int, start: int) -> None:
    crops = np.broadcast_to(np.arange(72, dtype=np.uint8), (1, 72, 72))
    assert centre_crop(crops, size)[0, 0].tolist() == list(range(start, start + size))
    assert centre_crop(crops.transpose(0, 2, 1), size)[0, :, 0].tolist() == list(range(start, start + size))
