"""``unsilent talker``: make a corpus of drawn talking heads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report

__all__ = ["talker"]


def talker(
    out: Annotated[Path, typer.Argument(help="Folder of the corpus; made if missing.", show_default=False)],
    clips: Annotated[int, typer.Option("--clips", "-n", min=1, help="How many clips, about 3 s each.")] = 100,
    speakers: Annotated[int, typer.Option("--speakers", min=1, help="Talkers to train on.")] = 8,
    unseen: Annotated[
        int | None, typer.Option("--unseen", min=0, help="Further talkers, held out; a fourth as many by default.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed makes other talkers and clips.")] = 0,
    sentences: Annotated[
        str, typer.Option("--sentences", metavar="KIND", help="grid (bin blue at f two now) or open.")
    ] = "grid",
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Make clips of this split alone, talker-test say.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes; one a core by default, 0 works in this process.")
    ] = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make clips of drawn talking heads with synthesised speech, to try and test everything with.

    They are synthetic throughout. The same seed makes the same clips; a run that was stopped, or is asked for more
    clips, goes on where it was. Then: unsilent prepare talker OUT SHARDS.
    """
    from rich.table import Table

    from unsilent.corpora.talker.generate import Spec, generate_corpus

    spec = Spec(seed, sentences, speakers, speakers // 4 if unseen is None else unseen)
    with progress("Drawing", clips, "clips") as task:
        summary = generate_corpus(spec, out, clips, split=split, workers=workers, advance=task.advance)
    table = Table("synthetic clips", "number", title=str(out), title_justify="left")
    table.add_row("made", f"{summary.made} ({summary.seconds / 60:.1f} min)")
    table.add_row("kept from an earlier run", str(summary.kept))
    for split, number in sorted(summary.splits.items()):
        table.add_row(split, str(number))
    report(json_to).print(table)
    emit_json({"root": out, "synthetic": True, "spec": spec, "clips": clips, "result": summary}, json_to)
