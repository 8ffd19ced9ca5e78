"""A recipe, run: from YAML to a trained model folder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from pydantic import BaseModel, ValidationError

from unsilent.config import dump_recipe, load_recipe
from unsilent.errors import RecipeError
from unsilent.training.finetune import check_start
from unsilent.training.loop import Metrics, Trainer
from unsilent.training.pretrain import PretrainTask
from unsilent.training.pretrain_recipe import PretrainRecipe
from unsilent.training.recipe import TrainRecipe, VocoderRecipe
from unsilent.training.video import VideoTask
from unsilent.training.vocoder import VocoderTask
from unsilent.training.wave import TrainWaveTask
from unsilent.training.wave_pretrain import PretrainWaveTask
from unsilent.training.wave_recipe import PretrainWaveRecipe, TrainWaveRecipe

__all__ = ["KINDS", "Recipe", "begin", "load_any_recipe", "train"]

VALIDATION_TIMEOUT = timedelta(hours=3)
"""How long processes wait for one another: the main one alone validates and writes."""


Recipe: TypeAlias = TrainRecipe | PretrainRecipe | TrainWaveRecipe | PretrainWaveRecipe | VocoderRecipe
STAGES: dict[type[Recipe], Callable[..., Any]] = {
    TrainRecipe: VideoTask,
    PretrainRecipe: PretrainTask,
    TrainWaveRecipe: TrainWaveTask,
    PretrainWaveRecipe: PretrainWaveTask,
    VocoderRecipe: VocoderTask,
}
"""What runs each kind of recipe."""


KINDS: dict[str, type[Recipe]] = {str(model.model_fields["kind"].default): model for model in STAGES}
"""What a recipe's ``kind`` says it is."""


class _Kind(BaseModel):
    kind: str


def load_any_recipe(source: str, overrides: list[str]) -> Recipe:
    """Read a recipe that `unsilent train` or `unsilent pretrain` can run.

    Raises:
        RecipeError: it cannot be found, read, or is not valid.
    """
    # What a recipe may hold is known, and can be told, once its kind is.
    kind = load_recipe(source, _Kind, [each for each in overrides if each.split("=")[0].strip() == "kind"]).kind
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise RecipeError(
            f"{source}: kind {kind!r} is none of {known}" + ("; run `unsilent study`" * (kind == "study"))
        )
    return load_recipe(source, KINDS[kind], overrides)


def train(
    recipe: Recipe,
    folder: Path,
    *,
    on_load: Callable[[], None] | None = None,
    on_step: Callable[[int, int, Metrics], None] = lambda step, total, metrics: None,
    stop: Callable[[int], bool] = lambda step: False,
    overdue: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Train, or go on with what ``folder`` holds, and return the best validation metrics.

    Args:
        recipe: what to train.
        folder: of the run; its ``best/`` is the trained model folder.
        on_load: called after every recording that is read into memory.
        on_step: called with (step, total, metrics) after every step.
        stop: asked, with the step, after every validation; True ends the run there.
        overdue: asked after every step, where given; True has the run judged, saved and ended there.

    Raises:
        ShardError, CheckpointError, TrainingError: see there; what was trained stays.
    """
    task, accelerator = begin(recipe, on_load)
    if not accelerator.is_main_process:
        on_step = lambda step, total, metrics: None  # noqa: E731
    trainer: Trainer[Any] = Trainer(
        task,
        recipe.run,
        recipe.optim,
        dump_recipe(recipe),
        folder,
        accelerator,
        on_step,
        stop,
        overdue,
        partial(_renew, recipe),
    )
    return trainer.fit()


def begin(recipe: Recipe, on_load: Callable[[], None] | None = None) -> tuple[Any, Accelerator]:
    """What a recipe trains, its data read, and the devices and processes that do it.

    Args:
        recipe: of any kind.
        on_load: called after every recording that is read into memory, in the main process.
    """
    if recipe.run.threads is not None:
        torch.set_num_threads(recipe.run.threads)
    if isinstance(recipe, TrainRecipe | TrainWaveRecipe):
        check_start(recipe.start)
    precision = "bf16" if recipe.run.precision == "bf16" else "no"
    accelerator = Accelerator(
        mixed_precision=precision, kwargs_handlers=[InitProcessGroupKwargs(timeout=VALIDATION_TIMEOUT)]
    )
    return STAGES[type(recipe)](recipe, accelerator, on_load if accelerator.is_main_process else None), accelerator


def _renew(recipe: Recipe, old: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a checkpoint, with the defaults of settings that its version did not have."""
    try:
        return dump_recipe(type(recipe).model_validate(old))
    except ValidationError:
        return old
