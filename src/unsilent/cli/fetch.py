"""``unsilent fetch``: download a public corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report

__all__ = ["app", "grid"]

app = typer.Typer(help="Download a public corpus: resumed where it broke off, verified, unpacked.")


@app.callback()
def _corpora() -> None:
    """Keep ``grid`` a verb of its own although it is the only one."""


@app.command()
def grid(
    speakers: Annotated[
        str, typer.Option("--speakers", metavar="NAMES", help="s1,s2 ... separated by commas, or all (16 GB).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="ROOT", help="Folder of the corpus.")] = Path(
        "grid"
    ),
    source: Annotated[
        str, typer.Option("--source", help="zenodo (checksums published) or sheffield (smaller, no checksums).")
    ] = "zenodo",
    alignments: Annotated[bool, typer.Option(help="Also fetch the word times of all speakers.")] = True,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the archives after they were unpacked.")] = False,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Fetch speakers of GRID (Cooke et al. 2006, CC BY 4.0); about 0.5 GB a speaker."""
    from rich.table import Table

    from unsilent.corpora.fetch import GRID_SPEAKERS, fetch, grid_archives

    names = [name.strip() for name in speakers.split(",") if name.strip()]
    archives = grid_archives(GRID_SPEAKERS if names == ["all"] else names, source=source, alignments=alignments)
    fetched = []
    for archive in archives:
        with progress(archive.name, unit="MB") as task:
            fetched.append(fetch(archive, output, progress=task, keep=keep))
    table = Table("archive", "MB", "files", "checksum", title=str(output), title_justify="left")
    for item in fetched:
        table.add_row(item.name, f"{item.bytes / 1e6:.1f}", str(item.files), item.verified)
    report(json_to).print(table)
    emit_json({"root": output, "archives": fetched}, json_to)
