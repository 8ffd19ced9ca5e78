"""The audio encoder: shapes, padding, gradients, and that it hears only what is near."""

from __future__ import annotations

import pytest
import torch
from tests.models.small import unsettle

from unsilent.config import validate_recipe
from unsilent.errors import RecipeError
from unsilent.features import MelConfig, log_mel
from unsilent.models.audio import AudioEncoder, Filterbank, cosine_code
from unsilent.models.config import AudioEncoderConfig, FilterbankConfig, ReconstructorConfig
from unsilent.nn import length_mask

PLAIN = AudioEncoderConfig(widths=(3, 4, 5, 6, 7), bottleneck=5, out_width=9)
BANDS = AudioEncoderConfig(
    filterbank=FilterbankConfig(bands=11), strides=(2, 2), widths=(6, 7), bottleneck=5, normalised=True, out_width=9
)


@pytest.fixture(params=[PLAIN, BANDS], ids=["waveform", "filterbank"])
def encoder(request: pytest.FixtureRequest) -> AudioEncoder:
    torch.manual_seed(0)
    model = AudioEncoder(request.param)
    unsettle(model)
    return model.eval()


@pytest.mark.parametrize("frames", [1, 2, 7, 30])
def test_one_vector_a_video_frame(encoder: AudioEncoder, frames: int) -> None:
    with torch.inference_mode():
        out = encoder(torch.randn(2, 960 * frames), torch.ones(2, frames, dtype=torch.bool))
    assert out.shape == (2, frames, 9)
    assert torch.isfinite(out).all()


def test_alone_or_padded_is_the_same(encoder: AudioEncoder) -> None:
    model, samples = encoder, torch.randn(2, 960 * 9)
    mask = length_mask(torch.tensor([9, 4]), 9)
    with torch.inference_mode():
        batch = model(samples, mask)
        alone = model(samples[1:, : 960 * 4], mask[1:, :4])
    torch.testing.assert_close(batch[1:, :4], alone)
    assert not batch[1, 4:].any()


def test_a_frame_hears_only_its_neighbourhood(encoder: AudioEncoder) -> None:
    model, samples = encoder, torch.randn(1, 960 * 30)
    mask = torch.ones(1, 30, dtype=torch.bool)
    other = samples.clone()
    other[:, 960 * 15 : 960 * 16] += 1.0
    with torch.inference_mode():
        changed = (model(samples, mask) - model(other, mask)).abs().sum(2)[0] > 1e-6
    assert changed[15]
    reach = 6 if encoder.filterbank is None else 7
    assert set(torch.nonzero(changed)[:, 0].tolist()) <= set(range(15 - reach, 16 + reach))


def test_everything_learns(encoder: AudioEncoder) -> None:
    model = encoder.train()
    model(torch.randn(3, 960 * 4), torch.ones(3, 4, dtype=torch.bool)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_nothing_but_the_bottleneck_passes(encoder: AudioEncoder) -> None:
    model = encoder
    seen: list[torch.Tensor] = []
    model.squeeze.register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.inference_mode():
        out = model(torch.randn(1, 960 * 40), torch.ones(1, 40, dtype=torch.bool))
    assert seen[0].shape == (1, 40, 5)
    assert torch.linalg.matrix_rank(out[0] - out[0].mean(0)) <= 5


def test_bands_begin_as_a_mel_spectrogram() -> None:
    bank = Filterbank(FilterbankConfig(), 24_000).eval()
    samples, mask = 0.3 * torch.randn(1, 240 * 40), torch.ones(1, 40, dtype=torch.bool)
    with torch.inference_mode():
        # Statistics are still 0 and 1: what comes out is the logarithm. The edges are padded another way.
        torch.testing.assert_close(
            bank(samples, mask)[..., 3:-3], log_mel(samples, MelConfig())[..., 3:-3], atol=1e-3, rtol=1e-3
        )


def test_the_straight_path_begins_as_an_orthonormal_code() -> None:
    code = cosine_code(80, 4, 64).flatten(1)
    torch.testing.assert_close(code @ code.T, torch.eye(64), atol=1e-5, rtol=0)
    # Smooth spectra that change slowly, which is what speech has, come back from far fewer values than they have.
    bands, steps = torch.linspace(0, 1, 80)[:, None], torch.linspace(0, 1, 4)[None]
    smooth = (torch.sin(7 * bands + 2 * steps) + bands * steps).flatten()
    assert (code.T @ (code @ smooth) - smooth).norm() < 0.03 * smooth.norm()
    assert torch.equal(cosine_code(5, 2, 10).flatten(1) @ cosine_code(5, 2, 10).flatten(1).T > 0.5, torch.eye(10) > 0)


def test_bands_of_silence_and_of_a_shout_are_finite() -> None:
    model = AudioEncoder(BANDS).eval()
    with torch.inference_mode():
        for level in (0.0, 1e-12, 1.0, 1e4):
            assert torch.isfinite(model(level * torch.ones(1, 960 * 3), torch.ones(1, 3, dtype=torch.bool))).all()


def test_strides_must_make_a_video_frame() -> None:
    bands = {"input": "audio", "filterbank": {"hop_length": 240}}
    with pytest.raises(RecipeError, match=r"is 480, a video frame is 960 samples"):
        validate_recipe({"encoder": {**bands, "strides": [2], "widths": [4]}}, ReconstructorConfig, "recipe")
    wide = {**bands, "filterbank": {"bands": 4}, "strides": [2, 2], "widths": [4, 4], "bottleneck": 17}
    with pytest.raises(RecipeError, match="must not be wider than the 16 bands of a video frame"):
        validate_recipe({"encoder": wide}, ReconstructorConfig, "recipe")
    with pytest.raises(RecipeError, match="must not be larger than n_fft"):
        validate_recipe({"encoder": {**bands, "filterbank": {"n_fft": 64}}}, ReconstructorConfig, "recipe")
    with pytest.raises(RecipeError, match=r"is 480, a video frame is 960 samples"):
        validate_recipe({"encoder": {"input": "audio", "strides": [5, 4, 4, 3, 2]}}, ReconstructorConfig, "recipe")
    with pytest.raises(RecipeError, match="same length"):
        validate_recipe({"encoder": {"input": "audio", "strides": [960]}}, ReconstructorConfig, "recipe")
    with pytest.raises(RecipeError, match="'smell'"):
        validate_recipe({"encoder": {"input": "smell"}}, ReconstructorConfig, "recipe")
    assert validate_recipe({"encoder": {"widths": [4, 4]}}, ReconstructorConfig, "recipe").path == "v2a-mel"
