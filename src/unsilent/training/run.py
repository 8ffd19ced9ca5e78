"""A recipe, run: from YAML to a trained model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
from accelerate import Accelerator
from pydantic import Field, RootModel

from unsilent.config import dump_recipe, load_recipe
from unsilent.training.loop import Metrics, Trainer
from unsilent.training.recipe import TrainRecipe, VocoderRecipe
from unsilent.training.video import VideoTask
from unsilent.training.vocoder import VocoderTask

__all__ = ["AnyRecipe", "load_any_recipe", "train"]


class AnyRecipe(RootModel[Annotated[TrainRecipe | VocoderRecipe, Field(discriminator="kind")]]):
    """A recipe of either kind, told apart by its ``kind``."""


def load_any_recipe(source: str, overrides: list[str]) -> TrainRecipe | VocoderRecipe:
    """Read a recipe that `unsilent train` can run.

    Raises:
        RecipeError: it cannot be found, read, or is not valid.
    """
    return load_recipe(source, AnyRecipe, overrides).root


def train(
    recipe: TrainRecipe | VocoderRecipe,
    folder: Path,
    *,
    on_load: Callable[[], None] | None = None,
    on_step: Callable[[int, int, Metrics], None] = lambda step, total, metrics: None,
) -> dict[str, Any]:
    """Train, or go on with what ``folder`` holds, and return the best validation metrics.

    Args:
        recipe: what to train.
        folder: of the run; its ``best/`` is the trained model folder.
        on_load: called after every recording that is read into memory.
        on_step: called with (step, total, metrics) after every step.

    Raises:
        ShardError, CheckpointError, TrainingError: see there; what was trained stays.
    """
    if recipe.run.threads is not None:
        torch.set_num_threads(recipe.run.threads)
    precision = "bf16" if recipe.run.precision == "bf16" else "no"
    accelerator = Accelerator(mixed_precision=precision)
    task: Any
    if isinstance(recipe, TrainRecipe):
        task = VideoTask(recipe, accelerator, on_load)
    else:
        task = VocoderTask(recipe, accelerator, on_load)
    trainer: Trainer[Any] = Trainer(task, recipe.run, recipe.optim, dump_recipe(recipe), folder, accelerator, on_step)
    return trainer.fit()
