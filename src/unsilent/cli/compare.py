"""``unsilent compare``: reports of ``unsilent evaluate`` side by side, with paired differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, report
from unsilent.cli.evaluate_options import HtmlOption, MarkdownOption, rich_table

if TYPE_CHECKING:
    from pathlib import Path

    from unsilent.evaluation.compare import Comparison

__all__ = ["compare"]


def compare(
    reports: Annotated[
        list[str],
        typer.Argument(
            metavar="A B...",
            help="JSON reports of unsilent evaluate; FILE:SYSTEM for another system than its model.",
            show_default=False,
        ),
    ],
    json_to: JsonOption = None,
    markdown: MarkdownOption = None,
    html: HtmlOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare systems with the first, clip by clip: means, and differences with their 95 % intervals."""
    from unsilent.evaluation.compare import compare as compare_reports
    from unsilent.evaluation.compare import comparison_table, read_measured

    found = compare_reports(read_measured(reports))
    emit_json(found.as_dict(), json_to)
    table, marks = comparison_table(found)
    _write(found, markdown, html)
    screen = report(json_to)
    screen.print(rich_table(table, marks))
    for line in found.lines():
        screen.print(line, markup=False)


def _write(found: Comparison, markdown: Path | None, html: Path | None) -> None:
    from unsilent.files import atomic_path

    if markdown is not None:
        from unsilent.evaluation.markdown import comparison_markdown

        with atomic_path(markdown) as path:
            path.write_text(comparison_markdown(found), encoding="utf-8")
    if html is not None:
        from unsilent.evaluation.html import write_comparison

        write_comparison(html, found)
