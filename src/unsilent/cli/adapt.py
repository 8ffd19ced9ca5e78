"""``unsilent adapt``: a model of one person, from that person's own clips."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, console, emit_json, progress, report

if TYPE_CHECKING:
    from unsilent.adaptation import Adapted, Forecast

__all__ = ["adapt"]


def adapt(
    clips: Annotated[
        Path, typer.Argument(help="Folder of clips of one person talking, with sound.", show_default=False)
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="NAME|DIR", help="What to start from: shipped, or a model folder.")
    ] = "grid",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the result; runs/adapt-CLIPS by default.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe `adapt`.")
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            "--hours", min=0, help="The longest to train, looked at after every judgement; until it is flat by default."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that prepare; one a core by default.")
    ] = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Fine-tune a model on one person's own clips and measure it; the same command goes on where it was stopped."""
    from unsilent.adaptation import adapt as run

    folder = output or Path("runs") / f"adapt-{clips.resolve().name}"
    with _Stages(json_to) as watch:
        done = run(clips, folder, source, watch=watch, overrides=overrides or [], hours=hours, workers=workers)
    _show(done, watch.forecast, json_to)


class _Stages(ExitStack):
    """One progress bar a stage; the last one ends with the block."""

    def __init__(self, json_to: str | None) -> None:
        super().__init__()
        self._json_to = json_to
        self.forecast: Forecast | None = None

    def expect(self, forecast: Forecast) -> None:
        self.close()
        self.forecast = forecast
        report(self._json_to).print(forecast.sentence(), markup=False)

    def stage(self, name: str, total: int | None) -> Callable[[], object]:
        self.close()
        return self.enter_context(progress(name, total, "steps" if total is None else "clips")).advance


def _show(done: Adapted, forecast: Forecast | None, json_to: str | None) -> None:
    from rich.table import Table

    screen = report(json_to)
    screen.print(f"learnt from {done.clips} clips, {done.minutes:.1f} min, in {done.steps} steps")
    for reason, number in done.dropped.items():
        screen.print(f"not used: {number} clips, {reason}", markup=False)
    if not done.flat:
        console.print("note: it was still getting better; the same command goes on")
    metrics = next(iter(done.report.systems.values()))
    table = Table(
        "", *done.report.systems, title=f"{len(done.report.texts)} clips it never learnt from", title_justify="left"
    )
    for metric in metrics:
        cells = [summaries[metric] for summaries in done.report.systems.values()]
        values = ["missing" if cell.interval is None else f"{cell.interval.mean:.3f}" for cell in cells]
        table.add_row(metric, *values)
    screen.print(table)
    screen.print(f"now: unsilent speak VIDEO --model {done.model}", markup=False, soft_wrap=True)
    emit_json(
        {
            "model": done.model,
            "minutes": done.minutes,
            "clips": done.clips,
            "steps": done.steps,
            "flat": done.flat,
            "dropped": done.dropped,
            "forecast": forecast,
            "report": done.report.as_dict(),
        },
        json_to,
    )
