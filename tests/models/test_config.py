"""Settings that no network can have are refused as recipes, before a network is built."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unsilent.config import dump_recipe, load_recipe, validate_recipe
from unsilent.errors import RecipeError
from unsilent.models import Reconstructor, ReconstructorConfig, VideoEncoder, VideoEncoderConfig, VocoderConfig
from unsilent.models.reconstructor import build_reconstructor
from unsilent.training.recipe import TrainRecipe


def millions(model: Reconstructor) -> tuple[int, int, int]:
    encoder, temporal, decoder = (
        sum(parameter.numel() for parameter in part.parameters())
        for part in (model.encoder, model.temporal, model.decoder)
    )
    return encoder, temporal, decoder


# Published: encoder, conformer and the projection to 80 mels of 4 frames, on 256 values of speaker embedding, with
# the relative positions of Transformer-XL (D^2 + D a block) where ours are rotary.
@pytest.mark.parametrize(
    ("recipe", "encoder", "temporal", "published", "furthest"),
    [
        ("paper-s", 11_182_784, 15_571_200, 27.3e6, 0.03),
        ("paper-m", 11_182_784, 31_011_072, 43.1e6, 0.03),
        ("paper-l", 11_182_784, 72_983_040, 87.6e6, 0.04),
    ],
)
def test_paper_sizes(recipe: str, encoder: int, temporal: int, published: float, furthest: float) -> None:
    config = load_recipe(recipe, TrainRecipe).model
    with torch.device("meta"):
        model = build_reconstructor(config)
    assert millions(model)[:2] == (encoder, temporal)
    width, blocks = config.temporal.width, config.temporal.blocks
    assert abs(encoder + temporal - published) / published < furthest
    same = encoder + temporal + blocks * (width**2 + width) + 256 * width + (width + 1) * 320
    assert abs(same - published) / published < 0.002


def test_small_size_is_within_what_the_method_needs() -> None:
    with torch.device("meta"):
        encoder, _, decoder = millions(build_reconstructor(load_recipe("grid-small", TrainRecipe).model))
    assert 300_000 < encoder < 3_000_000
    assert decoder >= 1_000_000


@given(
    crop=st.integers(16, 40),
    stem_stride=st.sampled_from([2, 4]),
    stem_kernel=st.sampled_from([1, 3, 5, 7]),
    stem_pool=st.booleans(),
    first_stride=st.sampled_from([1, 2]),
    stages=st.integers(1, 3),
)
@settings(max_examples=25)
def test_flattened_map_has_the_size_that_the_settings_say(stages: int, **sizes: Any) -> None:
    config = VideoEncoderConfig(
        resize=40, stem_channels=2, widths=(2,) * stages, depths=(1,) * stages, out_width=3, **sizes
    )
    crops = torch.zeros(1, 1, config.crop, config.crop, dtype=torch.uint8)
    assert VideoEncoder(config).eval()(crops, torch.ones(1, 1, dtype=torch.bool)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("model.encoder.crop=80", "must not exceed resize 72"),
        ("model.encoder.widths=[64]", "same length"),
        ("model.encoder.widths=[64, 0]", "model.encoder.widths.1"),
        ("model.encoder.stem_frames=4", "must be odd"),
        ("model.temporal.kernel=30", "kernel 30 must be odd"),
        ("model.temporal.heads=5", "width 192 must be a multiple of twice the 5 heads"),
        ("model.decoder.kernel=4", "kernel 4 must be odd"),
        ("model.mel.hop_length=256", "960 samples"),
        ("model.mel.hop_length=0", "model.mel.hop_length"),
        ("model.encoder.colour=1", "unknown key"),
    ],
)
def test_impossible_values_are_one_line_that_names_them(wrong: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("grid-small", TrainRecipe, [wrong])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [ReconstructorConfig(), VocoderConfig()])
def test_settings_survive_a_card(config: ReconstructorConfig | VocoderConfig) -> None:
    assert validate_recipe(dump_recipe(config), type(config), "card.json") == config
