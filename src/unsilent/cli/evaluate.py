"""``unsilent evaluate``: a model beside the real sound, its floor, its ceiling and what is published."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report

if TYPE_CHECKING:
    from rich.table import Table

    from unsilent.corpora import Clip
    from unsilent.evaluation import EvalClip, Report, Speaker
    from unsilent.evaluation.wer import Grammar

__all__ = ["app", "folder", "grid", "talker"]

_log = logging.getLogger("unsilent.evaluation")

_CLIPS_A_PROCESS = 8
"""Fewer clips than this are read faster than a process starts."""

app = typer.Typer(help="Measure a model on a corpus: intelligibility, quality and word error rate, with intervals.")

RootArgument = Annotated[Path, typer.Argument(help="Folder of the corpus.", show_default=False)]
ModelOption = Annotated[str, typer.Option("--model", metavar="NAME|DIR", help="Model to evaluate.")]
SystemsOption = Annotated[
    str | None,
    typer.Option("--systems", metavar="NAMES", help="Of model, real, vocoder, shuffled; all by default."),
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Only so many clips, spread over the split.")]
MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="NAMES",
        help="Of stoi, estoi, pesq_nb, pesq_wb, mel_l1, dnsmos, speaker, stoi_aligned, estoi_aligned, offset_ms, "
        "wer_constrained, wer_free; all by default.",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes; one a core by default, 0 works in this process.")
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", metavar="DIR", help="Where tracked mouths are kept for the next run.")
]
RecogniserOption = Annotated[
    str | None,
    typer.Option("--recogniser", metavar="NAME|DIR", help="faster-whisper model; the pinned tiny.en by default."),
]
SaveOption = Annotated[Path | None, typer.Option("--save-audio", metavar="DIR", help="Keep what the systems made.")]


@app.command()
def grid(
    root: RootArgument,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="Packaged split, or a list of clips.")
    ] = "s1-test",
    model: ModelOption = "grid",
    systems: SystemsOption = None,
    metrics: MetricsOption = None,
    limit: LimitOption = None,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    recogniser: RecogniserOption = None,
    save_audio: SaveOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Evaluate on GRID. wer_constrained hears sentences of GRID's grammar only; chance is 81 %."""
    from unsilent.corpora import GridCorpus
    from unsilent.corpora.grid import GRAMMAR

    clips = GridCorpus(root).clips(split)
    words = tuple(tuple(slot.values()) for slot in GRAMMAR)
    options = _Options(
        "grid", split, model, _names(systems), _names(metrics), limit, workers, cache, recogniser, save_audio
    )
    _show(_evaluate(clips, options, words), json_to)


@app.command()
def folder(
    root: RootArgument,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="train, val or test; all by default.")
    ] = None,
    model: ModelOption = "grid",
    systems: SystemsOption = None,
    metrics: MetricsOption = None,
    limit: LimitOption = None,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    recogniser: RecogniserOption = None,
    save_audio: SaveOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Evaluate on any folder of clips with sound; clip.txt beside clip.mp4 is its text."""
    from unsilent.corpora import FolderCorpus

    clips = FolderCorpus(root).clips(split)
    options = _Options(
        "folder", split, model, _names(systems), _names(metrics), limit, workers, cache, recogniser, save_audio
    )
    _show(_evaluate(clips, options, None), json_to)


@app.command()
def talker(
    root: RootArgument,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="talker-test, or talker-unseen for unseen talkers.")
    ] = "talker-test",
    model: ModelOption = "grid",
    systems: SystemsOption = None,
    metrics: MetricsOption = None,
    limit: LimitOption = None,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    recogniser: RecogniserOption = None,
    save_audio: SaveOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Evaluate on synthetic clips that `unsilent talker` made; the figures say nothing about real people."""
    from unsilent.corpora.grid import GRAMMAR
    from unsilent.corpora.talker import TalkerCorpus

    corpus = TalkerCorpus(root)
    words = tuple(tuple(slot.values()) for slot in GRAMMAR) if corpus.sentences == "grid" else None
    options = _Options(
        "talker", split, model, _names(systems), _names(metrics), limit, workers, cache, recogniser, save_audio
    )
    _show(_evaluate(corpus.clips(split), options, words), json_to)


@dataclass(frozen=True, slots=True)
class _Options:
    corpus: str
    split: str | None
    model: str
    systems: list[str]
    metrics: list[str]
    limit: int | None
    workers: int | None
    cache: Path | None
    recogniser: str | None
    save_audio: Path | None


def _evaluate(corpus_clips: Sequence[Clip], options: _Options, grammar: Grammar | None) -> Report:
    import os

    from unsilent.evaluation import ALL_METRICS, SYSTEMS, evaluate, model_systems, needs_crops
    from unsilent.evaluation.clips import load_clips
    from unsilent.evaluation.scoring import check_metrics
    from unsilent.files import cache_folder

    names = options.systems or list(SYSTEMS)
    metrics = check_metrics(options.metrics or ALL_METRICS)
    speaker, card = _load_model(options.model, names)
    picked = _spread(corpus_clips, options.limit)
    processes = (os.cpu_count() or 1) if options.workers is None else options.workers
    with progress("Reading clips", len(picked), "clips") as task:
        clips, left_out = load_clips(
            picked,
            crops=needs_crops(names),
            cache=options.cache or cache_folder("crops"),
            workers=min(processes, len(picked) // _CLIPS_A_PROCESS),
            advance=task.advance,
        )
    names = _possible(names, clips, explicit=bool(options.systems))
    with progress("Scoring", len(clips) * len(names), "clips") as task:
        return evaluate(
            model_systems(speaker, clips, names),
            clips,
            metrics,
            workers=options.workers,
            grammar=grammar,
            recogniser=options.recogniser,
            corpus=options.corpus,
            split=options.split,
            model=card,
            left_out=left_out,
            save_audio=options.save_audio,
            advance=task.advance,
        )


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _spread(clips: Sequence[Clip], limit: int | None) -> list[Clip]:
    # Clips are in the order of their names, which spell their sentences: the first few would all be alike.
    if limit is None or limit >= len(clips):
        return list(clips)
    return [clips[index * len(clips) // limit] for index in range(limit)]


def _load_model(model: str, names: Sequence[str]) -> tuple[Speaker | None, dict[str, Any]]:
    if set(names) <= {"real"}:
        return None, {}
    import unsilent

    speaker: Speaker = unsilent.load(model)
    card = getattr(speaker, "card", None)
    return speaker, {"name": model} | ({"card": card} if card is not None else {})


def _possible(names: list[str], clips: Sequence[EvalClip], *, explicit: bool) -> list[str]:
    from unsilent.errors import EvaluationError
    from unsilent.evaluation import derangement

    if explicit or "shuffled" not in names:
        return names
    try:
        derangement([clip.text for clip in clips])
    except EvaluationError as error:
        _log.warning("the system `shuffled` is left out: %s", error)
        return [name for name in names if name != "shuffled"]
    return names


# --- what is printed -----------------------------------------------------------------------------------------------

_HEADS = {
    "stoi": "STOI",
    "estoi": "ESTOI",
    "pesq_nb": "PESQ nb 16 kHz",
    "pesq_wb": "PESQ wb 16 kHz",
    "mel_l1": "mel L1 (lower is better)",
    "dnsmos": "DNSMOS",
    "speaker": "speaker, cosine",
    "stoi_aligned": "STOI, offset taken out",
    "estoi_aligned": "ESTOI, offset taken out",
    "offset_ms": "offset, ms",
    "wer_constrained": "WER %, grammar",
    "wer_free": "WER %, free",
}
_PERCENT = ("wer_constrained", "wer_free")
_DIGITS = {"pesq": 2, "dnsmos": 2, "offset": 0}
"""Digits after the point; 3 for the others."""


def _show(found: Report, json_to: str | None) -> None:
    from unsilent.evaluation.published import PROTOCOL_NOTE

    # First: what took minutes to measure must not depend on how it is shown.
    emit_json(found.as_dict(), json_to)
    screen = report(json_to)
    screen.print(_results(found))
    for line in _notes(found):
        screen.print(line, markup=False)
    if found.corpus == "talker":
        screen.print("These clips are synthetic: a drawn face, a synthesised voice.")
    if found.corpus == "grid":
        screen.print(_published())
        screen.print(PROTOCOL_NOTE, markup=False)


def _results(found: Report) -> Table:
    from rich.table import Table

    metrics = list(next(iter(found.systems.values())))
    clips = len(found.texts)
    where = " ".join(part for part in (found.corpus, found.split) if part)
    table = Table(title=f"{where}: {clips} clips, mean and 95 % interval over clips", title_justify="left")
    table.add_column("")
    for system in found.systems:
        table.add_column(system, justify="right")
    for metric in metrics:
        cells = (_cell(metric, summaries[metric].as_dict(), clips) for summaries in found.systems.values())
        table.add_row(_HEADS[metric], *cells)
    return table


def _cell(metric: str, values: dict[str, Any], clips: int) -> str:
    if values["mean"] is None:
        return "missing"
    scale, digits = (100, 1) if metric in _PERCENT else (1, _DIGITS.get(metric.split("_")[0], 3))
    ends = "..".join(f"{scale * values[key]:.{min(digits, 2)}f}" for key in ("low", "high"))
    return f"{scale * values['mean']:.{digits}f}\n{ends}" + (f"\nn={values['n']}" if values["n"] < clips else "")


def _notes(found: Report) -> list[str]:
    lines = []
    known = found.recogniser
    if known.get("name"):
        lines.append(f"Recogniser: {known['name']} ({known['version']}).")
    if "chance_wer" in known:
        guesses = [f"a random legal sentence {100 * known['chance_wer']:.0f} %"]
        if known["majority_word_wer"] is not None:
            guesses.append(f"the most frequent words {100 * known['majority_word_wer']:.0f} %")
        lines.append(f"WER within the grammar by guessing: {', '.join(guesses)}.")
    for system, summaries in found.systems.items():
        for metric, summary in summaries.items():
            for reason, number in summary.missing.items():
                lines.append(f"{system}, {metric}: missing for {number} of {len(found.texts)} clips: {reason}")
    lines += [f"{identity}: left out: {reason}" for identity, reason in found.left_out.items()]
    return lines


def _published() -> Table:
    from rich.table import Table

    from unsilent.evaluation.published import PUBLISHED

    table = Table(title="Published on GRID (not measured here)", title_justify="left")
    for head in ("model", "test set", "STOI", "ESTOI", "PESQ", "WER %", "mark"):
        table.add_column(head, justify="left" if head in ("model", "test set", "mark") else "right")
    for row in PUBLISHED:
        if not row.benchmark.startswith("grid"):
            continue
        wer = None if row.wer is None else 100 * row.wer
        figures = [("-" if value is None else f"{value:.3g}") for value in (row.stoi, row.estoi, row.pesq, wer)]
        table.add_row(row.model, row.benchmark, *figures, row.mark)
    return table
