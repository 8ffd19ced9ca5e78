"""What all ways to evaluate share: options on the command line, tables on the screen."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from unsilent.cli.common import JsonOption, QuietOption, report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table as RichTable

    from unsilent.evaluation import Report
    from unsilent.evaluation.tables import Table

__all__ = ["HtmlOption", "MarkdownOption", "Options", "command_line", "names", "rich_table", "show", "with_options"]

HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page that opens without a network.")
]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write the tables.")]

_SILENT = frozenset(
    {"workers", "engine", "cache", "no_cache", "json_to", "markdown", "html", "html_clips", "quiet", "save_audio"}
)
"""Options that change no figure."""

_SHOWN = 12
"""Lines of what is missing that are printed; the files have all of them."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of every sub-command; the fields are what ``--help`` shows."""

    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="NAMES", help="Of `unsilent evaluate metrics`; all by default.")
    ] = None
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only so many clips, spread over the split.")] = (
        None
    )
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes; one a core by default, 0 works in this process.")
    ] = None
    engine: Annotated[
        str,
        typer.Option("--engine", help="What scores: local, or ray (the cluster of RAY_ADDRESS); models speak here."),
    ] = "local"
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Where tracked mouths and values are kept for the next run."),
    ] = None
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute all anew, and keep nothing.")] = False
    recogniser: Annotated[
        str | None,
        typer.Option(
            "--recogniser",
            metavar="NAME|DIR",
            help="faster-whisper model, `pocketsphinx`, or a panel of models (`a+b`); the pinned tiny.en by default.",
        ),
    ] = None
    save_audio: Annotated[
        Path | None, typer.Option("--save-audio", metavar="DIR", help="Keep what the systems made.")
    ] = None
    json_to: JsonOption = None
    markdown: MarkdownOption = None
    html: HtmlOption = None
    html_clips: Annotated[
        int, typer.Option("--html-clips", min=0, help="The page has sounds of so many clips, the worst ones.")
    ] = 50
    quiet: QuietOption = False

    def folder(self, name: str) -> Path | None:
        """Where ``name`` is kept for the next run; None with --no-cache."""
        from unsilent.files import cache_folder

        if self.no_cache:
            return None
        return self.cache / name if self.cache else cache_folder(name)


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of :class:`Options` as options, and call it with them put together as ``options``."""
    hints = get_type_hints(Options, include_extras=True)
    shared = {field.name: field for field in fields(Options)}
    own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.name != "options"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[name])
        for name, field in shared.items()
    ]

    def command(**given: Any) -> None:
        function(**{name: value for name, value in given.items() if name not in shared},
                 options=Options(**{name: given[name] for name in shared}))  # fmt: skip

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + added
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def names(text: str | None) -> list[str]:
    """The names in a list separated by commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def command_line(context: typer.Context) -> str:
    """What was typed, without what changes no figure."""
    words = ["unsilent", *context.command_path.split()[1:]]
    options = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or name in _SILENT:
            continue
        value = context.params[name]
        values = [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)]
        if parameter.param_type_name == "argument":
            words += values
        elif value is True:
            options.append(parameter.opts[0])
        else:
            options += [part for one in values for part in (parameter.opts[0], one)]
    return shlex.join([*words, *options])


def rich_table(content: Table, marks: Mapping[tuple[int, int], str] | None = None) -> RichTable:
    """A table for the terminal; cells that are marked ``better`` or ``worse`` are coloured."""
    from rich.table import Table as RichTable
    from rich.text import Text

    styles = {"better": "green", "worse": "red"}
    table = RichTable(title=Text(content.title) if content.title else None, title_justify="left")
    for at, cell in enumerate(content.heads):
        justify = "left" if at < content.words else "right"
        table.add_column(Text("\n".join((cell.text, *cell.below))), justify=justify)  # type: ignore[arg-type]
    for line, cells in enumerate(content.rows):
        texts = [
            Text("\n".join((cell.text, *cell.below)), style=styles.get((marks or {}).get((line, at), ""), ""))
            for at, cell in enumerate(cells)
        ]
        table.add_row(*texts)
    return table


def show(found: Report, json_to: str | None) -> None:
    """Print a report, on standard error if its JSON goes to standard output."""
    from unsilent.evaluation import tables

    screen = report(json_to)
    screen.print(rich_table(tables.results_table(found)))
    for line in tables.protocol_lines(found):
        screen.print(line, markup=False)
    missing = tables.missing_lines(found) + tables.left_out_lines(found.left_out)
    for line in missing[:_SHOWN]:
        screen.print(line, markup=False)
    if len(missing) > _SHOWN:
        screen.print(f"and {len(missing) - _SHOWN} more reasons: see --json, --markdown or --html")
    if (published := tables.published_table(found.corpus)) is not None:
        screen.print(rich_table(published))
        for line in tables.difference_lines(found):
            screen.print(line, markup=False)
