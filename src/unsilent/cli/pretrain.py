"""``unsilent pretrain``: speech alone, for a decoder to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption
from unsilent.errors import RecipeError

__all__ = ["pretrain"]


def pretrain(
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
    """Train an audio-to-audio model on speech alone; its decoder is what `unsilent train` can start from."""
    from unsilent.cli.train import run_recipe
    from unsilent.training.run import load_any_recipe

    chosen = load_any_recipe(recipe, overrides or [])
    if not chosen.kind.startswith("pretrain"):
        raise RecipeError(f"{recipe}: is of kind {chosen.kind}; run it with `unsilent train`")
    run_recipe(chosen, output, json_to)
