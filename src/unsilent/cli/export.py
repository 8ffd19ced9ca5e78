"""``unsilent export``: models in the formats of other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report

__all__ = ["app", "onnx"]

app = typer.Typer(help="Write a model in a format of another engine.")


@app.callback()
def _group() -> None:
    """Keep the sub-verb even while it is the only one."""


@app.command()
def onnx(
    model: Annotated[str, typer.Argument(help="A shipped model, a model folder, or user/model.", show_default=False)],
    output: Annotated[
        Path,
        typer.Argument(
            help="A file that ends in .onnx, for the whole chain, or a folder, for its parts.", show_default=False
        ),
    ],
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Export a model with its vocoder to ONNX, for clips of any length, and check it against torch."""
    from unsilent.export import export_onnx
    from unsilent.synthesis.synthesizer import read_model

    with progress(f"Exporting {model}"):
        reconstructor, config, vocoder, card = read_model(model)
        done = export_onnx(reconstructor, config, vocoder, card, output)
    screen = report(json_to)
    for path in done.files.values():
        screen.print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)", markup=False, soft_wrap=True)
    errors = ", ".join(f"{name} {error:.1e}" for name, error in done.errors.items())
    screen.print(f"largest differences from torch: {errors}", soft_wrap=True)
    emit_json(
        {
            "model": card.get("name", "unnamed"),
            "files": {role: {"path": path, "bytes": path.stat().st_size} for role, path in done.files.items()},
            "opset": done.opset,
            "errors": done.errors,
            "lengths": done.lengths,
        },
        json_to,
    )
