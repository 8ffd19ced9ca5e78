"""Recipes: the shipped ones are valid, and impossible values are refused before anything is read."""

from __future__ import annotations

import pytest

from unsilent.config import dump_recipe, load_recipe, recipe_names, validate_recipe
from unsilent.errors import RecipeError
from unsilent.training.recipe import TrainRecipe, VocoderRecipe
from unsilent.training.run import load_any_recipe


def test_every_shipped_recipe_is_valid_and_never_looks_at_a_test_split() -> None:
    assert {"grid-small", "paper-s", "paper-m", "paper-l", "vocoder-small"} <= set(recipe_names())
    for name in recipe_names():
        recipe = load_any_recipe(name, [])
        splits = (recipe.data.train if isinstance(recipe, TrainRecipe) else recipe.data.split, recipe.data.validation)
        assert recipe.name == name
        assert not any("test" in split for split in splits if split), name
        assert splits[0] != splits[1]
        assert validate_recipe(dump_recipe(recipe), type(recipe), "memory") == recipe


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
