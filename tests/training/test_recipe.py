"""Recipes: the shipped ones are valid, and impossible values are refused before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from unsilent.config import dump_recipe, load_recipe, recipe_names, validate_recipe
from unsilent.errors import RecipeError
from unsilent.study import StudyRecipe
from unsilent.training.pretrain_recipe import SpeechDataConfig
from unsilent.training.recipe import DataConfig, TrainRecipe, VocoderRecipe
from unsilent.training.run import load_any_recipe


def test_every_shipped_recipe_is_valid_and_never_looks_at_a_test_split() -> None:
    assert {"grid-small", "paper-s", "paper-m", "paper-l", "vocoder-small"} <= set(recipe_names())
    for name in recipe_names():
        recipe: Any = load_recipe(name, StudyRecipe) if name.startswith("study") else load_any_recipe(name, [])
        assert recipe.name == name
        assert validate_recipe(dump_recipe(recipe), type(recipe), "memory") == recipe
        for stage in (recipe.pretrain, recipe.finetune) if isinstance(recipe, StudyRecipe) else (recipe,):
            learnt, judged = splits_of(stage.data)
            assert not any("test" in split for split in (*learnt, judged)), name
            assert judged not in learnt


def splits_of(data: Any) -> tuple[list[str], str]:
    """Splits that a stage learns from, and the one it is judged on."""
    if isinstance(data, SpeechDataConfig):
        return [
            f"{each.shards} {each.split}" for each in data.sources
        ], f"{data.validation.shards} {data.validation.split}"
    return [str(data.train if isinstance(data, DataConfig) else data.split)], data.validation


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("optim.betas=[0.9, 1.0]", "optim.betas.1"),
        ("optim.lr=0", "optim.lr"),
        ("run.seed=-1", "run.seed"),
        ("run.batch_size=0", "run.batch_size"),
        ("data.window=0", "data.window"),
        ("data.augment.flip=1.5", "data.augment.flip"),
    ],
)
def test_impossible_values_are_one_line_that_names_them(wrong: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("grid-small", TrainRecipe, [wrong])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("model.kernel=6", "kernel 6 must be odd"),
        ("data.shards=null", "data.shards or data.folders must be given"),
        ("optim.betas=[1.5, 0.9]", "optim.betas.0"),
    ],
)
def test_impossible_vocoders(wrong: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("vocoder-small", VocoderRecipe, ["data.folders=[]", wrong])
    assert said in str(caught.value)


def test_predicted_mels_need_shards() -> None:
    given_values = {"name": "x", "data": {"shards": None, "folders": ["speech"], "predicted": "runs/grid-small/best"}}
    with pytest.raises(RecipeError, match=r"data.predicted needs data.shards"):
        validate_recipe(given_values, VocoderRecipe, "memory")
