"""The whole model: any length, alone as in a batch, parts that hand over by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.models.small import CONFIG, reconstructor
from torch import Tensor

from unsilent.features import MelConfig
from unsilent.models import Reconstructor, build_reconstructor
from unsilent.nn import length_mask


def crops_of(batch: int, frames: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (batch, frames, 16, 16), dtype=np.uint8))


@pytest.mark.parametrize("frames", [1, 2, 7, 80])
def test_any_number_of_frames_gives_four_mel_frames_each(frames: int) -> None:
    out = reconstructor()(crops_of(1, frames), torch.ones(1, frames, dtype=torch.bool))
    assert out.shape == (1, 80, 4 * frames)
    assert out.isfinite().all()


def test_padded_batch_is_each_alone() -> None:
    model, crops, lengths = reconstructor(), crops_of(3, 9), [9, 6, 1]
    out = model(crops, length_mask(torch.tensor(lengths), 9))
    for i, length in enumerate(lengths):
        alone = model(crops[i : i + 1, :length], torch.ones(1, length, dtype=torch.bool))
        torch.testing.assert_close(out[i : i + 1, :, : 4 * length], alone, atol=1e-4, rtol=1e-4)
        assert (out[i, :, 4 * length :] == model.mel.log_floor).all()


def test_gradient_reaches_every_parameter() -> None:
    model = reconstructor().train()
    out = model(crops_of(2, 5), length_mask(torch.tensor([5, 3]), 5))
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_parts_hand_over_by_name() -> None:
    donor, heir = reconstructor(), build_reconstructor(CONFIG).eval()
    heir.decoder.load_state_dict(donor.decoder.state_dict())
    heir.temporal.load_state_dict(donor.temporal.state_dict())
    assert {name.split(".")[0] for name in donor.state_dict()} == {"encoder", "temporal", "decoder"}
    latents, mask = torch.randn(1, 4, 8), torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(heir.decoder(latents, mask, "video"), donor.decoder(latents, mask, "video"))


def test_modality_picks_the_statistics() -> None:
    model, mask = reconstructor(), torch.ones(1, 4, dtype=torch.bool)
    heard = Reconstructor(model.encoder, model.temporal, model.decoder, "audio").eval()
    crops = crops_of(1, 4)
    assert not torch.allclose(heard(crops, mask), model(crops, mask), atol=1e-3)


def test_latents_feed_the_decoder() -> None:
    model, crops, mask = reconstructor(), crops_of(1, 3), torch.ones(1, 3, dtype=torch.bool)
    assert torch.equal(model.decoder(model.latents(crops, mask), mask, "video"), model(crops, mask))


def test_same_seed_builds_the_same_model() -> None:
    models = []
    for _ in range(2):
        torch.manual_seed(7)
        models.append(build_reconstructor(CONFIG).state_dict())
    assert all(torch.equal(value, models[1][name]) for name, value in models[0].items())


def test_mel_definition_is_the_settings() -> None:
    assert reconstructor().mel == MelConfig()
