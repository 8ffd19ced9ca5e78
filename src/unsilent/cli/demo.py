"""``unsilent demo``: a clip loses its sound and gets it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report

if TYPE_CHECKING:
    from unsilent.demonstration import Demonstration

__all__ = ["demo"]


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("demo"),
    grid: Annotated[
        Path | None, typer.Option(help="GRID corpus: a real clip of it instead of a synthetic talker.")
    ] = None,
    number: Annotated[int, typer.Option(min=0, help="Which synthetic clip; none of them was trained on.")] = 0,
    unseen: Annotated[bool, typer.Option("--unseen", help="A synthetic talker the model has never seen.")] = False,
    model: Annotated[
        str | None, typer.Option(help="A shipped model, or a model folder; talker, or grid with --grid, by default.")
    ] = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Speak a clip that was never trained on, and show the result: video, sound, picture and a page."""
    import tempfile

    from unsilent.demonstration import demonstrate, grid_example, talker_example
    from unsilent.synthesis import load

    with tempfile.TemporaryDirectory(prefix="unsilent-demo-") as made:
        if grid is not None:
            example = grid_example(grid)
        else:
            with progress("Drawing a talker"):
                example = talker_example(Path(made), number=number, unseen=unseen)
        voice = load(model or ("talker" if grid is None else "grid"))
        with progress("Speaking", unit="frames") as task:
            shown = demonstrate(example, voice, output, on_frame=task.advance)
    _show(shown, json_to)


def _show(shown: Demonstration, json_to: str | None) -> None:
    screen = report(json_to)
    screen.print(f"{shown.example.about}", markup=False)
    screen.print(f"said:  {shown.example.text}", markup=False)
    if shown.heard:
        screen.print(f"heard: {shown.heard}", markup=False)
    for name in ("stoi", "estoi"):
        figure = shown.metrics[name]
        if figure.value is not None and figure.ceiling is not None:
            screen.print(f"{name.upper()} {figure.value:.2f} (the true mel through the vocoder: {figure.ceiling:.2f})")
    what = {
        "page": "everything on one page: open it in a browser",
        "spoken": "the result",
        "sound": "its sound",
        "picture": "mouth, true and spoken mel",
        "silent": "the input",
        "original": "what was really said",
    }
    for name, meaning in what.items():
        screen.print(f"  {shown.files[name]}  {meaning}", markup=False, soft_wrap=True)
    rtf = shown.done.elapsed / shown.done.seconds
    screen.print(f"real-time factor {rtf:.2f} (this first run loads and warms up)")
    screen.print("now your own: unsilent speak VIDEO --model grid; it knows the 51 words of GRID", markup=False)
    emit_json(
        {
            **shown.done.to_dict(),
            "clip": shown.example.id,
            "text": shown.example.text,
            "heard": shown.heard,
            "metrics": shown.metrics,
            "files": shown.files,
        },
        json_to,
    )
