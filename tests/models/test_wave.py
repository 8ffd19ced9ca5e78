"""The wave path's encoder and decoder: shapes, what sees what, padding, and the hand-over by name."""

from __future__ import annotations

import pytest
import torch
from tests.models.small import unsettle
from torch import Tensor, nn

from unsilent.features import MelConfig
from unsilent.models import ConformerConfig, ReconstructorConfig, build_reconstructor
from unsilent.models.audio import AudioEncoder
from unsilent.models.config import AudioEncoderConfig, WaveDecoderConfig
from unsilent.models.folding import fold_batch_norms
from unsilent.models.wave import WaveDecoder

RATE = 960
ENCODER = AudioEncoderConfig(widths=(2, 3, 4, 5, 6), kernel=3, bottleneck=4, out_width=8)
DECODERS = [
    WaveDecoderConfig(strides=(5, 4, 4, 12), widths=(6, 5, 4, 3), blocks=2),
    WaveDecoderConfig(strides=(5, 4, 4, 4, 3), widths=(6, 5, 4, 3, 2), blocks=1),
]


def decoder_of(config: WaveDecoderConfig = DECODERS[0]) -> WaveDecoder:
    torch.manual_seed(0)
    decoder = WaveDecoder(8, MelConfig(), config)
    unsettle(decoder)
    with torch.no_grad():
        decoder.head.weight.mul_(10)
    return decoder.eval()


def encoder_of() -> AudioEncoder:
    torch.manual_seed(0)
    encoder = AudioEncoder(ENCODER)
    unsettle(encoder)
    return encoder.eval()


def everything(batch: int, frames: int) -> Tensor:
    return torch.ones(batch, frames, dtype=torch.bool)


@pytest.mark.parametrize("config", DECODERS)
def test_a_frame_becomes_its_samples(config: WaveDecoderConfig) -> None:
    decoder = decoder_of(config)
    for frames in (1, 2, 7):
        out = decoder(torch.randn(2, frames, 8), everything(2, frames))
        assert out.shape == (2, frames * RATE)
        assert out.abs().max() < 1
        assert out.std() > 1e-4


def test_samples_become_a_vector_a_frame() -> None:
    assert encoder_of()(torch.randn(2, 7 * RATE), everything(2, 7)).shape == (2, 7, 8)


@pytest.mark.parametrize("config", DECODERS)
def test_decoder_hears_a_frame_near_its_own_time_alone(config: WaveDecoderConfig) -> None:
    decoder, mask = decoder_of(config).double(), everything(1, 21)
    x = torch.randn(1, 21, 8, dtype=torch.float64)
    changed = x.clone()
    changed[:, 10] += 1
    heard = (decoder(changed, mask) - decoder(x, mask))[0].detach().nonzero()[:, 0]
    first, last = int(heard[0]), int(heard[-1])
    assert last - first < 15 * RATE
    # What a vector says is heard as long before its own frame as after it.
    assert abs((first + last) / 2 - 10.5 * RATE) < 0.15 * RATE


def test_encoder_sees_a_sample_near_its_own_time_alone() -> None:
    encoder, mask = encoder_of().double(), everything(1, 21)
    x = torch.randn(1, 21 * RATE, dtype=torch.float64)
    changed = x.clone()
    changed[:, 10 * RATE : 11 * RATE] += 1
    frames = (encoder(changed, mask) - encoder(x, mask)).square().sum(2)[0].nonzero()[:, 0]
    assert 0 < len(frames) <= 9
    assert abs(int(frames[0] + frames[-1]) - 20) <= 1


def test_padding_changes_nothing_and_stays_silent() -> None:
    decoder, encoder = decoder_of(), encoder_of()
    mask = torch.tensor([[True] * 9, [True] * 5 + [False] * 4])
    latents = torch.randn(2, 9, 8)
    out = decoder(latents, mask, "audio")
    assert out[1, 5 * RATE :].abs().max() == 0
    torch.testing.assert_close(out[1:, : 5 * RATE], decoder(latents[1:, :5], everything(1, 5), "audio"))
    samples = torch.randn(2, 9 * RATE)
    vectors = encoder(samples, mask)
    assert vectors[1, 5:].abs().max() == 0
    torch.testing.assert_close(vectors[1:, :5], encoder(samples[1:, : 5 * RATE], everything(1, 5)))


def test_padding_never_enters_the_statistics() -> None:
    decoders = [decoder_of().train() for _ in range(2)]
    x = torch.randn(2, 6, 8)
    garbage = torch.cat((x, 100 * torch.randn(2, 3, 8)), 1)
    mask = torch.cat((everything(2, 6), ~everything(2, 3)), 1)
    decoders[0](x, everything(2, 6), "audio")
    decoders[1](garbage, mask, "audio")
    for (name, one), (_, other) in zip(decoders[0].named_buffers(), decoders[1].named_buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)


def test_one_modality_leaves_the_statistics_of_the_other() -> None:
    decoder = decoder_of().train()
    before = {name: value.clone() for name, value in decoder.named_buffers()}
    decoder(torch.randn(2, 6, 8), everything(2, 6), "audio")
    for name, value in decoder.named_buffers():
        assert torch.equal(value, before[name]) == ("video" in name), name


def test_gradient_reaches_every_parameter() -> None:
    config = ReconstructorConfig(
        encoder=ENCODER,
        temporal=ConformerConfig(width=8, blocks=1, heads=2, hidden=12, kernel=5, dropout=0),
        decoder=DECODERS[0],
    )
    assert config.path == "a2a-wave"
    model = build_reconstructor(config).train()
    out = model(torch.randn(2, 5 * RATE), everything(2, 5))
    (out.diff(dim=1).square() * torch.linspace(1, 2, out.shape[1] - 1)).mean().backward()
    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    # A bias before a norm over the batch, if there were one, would be here.
    assert without == []


def test_batch_norms_fold_into_what_they_can() -> None:
    decoder = decoder_of()
    x, mask = torch.randn(1, 6, 8), everything(1, 6)
    torch.testing.assert_close(
        fold_batch_norms(decoder, "audio")(x, mask, "audio"), decoder(x, mask, "audio"), atol=1e-5, rtol=1e-4
    )


def test_decoders_of_both_inputs_are_the_same_module() -> None:
    audio = build_reconstructor(ReconstructorConfig(encoder=ENCODER, decoder=DECODERS[0]))
    video = build_reconstructor(ReconstructorConfig(decoder=DECODERS[0]))
    video.decoder.load_state_dict(audio.decoder.state_dict())


def test_start_is_quiet() -> None:
    torch.manual_seed(0)
    decoder = WaveDecoder(192, MelConfig(), WaveDecoderConfig())
    out = decoder(torch.randn(1, 10, 192), everything(1, 10))
    assert out.std() < 0.2
    assert isinstance(decoder.head, nn.ConvTranspose1d)
