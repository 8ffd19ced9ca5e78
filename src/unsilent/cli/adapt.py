"""``unsilent adapt``: a model of one person, from that person's own clips."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, console, emit_json, is_quiet, progress, report

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
        typer.Option("--hours", min=0, help="The longest to train; until it has stopped getting better by default."),
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

    def expect(self, forecast: Forecast | None, before: float | None) -> None:
        self.close()
        self.forecast = forecast
        screen = report(self._json_to)
        known = "no forecast: what is known was measured on a real person, and there are synthetic clips here"
        screen.print(forecast.sentence() if forecast else known, markup=False)
        if before is not None:
            better = forecast is not None and before > forecast.estoi
            more = ": more than forecast, since the forecast is of training from scratch" if better else ""
            screen.print(f"what training starts from has ESTOI {before:.2f}, on clips that are kept for judging{more}")

    def stage(self, name: str, total: int | None) -> Callable[[], object]:
        self.close()
        return self.enter_context(progress(name, total, "clips")).advance

    def learn(self, hours: float | None) -> Callable[[int], object]:
        self.close()
        limit = "" if hours is None else f", {60 * hours:.0f} min at most"
        task = self.enter_context(progress(f"Training{limit}", None, "steps"))
        done = 0

        def tick(step: int) -> None:
            nonlocal done
            if done == 0 and step > 1:
                task.restart(step - 1)
            done = step
            task.advance()

        return tick

    def judged(self, step: int, estoi: float) -> None:
        if not is_quiet():
            console.print(f"step {step}: estimated ESTOI {estoi:.3f}", markup=False)


def _show(done: Adapted, forecast: Forecast | None, json_to: str | None) -> None:
    from rich.table import Table

    from unsilent.evaluation.tables import missing_lines, synthetic_lines

    screen = report(json_to)
    screen.print(f"learnt from {done.clips} clips, {done.minutes:.1f} min, in {done.steps} steps")
    for reason, number in done.dropped.items():
        screen.print(f"not used: {number} clips, {reason}", markup=False)
    if not done.flat:
        how = "while it was getting better" if done.rising else "too early to say whether it gets better"
        console.print(f"note: time was over {how}; the same command goes on")
    metrics = next(iter(done.report.systems.values()))
    table = Table(
        "", *done.report.systems, title=f"{len(done.report.texts)} clips it never learnt from", title_justify="left"
    )
    for metric in metrics:
        cells = [summaries[metric] for summaries in done.report.systems.values()]
        values = ["missing" if cell.interval is None else f"{cell.interval.mean:.3f}" for cell in cells]
        table.add_row(metric, *values)
    screen.print(table)
    for line in [*synthetic_lines(done.report), *missing_lines(done.report)]:
        screen.print(line, markup=False)
    reached = done.report.systems["model"]["estoi"].interval
    if done.before is not None and reached is not None and reached.mean <= done.before:
        console.print(
            "note: it is no better than what it started from on these clips: let it go on, or give it more clips"
        )
    screen.print(f"now: unsilent speak VIDEO --model {done.model}", markup=False, soft_wrap=True)
    emit_json(
        {
            "model": done.model,
            "minutes": done.minutes,
            "clips": done.clips,
            "steps": done.steps,
            "flat": done.flat,
            "before": done.before,
            "dropped": done.dropped,
            "forecast": forecast,
            "report": done.report.as_dict(),
        },
        json_to,
    )
