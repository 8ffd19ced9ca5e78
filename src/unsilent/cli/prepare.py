"""``unsilent prepare``: a corpus into shards."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report
from unsilent.cli.corpora import corpora_group

if TYPE_CHECKING:
    from unsilent.corpora import Clip, Corpus
    from unsilent.corpora.registry import CorpusInfo
    from unsilent.files import RemoteTree
    from unsilent.prepare import Dropped, Report, Row
    from unsilent.workers import Engine

__all__ = ["app", "speech"]

RootArgument = Annotated[Path, typer.Argument(help="Folder of the corpus, or its URL (s3://...).", show_default=False)]
OutArgument = Annotated[
    Path, typer.Argument(help="Folder of the shards, or its URL; made if missing.", show_default=False)
]
SplitOption = Annotated[
    list[str] | None,
    typer.Option("--split", metavar="NAME", help="Only this split, packaged or a file; may be given several times."),
]
SpeakersOption = Annotated[
    str | None, typer.Option("--speakers", metavar="NAMES", help="Only these, separated by commas.")
]
FpsOption = Annotated[
    int, typer.Option("--fps", min=1, max=120, help="Pictures a second, by timestamp; 20 for the recipe svts.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes; one a core by default, 0 works in this process.")
]
StrideOption = Annotated[
    int,
    typer.Option(
        "--stride",
        min=1,
        max=4,
        help="Look for a calm face in every so-manieth frame only. 2, as speak does, is 1.7 times as "
        "fast; the opening of the lips is interpolated.",
    ),
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="What runs the work: local, or ray (the cluster of RAY_ADDRESS).")
]


app = typer.Typer(
    cls=corpora_group(lambda info: _command(info)),
    help="Turn a corpus into Parquet shards to train from. A run that was stopped goes on where it was.",
)


def _command(info: CorpusInfo) -> Any:
    def prepare(
        root: RootArgument,
        out: OutArgument,
        split: SplitOption = None,
        speakers: SpeakersOption = None,
        fps: FpsOption = 25,
        stride: StrideOption = 1,
        workers: WorkersOption = None,
        engine: EngineOption = "local",
        json_to: JsonOption = None,
        quiet: QuietOption = False,
    ) -> None:
        from unsilent.prepare import open_tree, prepare_clip
        from unsilent.workers import open_engine

        running, tree = open_engine(engine, workers), open_tree(root)
        corpus = info.open(root if tree is None else tree.folder)
        _prepare(corpus, tree, out, split, speakers, partial(prepare_clip, fps=fps, stride=stride), running, json_to)

    single = typer.Typer(add_completion=False)
    single.command(name=info.name, help=_help(info), short_help=info.title)(prepare)
    return typer.main.get_command(single)


def _help(info: CorpusInfo) -> str:
    tested = (
        "" if info.tested_on_real else "\n\nThe reader is untested on real data: nobody has run it on this corpus yet."
    )
    return (
        f"Prepare {info.title}.\n\nEach clip's mouth crops, sound, text and, where known, word times. "
        f"Splits: {', '.join(info.splits)}.\n\nLicence: {info.licence}. To be had: {info.obtain}.{tested}"
    )


@app.command()
def speech(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... OUT",
            help="Folders of audio, lists (.tsv .csv .jsonl), .parquet, hf:NAME[@REVISION][:CONFIG[:SPLIT]], "
            "lhotse:MANIFEST; last the folder of the shards.",
            show_default=False,
        ),
    ],
    corpus: Annotated[
        str | None, typer.Option("--corpus", metavar="NAME", help="Name of the corpus; its own by default.")
    ] = None,
    only: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="Only the recordings named here, one a line.")
    ] = None,
    hold_out: Annotated[
        str, typer.Option("--hold-out", help="What 2 % are held out of: speaker, recording, auto or none.")
    ] = "auto",
    rules: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another rule, e.g. longest=8.")
    ] = None,
    workers: WorkersOption = None,
    engine: EngineOption = "local",
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Prepare speech without pictures: trimmed, cut, of one loudness, with its bandwidth measured."""
    from unsilent.cli.speech import prepare
    from unsilent.workers import open_engine

    prepare(sources, corpus, only, hold_out, rules or [], open_engine(engine, workers), json_to)


def _prepare(
    corpus: Corpus,
    tree: RemoteTree | None,
    out: Path,
    splits: list[str] | None,
    speakers: str | None,
    work: Callable[[Clip], Row | Dropped],
    engine: Engine,
    json_to: str | None,
) -> None:
    from unsilent.files import url_of
    from unsilent.prepare import prepare_corpus

    chosen = None if speakers is None else {name.strip() for name in speakers.split(",") if name.strip()}
    clips = _select(corpus, splits, chosen)
    with progress("Preparing", len(clips), "clips") as task:
        result = prepare_corpus(
            clips,
            out,
            engine=engine,
            trees=() if tree is None else (tree,),
            prepare=work,
            advance=task.advance,
        )
    _show(corpus, result, str(corpus.root) if tree is None else tree.url, url_of(out) or str(out), json_to)


def _select(corpus: Corpus, splits: list[str] | None, speakers: Collection[str] | None) -> list[Clip]:
    from unsilent.errors import CorpusError

    clips: dict[str, Clip] = {}
    for split in splits or (None,):
        for clip in corpus.clips(split, speakers=speakers):
            if clip.id in clips:
                both = f"{clips[clip.id].split} and {clip.split}"
                raise CorpusError(f"{corpus.root}: {clip.id} is in {both}; prepare them into separate folders")
            clips[clip.id] = clip
    return list(clips.values())


def _show(corpus: Corpus, result: Report, root: str, out: str, json_to: str | None) -> None:
    from rich.table import Table

    table = Table("clips", "number", "example", title=f"{root} -> {out}", title_justify="left")
    table.add_row("asked for", str(result.clips))
    table.add_row("written", str(result.written))
    table.add_row("done by an earlier run", str(result.skipped))
    for reason, number in result.reasons.items():
        table.add_row(f"dropped: {reason}", str(number), next(d.id for d in result.dropped if d.reason == reason))
    for reason, names in _grouped(corpus.dropped).items():
        table.add_row(f"left out: {reason}", str(len(names)), names[0])
    for note, number in corpus.notes.items():
        table.add_row(note, str(number))
    report(json_to).print(table)
    data: dict[str, Any] = {
        "root": root,
        "out": out,
        "clips": result.clips,
        "written": result.written,
        "skipped": result.skipped,
        "dropped": result.reasons,
        "dropped_clips": {item.id: item.detail for item in result.dropped},
        "left_out": corpus.dropped,
        "notes": corpus.notes,
        "shards": result.shards,
    }
    emit_json(data, json_to)


def _grouped(reasons: dict[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        groups.setdefault(reason, []).append(name)
    return groups
