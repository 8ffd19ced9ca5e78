"""The live progress bars; apart from ``common`` because rich's progress is slow to import and seldom needed."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["make_bars"]


class _CountColumn(ProgressColumn):
    """Done, total, unit and rate."""

    def render(self, task: Task) -> Text:
        rate = task.completed / task.elapsed if task.elapsed else 0.0
        count = f"{task.completed:.0f}/{task.total:.0f}" if task.total else f"{task.completed:.0f}"
        return Text(" ".join(part for part in (count, str(task.fields.get("unit", "")), f"{rate:.1f}/s") if part))


def make_bars(console: Console) -> Progress:
    """Return a display that shows description, bar, count, rate and time left of each of its tasks."""
    words = TextColumn("{task.description}", markup=False)
    return Progress(words, BarColumn(), _CountColumn(), TimeRemainingColumn(), console=console, transient=True)
