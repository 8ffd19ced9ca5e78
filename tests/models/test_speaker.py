"""A voice as a vector: what it depends on, and what a model makes of it."""

from __future__ import annotations

import pytest
import torch
from tests.models.small import CONFIG, reconstructor
from torch import Tensor

from unsilent.features import MelConfig
from unsilent.models import build_reconstructor
from unsilent.models.config import AudioEncoderConfig, SpeakerConfig
from unsilent.models.speaker import SpeakerEncoder

SPEAKER = SpeakerConfig(width=6, hidden=12, blocks=2, kernel=3, unknown=0.0)
TOLD = CONFIG.model_copy(update={"speaker": SPEAKER})


def voices(count: int = 3, frames: int = 40, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 80, frames, generator=generator) - 4


def encoder(unknown: float = 0.0) -> SpeakerEncoder:
    torch.manual_seed(0)
    return SpeakerEncoder(MelConfig(), SPEAKER.model_copy(update={"unknown": unknown}))


def test_an_embedding_has_length_one_and_does_not_know_how_loud_the_voice_was() -> None:
    model, mel = encoder().eval(), voices()
    made = model(mel)
    assert made.shape == (3, 6)
    torch.testing.assert_close(made.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(model(mel + 1.7), made, rtol=1e-4, atol=1e-5)
    assert (made[0] - made[1]).abs().max() > 1e-3
    # Said twice is said once, but for the seam.
    torch.testing.assert_close(model(mel.repeat(1, 1, 20)), model(mel.repeat(1, 1, 10)), rtol=0, atol=1e-2)


def test_nothing_heard_is_the_unknown_voice() -> None:
    model = encoder().eval()
    made = model(torch.zeros(2, 80, 0))
    torch.testing.assert_close(made, torch.nn.functional.normalize(model.unknown, dim=0).expand(2, -1))


def test_so_many_voices_are_left_unknown_in_training_and_none_after_it() -> None:
    model, mel = encoder(0.3), voices(500, 4)
    unknown = torch.nn.functional.normalize(model.unknown, dim=0)
    model.train()
    share = (model(mel) - unknown).abs().amax(1).lt(1e-6).float().mean()
    assert 0.2 < share < 0.4
    model.eval()
    assert ((model(mel) - unknown).abs().amax(1) > 1e-6).all()


def test_gradients_reach_the_whole_encoder_through_a_reconstructor() -> None:
    torch.manual_seed(0)
    model = build_reconstructor(
        TOLD.model_copy(update={"speaker": SPEAKER.model_copy(update={"unknown": 0.5})})
    ).train()
    crops = torch.randint(0, 256, (8, 6, 16, 16), dtype=torch.uint8)
    mask = torch.ones(8, 6, dtype=torch.bool)
    model(crops, mask, model.voice_of(voices(8))).square().sum().backward()
    assert model.speaker is not None
    for name, parameter in model.speaker.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("source", ["video", "audio"])
def test_a_model_speaks_with_the_voice_it_is_told(source: str) -> None:
    config = TOLD
    x = torch.randint(0, 256, (1, 7, 16, 16), dtype=torch.uint8)
    if source == "audio":
        config = TOLD.model_copy(update={"encoder": AudioEncoderConfig(widths=(4, 4, 6, 6, 8), out_width=8)})
        x = torch.randn(1, 7 * 960)
    model, mask = reconstructor(config), torch.ones(1, 7, dtype=torch.bool)
    one, other = model.voice_of(voices(2))[:, None]  # type: ignore[index]
    assert (model(x, mask, one) - model(x, mask, other)).abs().max() > 1e-4
    unknown = model.voice_of(torch.zeros(1, 80, 0))
    torch.testing.assert_close(model(x, mask), model(x, mask, unknown))


def test_a_model_that_is_told_no_voice_has_none() -> None:
    model = reconstructor()
    assert model.voice_of(voices()) is None
    assert not [name for name in model.state_dict() if "speaker" in name]


def test_a_voice_is_not_told_to_padding() -> None:
    model, frames = reconstructor(TOLD), 7
    crops = torch.randint(0, 256, (1, frames, 16, 16), dtype=torch.uint8)
    voice = model.voice_of(voices(1))
    alone = model(crops, torch.ones(1, frames, dtype=torch.bool), voice)
    padded = torch.cat([crops, torch.zeros(1, 3, 16, 16, dtype=torch.uint8)], dim=1)
    mask = torch.arange(frames + 3)[None] < frames
    torch.testing.assert_close(model(padded, mask, voice)[:, :, : 4 * frames], alone, rtol=1e-4, atol=1e-5)
