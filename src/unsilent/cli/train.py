"""``unsilent train``: a recipe, run; the same command resumes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unsilent.cli.common import (
    JsonOption,
    QuietOption,
    console,
    emit_json,
    out,
    progress,
    report,
    run_folder,
    set_quiet,
)
from unsilent.errors import RecipeError

if TYPE_CHECKING:
    from unsilent.training.run import Recipe

__all__ = ["run_recipe", "train"]

ALLOCATOR = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run; runs/NAME by default.")
    ] = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train a video-to-mel model or a vocoder from a recipe; the same command goes on where it was stopped."""
    from unsilent.training.run import load_any_recipe

    chosen = load_any_recipe(recipe, overrides or [])
    if chosen.kind.startswith("pretrain"):
        raise RecipeError(f"{recipe}: is of kind {chosen.kind}; run it with `unsilent pretrain`")
    run_recipe(chosen, output, json_to)


def run_recipe(chosen: Recipe, output: Path | None, json_to: str | None) -> None:
    """Run a recipe of any kind, show how it goes, and say what came out."""
    from unsilent.training.run import train as run

    if os.environ.get("RANK", "0") != "0":
        # Of several processes, started by `accelerate launch` or torchrun, the first speaks for all.
        set_quiet(True)
        out.quiet = console.quiet = True
        json_to = None
    folder = output or run_folder(chosen.name)
    screen = report(json_to)
    if any(name not in os.environ for name in ALLOCATOR):
        screen.print(f"tip: {' '.join(f'{name}=10000000000' for name in ALLOCATOR)} makes CPU training faster (glibc)")
    with progress("Loading", unit="recordings") as loading, progress(chosen.name, unit="steps") as task:

        def on_step(step: int, total: int, metrics: dict[str, float]) -> None:
            if task.total is None:
                task.total = float(total)
                task.restart(step - 1)
            task.describe(f"{chosen.name} loss {metrics['loss']:.3f}")
            task.advance()

        metrics = run(chosen, folder, on_load=loading.advance, on_step=on_step)
    screen.print(f"best model: {folder / 'best'}  (TensorBoard: tensorboard --logdir {folder})", soft_wrap=True)
    for name, value in metrics.items():
        screen.print(f"  validation {name}: {value:.4f}")
    emit_json({"folder": folder, "metrics": metrics}, json_to)
