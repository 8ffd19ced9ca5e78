"""``unsilent study``: does pre-training help? Every arm, run and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report, run_folder

if TYPE_CHECKING:
    from unsilent.study import StudyRecipe
    from unsilent.study.runner import RunResult

__all__ = ["study"]


def study(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped study.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the runs; runs/NAME by default.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="The report; REPORT.md in the folder of the runs by default.")
    ] = None,
    plan_only: Annotated[bool, typer.Option("--plan", help="Show what there is to do, and end.")] = False,
    so_far: Annotated[bool, typer.Option("--so-far", help="Report what has run, and run nothing.")] = False,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run the arms of a study, and write what they show; the same command goes on where it was stopped."""
    import platform
    from datetime import UTC, datetime

    from unsilent.config import load_recipe
    from unsilent.study import StudyRecipe, run_study, write_report
    from unsilent.study.report import compare
    from unsilent.study.runner import finished

    chosen = load_recipe(recipe, StudyRecipe, overrides or [])
    folder = output or run_folder(chosen.name)
    screen = report(json_to)
    total = _show_plan(chosen, folder, json_to)
    if plan_only:
        return
    if so_far:
        results = finished(chosen, folder)
    else:
        with progress(chosen.name, total=total, unit="runs") as task:

            def on_run(name: str, result: RunResult) -> None:
                task.describe(f"{name}: {result.best:.3f} after {result.steps} steps")
                task.advance()

            results = run_study(chosen, folder, on_run)
    target = markdown or folder / "REPORT.md"
    machine = f"{platform.machine()}, {platform.system()}, {datetime.now(UTC):%Y-%m-%d}"
    write_report(chosen, results, folder, target, machine)
    screen.print(f"report: {target}", soft_wrap=True)
    emit_json({"runs": list(results.values()), "comparisons": compare(chosen, results)}, json_to)


def _show_plan(recipe: StudyRecipe, folder: Path, json_to: str | None) -> int:
    """Print every run with what is known of it; returns how many there are."""
    from rich.table import Table

    from unsilent.study.plan import plan
    from unsilent.study.runner import read_result

    runs = plan(recipe, folder)
    table = Table(
        "run", "needs", "done", "steps", "minutes", title=f"{recipe.name}: {len(runs)} runs, {recipe.jobs} at a time"
    )
    spent = []
    for run in runs:
        result = read_result(folder / run.name)
        if result:
            spent.append(result.seconds / 60)
        known = [str(result.steps), f"{result.seconds / 60:.1f}"] if result else ["", ""]
        table.add_row(run.name, ", ".join(run.needs), "yes" if result else "", *known)
    screen = report(json_to)
    screen.print(table)
    if spent and len(spent) < len(runs):
        left = (len(runs) - len(spent)) * sum(spent) / len(spent) / recipe.jobs
        screen.print(f"about {left:.0f} minutes left, by the {len(spent)} runs that are done")
    return len(runs)
