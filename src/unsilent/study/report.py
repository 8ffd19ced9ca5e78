"""What a study found, in words, tables and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unsilent.evaluation.statistics import Interval, bootstrap_seeds
from unsilent.files import atomic_path
from unsilent.study.plan import plan, run_name
from unsilent.study.recipe import ABOUT, ArmName, StudyRecipe
from unsilent.study.runner import RunResult, read_curve
from unsilent.training.plots import save_figure

__all__ = ["Comparison", "compare", "write_report"]

Metric = Literal["estoi", "estoi_aligned"]
PAIRS: tuple[tuple[ArmName, ArmName], ...] = (
    ("B", "A"), ("B", "A+"), ("F", "A"), ("B", "F"), ("B", "C"), ("B", "D"), ("B", "E"), ("B", "G"),
    ("L", "A"), ("L", "B"), ("T", "A"), ("T", "B"),
)  # fmt: skip
"""Differences that answer the questions of a study."""


@dataclass(frozen=True)
class Comparison:
    """Two arms with one amount of video."""

    first: ArmName
    second: ArmName
    minutes: float
    difference: Interval
    converged: bool
    seeds: int
    """That both arms have run with."""
    wanted: int
    """Seeds of the study."""

    def verdict(self, smallest: float) -> str:
        """What the interval says of a gain of ``smallest``."""
        if self.seeds < self.wanted:
            return f"no verdict yet: {self.seeds} of {self.wanted} seeds have run"
        low, high = self.difference.low, self.difference.high
        if not self.converged:
            return "no verdict: not all runs came to their end"
        if high < smallest:
            return f"a gain of {smallest:.2f} is refuted" + (", it is worse" if high < 0 else "")
        if low > 0:
            return "better" + ("" if low >= smallest else f", by {smallest:.2f} or less not excluded")
        return "inconclusive"


def compare(recipe: StudyRecipe, results: Mapping[str, RunResult], metric: Metric = "estoi") -> list[Comparison]:
    """Every difference of `PAIRS`, over the seeds that both arms have run with, if any."""
    found = []
    for minutes in recipe.minutes:
        for first, second in PAIRS:
            seeds = _seeds(recipe, results, minutes, first, second)
            if not seeds:
                continue
            mine, theirs = (_values(results, arm, minutes, seeds, metric) for arm in (first, second))
            runs = [results[run_name(arm, minutes, seed)] for arm in (first, second) for seed in seeds]
            converged = all(run.ended != "bound" for run in runs)
            gain = bootstrap_seeds(mine - theirs)
            found.append(Comparison(first, second, minutes, gain, converged, len(seeds), len(recipe.seeds)))
    return found


def _seeds(recipe: StudyRecipe, results: Mapping[str, RunResult], minutes: float, *arms: ArmName) -> list[int]:
    """Seeds with which all of the arms have run and been scored."""
    scored = {name for name, result in results.items() if result.scores is not None}
    return [seed for seed in recipe.seeds if all(run_name(arm, minutes, seed) in scored for arm in arms)]


def _values(
    results: Mapping[str, RunResult], arm: ArmName, minutes: float, seeds: Sequence[int], metric: Metric
) -> NDArray[np.float64]:
    """(seeds, clips)."""
    rows = [getattr(results[run_name(arm, minutes, seed)].scores, metric) for seed in seeds]
    return np.array(rows, np.float64)


def write_report(
    recipe: StudyRecipe, results: Mapping[str, RunResult], folder: Path, output: Path, machine: str
) -> None:
    """Write the report as Markdown, and its learning curves beside it as ``NAME.png``.

    Args:
        recipe: the study.
        results: of its runs; those that are missing are left out.
        folder: of the runs, for their curves.
        output: the Markdown file.
        machine: what it ran on, and when.

    Raises:
        OutputError: it cannot be written.
    """
    picture = output.with_suffix(".png")
    figure = _curves(recipe, results, folder)
    with atomic_path(picture) as path:
        save_figure(figure, str(path))
    lines = [
        f"# Study {recipe.name}: does pre-training on speech help?",
        "",
        f"Written by `unsilent study {recipe.name}`. {machine}.",
        "",
        *_interim(recipe, results, folder),
        f"Split {recipe.test}, {len(recipe.seeds)} seeds, ESTOI of {_heard(recipe)}. Intervals: "
        "95 %, hierarchical bootstrap over seeds, then clips. A fine-tuning ends when it is flat: when "
        f"{recipe.flat} validations in a row bring less than {recipe.least_gain} of estimated ESTOI; pre-training and "
        "A+ take all their steps. Stated in advance: a gain whose interval lies wholly below "
        f"{recipe.smallest_effect:.2f} is refuted, an interval across 0 is inconclusive, and a run that came to its "
        "bound before gets no verdict.",
        "",
        *(f"- **{arm}**: {ABOUT[arm]}" for arm in recipe.arms),
        "",
        *_tables(recipe, results),
        f"![learning curves]({picture.name})",
        "",
        "## Runs",
        "",
        "| run | steps | best at | estimated ESTOI there (validation) | ended | training, minutes |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r.name} | {r.steps} | {r.best_step} | {r.best:.3f} | {r.ended} | {r.seconds / 60:.1f} |"
            for r in results.values()
        ),
    ]
    with atomic_path(output) as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _heard(recipe: StudyRecipe) -> str:
    if recipe.finetune.model.decoder.target == "wave":
        return "the waveforms that the models make"
    return "speech through the shipped vocoder"


def _interim(recipe: StudyRecipe, results: Mapping[str, RunResult], folder: Path) -> list[str]:
    """A warning where the study is under way."""
    wanted = len(plan(recipe, folder))
    if len(results) == wanted:
        return []
    return [f"**Under way: {len(results)} of {wanted} runs are done. Nothing here is a result yet.**", ""]


def _tables(recipe: StudyRecipe, results: Mapping[str, RunResult]) -> list[str]:
    lines: list[str] = []
    metrics: tuple[tuple[Metric, str], ...] = (("estoi", "ESTOI"), ("estoi_aligned", "ESTOI, offset taken out"))
    for metric, title in metrics:
        head = [f"{minutes:g} min" for minutes in recipe.minutes]
        lines += [f"## {title}", "", f"| arm | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
        for arm in recipe.arms:
            cells = []
            for minutes in recipe.minutes:
                seeds = _seeds(recipe, results, minutes, arm)
                fewer = "" if len(seeds) == len(recipe.seeds) else f", {len(seeds)} of {len(recipe.seeds)} seeds"
                values = _values(results, arm, minutes, seeds, metric)
                cells.append(_cell(bootstrap_seeds(values)) + fewer if seeds else "-")
            lines.append(f"| {arm} | {' | '.join(cells)} |")
        lines += ["", "| difference | video | gain | verdict |", "|---|---|---|---|"]
        for each in compare(recipe, results, metric):
            lines.append(
                f"| {each.first} - {each.second} | {each.minutes:g} min | {_cell(each.difference, signed=True)} | "
                f"{each.verdict(recipe.smallest_effect)} |"
            )
        lines.append("")
    return lines


def _cell(interval: Interval, signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def _curves(recipe: StudyRecipe, results: Mapping[str, RunResult], folder: Path) -> Figure:
    """Estimated ESTOI on validation clips against steps, a panel for every amount of video."""
    figure = Figure(figsize=(5.2 * len(recipe.minutes), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(1, len(recipe.minutes), sharey=True))
    for axis, minutes in zip(panels, recipe.minutes, strict=True):
        for number, arm in enumerate(recipe.arms):
            for seed in recipe.seeds:
                name = run_name(arm, minutes, seed)
                if name not in results:
                    continue
                steps, scores = zip(*read_curve(folder / name), strict=True)
                label = arm if seed == recipe.seeds[0] else None
                axis.plot(
                    steps, scores, color=f"C{number}", lw=1, alpha=0.8, label=label, zorder=2 if arm != "A+" else 1
                )
        axis.set_title(f"{minutes:g} minutes of video")
        axis.set_xlabel("steps")
    panels[0].set_ylabel("estimated ESTOI, validation")
    if any(panel.lines for panel in panels):
        figure.legend(
            *panels[np.argmax([len(panel.lines) for panel in panels])].get_legend_handles_labels(),
            loc="outside right upper",
            frameon=False,
        )
    return figure
