"""The wave path's encoder and decoder: shapes, what sees what, padding, and the hand-over by name."""

from __future__ import annotations

import pytest
import torch
from tests.models.small import unsettle
from torch import Tensor

from unsilent.features import MelConfig
from unsilent.models import ConformerConfig, ReconstructorConfig, build_reconstructor
from unsilent.models.audio import AudioEncoder
from unsilent.models.config import AudioEncoderConfig, SourceConfig, WaveDecoderConfig
from unsilent.models.folding import fold_batch_norms
from unsilent.models.source import SourceFilter
from unsilent.models.wave import WaveDecoder

RATE = 960
ENCODER = AudioEncoderConfig(widths=(2, 3, 4, 5, 6), kernel=3, bottleneck=4, out_width=8)
DECODERS = [
    WaveDecoderConfig(strides=(5, 4, 4, 12), widths=(6, 5, 4, 3), blocks=2),
    WaveDecoderConfig(strides=(5, 4, 4, 4, 3), widths=(6, 5, 4, 3, 2), blocks=1),
]
SHAPED = WaveDecoderConfig(strides=(2, 4, 120), widths=(6, 5, 4), blocks=1, source=SourceConfig(n_fft=256))


def decoder_of(config: WaveDecoderConfig = DECODERS[0]) -> WaveDecoder:
    torch.manual_seed(0)
    decoder = WaveDecoder(8, MelConfig(), config)
    unsettle(decoder)
    with torch.no_grad():
        for head in (decoder.head.gains if isinstance(decoder.head, SourceFilter) else decoder.head,):
            head.weight.mul_(10)
    return decoder.eval()


def encoder_of() -> AudioEncoder:
    torch.manual_seed(0)
    encoder = AudioEncoder(ENCODER)
    unsettle(encoder)
    return encoder.eval()


def everything(batch: int, frames: int) -> Tensor:
    return torch.ones(batch, frames, dtype=torch.bool)


@pytest.mark.parametrize("config", [*DECODERS, SHAPED])
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


@pytest.mark.parametrize("config", [DECODERS[0], SHAPED])
def test_padding_changes_nothing_and_stays_silent(config: WaveDecoderConfig) -> None:
    decoder, encoder = decoder_of(config), encoder_of()
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


def test_what_a_source_is_shaped_by_is_as_local_as_samples_are() -> None:
    decoder, mask = decoder_of(SHAPED).double(), everything(1, 21)
    assert isinstance(decoder.head, SourceFilter)
    x = torch.randn(1, 21, 8, dtype=torch.float64)
    changed = x.clone()
    changed[:, 10] += 1
    before, after = (decoder.head(decoder.features(each, mask, "video")[0]) for each in (x, changed))
    for one, other in zip(before, after, strict=True):
        moved = (one - other).abs().flatten(0, -2).sum(0).nonzero()[:, 0]
        assert 0 < len(moved) < 8 * 8
        assert abs((int(moved[0]) + int(moved[-1])) / 2 - 10.5 * 8) <= 4
    # The voice's phase follows from the pitch before it, never from what comes.
    heard = (decoder.float()(changed.float(), mask) - decoder(x.float(), mask))[0].detach().nonzero()[:, 0]
    assert int(heard[0]) > 6 * RATE


def test_one_modality_leaves_the_statistics_of_the_other() -> None:
    decoder = decoder_of().train()
    before = {name: value.clone() for name, value in decoder.named_buffers()}
    decoder(torch.randn(2, 6, 8), everything(2, 6), "audio")
    for name, value in decoder.named_buffers():
        assert torch.equal(value, before[name]) == ("video" in name), name


def test_pitch_learns_apart_from_the_gains() -> None:
    decoder = decoder_of(SHAPED).train()
    x, mask = torch.randn(2, 6, 8), everything(2, 6)
    pitch = torch.full((2, 48), 150.0)
    pitch[:, 20:] = 0
    made, own = decoder.voiced(x, mask, pitch, "audio")
    assert isinstance(decoder.head, SourceFilter)
    made.square().mean().backward(retain_graph=True)  # type: ignore[no-untyped-call]
    assert decoder.head.gains.weight.grad is not None
    assert decoder.head.voice.weight.grad is None
    own.log().mean().backward()  # type: ignore[no-untyped-call]
    without = [name for name, value in decoder.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


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


@pytest.mark.parametrize("config", [DECODERS[0], SHAPED])
def test_batch_norms_fold_into_what_they_can(config: WaveDecoderConfig) -> None:
    decoder = decoder_of(config)
    x, mask = torch.randn(1, 6, 8), everything(1, 6)
    torch.testing.assert_close(
        fold_batch_norms(decoder, "audio")(x, mask, "audio"), decoder(x, mask, "audio"), atol=1e-5, rtol=1e-4
    )


def test_decoders_of_both_inputs_are_the_same_module() -> None:
    audio = build_reconstructor(ReconstructorConfig(encoder=ENCODER, decoder=DECODERS[0]))
    video = build_reconstructor(ReconstructorConfig(decoder=DECODERS[0]))
    video.decoder.load_state_dict(audio.decoder.state_dict())


@pytest.mark.parametrize("config", [WaveDecoderConfig(), WaveDecoderConfig(strides=(4, 2, 120), widths=(192, 128, 128),
                         source=SourceConfig())])  # fmt: skip
def test_start_is_quiet(config: WaveDecoderConfig) -> None:
    torch.manual_seed(0)
    decoder = WaveDecoder(192, MelConfig(), config)
    out = decoder(torch.randn(1, 10, 192), everything(1, 10))
    assert 1e-4 < out.std() < 0.2
