"""``unsilent bench``: speed on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, report

app = typer.Typer(help="Measure speed on this machine.")

GRID_CLIP = Path("../shared/data/grid/s1/bbaf3s.mp4")


@app.callback()
def _group() -> None:
    """Keep the sub-verb even while it is the only one."""


@app.command()
def speak(
    video: Annotated[Path, typer.Argument(help="A clip of someone talking, best of 3 s.")] = GRID_CLIP,
    model: Annotated[str, typer.Option(help="A shipped model, or a model folder.")] = "grid",
    repeats: Annotated[int, typer.Option(min=1, help="Warm runs; the median counts.")] = 7,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Whole `speak`, file to file, with the share of each stage."""
    from rich.table import Table

    from unsilent.benchmarks.speak import STAGES, bench_speak

    result = bench_speak(video, model, repeats)
    about = f"{result['video']['seconds']:.2f} s of video, {result['threads']} threads, median of {repeats}"
    table = Table(title=f"speak (RTF: real-time factor), {about}")
    for title in ("model", "RTF", "seconds", "first", *STAGES):
        table.add_column(title, justify="left" if title == "model" else "right")
    for name in ("small", "paper-s"):
        row = result[name]
        shares = [f"{1000 * row['stages'][stage]:.0f} ms {100 * row['shares'][stage]:.0f} %" for stage in STAGES]
        table.add_row(
            f"{name} ({row['model']})",
            f"{row['rtf']:.3f}",
            f"{row['seconds']:.3f}",
            f"{row['first_seconds']:.2f}",
            *shares,
        )
    screen = report(json_to)
    screen.print(table)
    screen.print(f"matrix product in the same run: {result['reference']['matrix_product_gflops']:.0f} GFLOP/s")
    emit_json(result, json_to)
