"""A report as Markdown, to be pasted into a paper's repository or an issue."""

from __future__ import annotations

from collections.abc import Sequence

from unsilent.evaluation.compare import Comparison, comparison_table
from unsilent.evaluation.report import Report
from unsilent.evaluation.tables import (
    Cell,
    Table,
    difference_lines,
    left_out_lines,
    metrics_table,
    missing_lines,
    place,
    protocol_lines,
    published_table,
    results_table,
    system_lines,
)

__all__ = ["bullets", "comparison_markdown", "report_markdown", "table"]


def report_markdown(report: Report) -> str:
    """The tables and notes of a report; its clips are in the JSON."""
    parts = [f"# Evaluation: {place(report)}, {len(report.texts)} clips", ""]
    if report.command:
        parts += ["```", report.command, "```", ""]
    parts += [table(results_table(report)), "", bullets([*system_lines(report), *protocol_lines(report)])]
    if (published := published_table(report.corpus)) is not None:
        parts += ["", "## Published beside it", "", table(published), "", bullets(difference_lines(report))]
    if lines := [*missing_lines(report), *left_out_lines(report.left_out)]:
        parts += ["", "## What is missing, and why", "", bullets(lines)]
    parts += ["", "## Metrics", "", table(metrics_table(report))]
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items() if version)
    return "\n".join([*parts, "", f"Versions: {versions}.", ""])


def comparison_markdown(found: Comparison) -> str:
    """The table and the notes of a comparison."""
    names = " and ".join(m.name for m in found.measured)
    return "\n".join([f"# {names}", "", table(comparison_table(found)[0]), "", bullets(found.lines()), ""])


def table(content: Table) -> str:
    """A table in GitHub's Markdown, under its title."""
    title = [content.title, ""] if content.title else []
    marks = ["---" if at < content.words else "--:" for at in range(len(content.heads))]
    lines = [_line(content.heads), f"|{'|'.join(marks)}|", *(_line(row) for row in content.rows)]
    return "\n".join([*title, *lines])


def _line(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(_escaped(' '.join((cell.text, *cell.below))) for cell in cells)} |"


def bullets(lines: Sequence[str]) -> str:
    """A list of lines."""
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    # What is between a table's bars, or comes out of a file, is text and no markup.
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
