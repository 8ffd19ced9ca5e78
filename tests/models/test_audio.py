"""The audio encoder: shapes, padding, gradients, and that it hears only what is near."""

from __future__ import annotations

import pytest
import torch
from tests.models.small import unsettle

from unsilent.config import validate_recipe
from unsilent.errors import RecipeError
from unsilent.models.audio import AudioEncoder
from unsilent.models.config import AudioEncoderConfig, ReconstructorConfig
from unsilent.nn import length_mask

CONFIG = AudioEncoderConfig(widths=(3, 4, 5, 6, 7), bottleneck=5, out_width=9)


def encoder() -> AudioEncoder:
    torch.manual_seed(0)
    model = AudioEncoder(CONFIG)
    unsettle(model)
    return model.eval()


@pytest.mark.parametrize("frames", [1, 2, 7, 30])
def test_one_vector_a_video_frame(frames: int) -> None:
    with torch.inference_mode():
        out = encoder()(torch.randn(2, 960 * frames), torch.ones(2, frames, dtype=torch.bool))
    assert out.shape == (2, frames, 9)
    assert torch.isfinite(out).all()


def test_alone_or_padded_is_the_same() -> None:
    model, samples = encoder(), torch.randn(2, 960 * 9)
    mask = length_mask(torch.tensor([9, 4]), 9)
    with torch.inference_mode():
        batch = model(samples, mask)
        alone = model(samples[1:, : 960 * 4], mask[1:, :4])
    torch.testing.assert_close(batch[1:, :4], alone)
    assert not batch[1, 4:].any()


def test_a_frame_hears_only_its_neighbourhood() -> None:
    model, samples = encoder(), torch.randn(1, 960 * 30)
    mask = torch.ones(1, 30, dtype=torch.bool)
    other = samples.clone()
    other[:, 960 * 15 : 960 * 16] += 1.0
    with torch.inference_mode():
        changed = (model(samples, mask) - model(other, mask)).abs().sum(2)[0] > 1e-6
    assert changed[15]
    assert set(torch.nonzero(changed)[:, 0].tolist()) <= set(range(9, 22))


def test_everything_learns() -> None:
    model = encoder().train()
    model(torch.randn(3, 960 * 4), torch.ones(3, 4, dtype=torch.bool)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_nothing_but_the_bottleneck_passes() -> None:
    model = encoder()
    seen: list[torch.Tensor] = []
    model.squeeze.register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.inference_mode():
        out = model(torch.randn(1, 960 * 40), torch.ones(1, 40, dtype=torch.bool))
    assert seen[0].shape == (1, 40, 5)
    assert torch.linalg.matrix_rank(out[0] - out[0].mean(0)) <= 5


def test_strides_must_make_a_video_frame() -> None:
    with pytest.raises(RecipeError, match=r"is 480, a video frame is 960 samples"):
        validate_recipe({"encoder": {"input": "audio", "strides": [5, 4, 4, 3, 2]}}, ReconstructorConfig, "recipe")
    with pytest.raises(RecipeError, match="same length"):
        validate_recipe({"encoder": {"input": "audio", "strides": [960]}}, ReconstructorConfig, "recipe")
    with pytest.raises(RecipeError, match="'smell'"):
        validate_recipe({"encoder": {"input": "smell"}}, ReconstructorConfig, "recipe")
    assert validate_recipe({"encoder": {"widths": [4, 4]}}, ReconstructorConfig, "recipe").path == "v2a-mel"
