"""``unsilent evaluate``: a model, or sounds of any other program, beside the real sound, its floor and its ceiling."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report
from unsilent.cli.corpora import corpora_group
from unsilent.cli.evaluate_models import COPIER, Models, lender_of, load_models, made_by, trained
from unsilent.cli.evaluate_options import MarkdownOption, Options, command_line, names, rich_table, show, with_options

if TYPE_CHECKING:
    from unsilent.corpora import Clip
    from unsilent.corpora.base import Corpus
    from unsilent.corpora.registry import CorpusInfo
    from unsilent.evaluation import EvalClip, Report, System
    from unsilent.evaluation.wer import Grammar

__all__ = ["app", "metrics", "wavs"]

_log = logging.getLogger("unsilent.evaluation")

_CLIPS_A_PROCESS = 8
"""Fewer clips than this are read faster than a process starts."""

ItemT = TypeVar("ItemT")

RootArgument = Annotated[Path, typer.Argument(help="Folder of the corpus.", show_default=False)]
ModelOption = Annotated[str, typer.Option("--model", metavar="NAME|DIR", help="Model to evaluate.")]
A2aOption = Annotated[
    str | None,
    typer.Option(
        "--a2a", metavar="NAME|DIR", help="Pre-trained speech model: its copy of the real sound is a ceiling."
    ),
]
SystemsOption = Annotated[
    str | None, typer.Option("--systems", metavar="NAMES", help="Separated by commas; all that can be had by default.")
]
SplitOption = Annotated[str | None, typer.Option("--split", metavar="NAME", help="A split, or a list of clips.")]
VoiceOption = Annotated[
    bool,
    typer.Option(
        "--voice/--no-voice", help="Tell a model that has a choice each clip's voice, by another clip of the speaker."
    ),
]
SpeakersOption = Annotated[
    str | None, typer.Option("--speakers", metavar="NAMES", help="Only these, separated by commas.")
]


app = typer.Typer(
    cls=corpora_group(lambda info: _command(info)),
    help="Measure a model on a corpus, or the sounds of any other program: intelligibility, quality and error rates, "
    "with intervals. A run that was stopped goes on where it was.",
)


MODELS = {"talker": "talker"}
"""Shipped model of a corpus, where it is not ``grid``."""


def _command(info: CorpusInfo) -> Any:
    usual = MODELS.get(info.name, "grid")

    def evaluate(
        context: typer.Context,
        root: RootArgument,
        options: Options,
        split: SplitOption = info.default_split,
        model: ModelOption = usual,
        a2a: A2aOption = COPIER,
        systems: SystemsOption = None,
        speakers: SpeakersOption = None,
        voice: VoiceOption = True,
    ) -> None:
        asked = _Asked(info.name, split, None, command_line(context), {}, {}, [])
        _corpus(info, root, asked, Models(model, a2a, voice), names(systems), names(speakers), options)

    single = typer.Typer(add_completion=False)
    single.command(name=info.name, help=_help(info), short_help=info.title)(with_options(evaluate))
    return typer.main.get_command(single)


def _help(info: CorpusInfo) -> str:
    tested = "" if info.tested_on_real else f"\n\n{_untested(info)}"
    return (
        f"Evaluate on {info.title}.\n\nSplits: {', '.join(info.splits) or 'none'}. Licence: {info.licence}. To be had: "
        f"{info.obtain}.{tested}"
    )


def _untested(info: CorpusInfo) -> str:
    return f"The reader of {info.name} is untested on real data: nobody has run it on this corpus yet."


def _corpus(
    info: CorpusInfo,
    root: Path,
    asked: _Asked,
    models: Models,
    wanted: list[str],
    speakers: list[str],
    options: Options,
) -> None:
    from unsilent.corpora.registry import open_corpus
    from unsilent.evaluation import model_systems, needs_crops
    from unsilent.evaluation.clips import load_clips
    from unsilent.evaluation.protocol import usual_systems

    corpus = open_corpus(info.name, root)
    every, kept_apart = _clips(
        corpus, asked.split, speakers or None, models.reads_lips if info.name == "folder" else None
    )
    picked = _spread(every, options.limit)
    chosen = wanted or usual_systems(a2a=models.says_again is not None)
    measured = _check_metrics(options)
    speaker, copier, card = load_models(models, chosen)
    lender = lender_of(speaker, chosen)
    with progress("Reading clips", len(picked), "clips") as task:
        clips, left_out = load_clips(
            picked,
            crops=needs_crops(chosen),
            lips="offset_lips_ms" in measured,
            cache=options.folder("crops"),
            workers=_readers(options, len(picked)),
            advance=task.advance,
        )
    systems = model_systems(
        speaker, clips, wanted or _possible(chosen, clips), told=models.told, a2a=copier, vocoder=lender
    )
    told = (*_notes(corpus, info), kept_apart, trained(card, info.name, picked, clips))
    notes = [note for note in told if note is not None] + made_by(speaker, models, lender)
    asked = replace(asked, grammar=corpus.grammar, model=card, left_out=left_out, notes=notes)
    _evaluate(systems, clips, asked, options)


def _notes(corpus: Corpus, info: CorpusInfo) -> list[str]:
    """What has to be said of this copy of a corpus, once its clips are known."""
    from unsilent.corpora.listed import ListedCorpus

    # What is missing of a split may be speakers.
    units = {note: "" if note.startswith("speakers ") else " clips" for note in corpus.notes}
    notes = [f"{note}: {number}{units[note]}" for note, number in corpus.notes.items()]
    if isinstance(corpus, ListedCorpus) and corpus.partial is not None:
        notes.append(corpus.partial)
    return notes if info.tested_on_real else [*notes, _untested(info)]


def _clips(
    corpus: Corpus, split: str | None, speakers: list[str] | None, model: str | None
) -> tuple[list[Clip], str | None]:
    """The clips of a split; of a model that was adapted to this folder, those that it never learnt from are its test.

    Returns:
        The clips, and what has to be said of them.
    """
    from unsilent.adaptation import JUDGED_ON
    from unsilent.models.pretrained import read_card
    from unsilent.synthesis import find_model

    kept = set(read_card(find_model(model)).get(JUDGED_ON, ())) if model else set()
    own = [clip for clip in corpus.clips(None, speakers=speakers) if clip.id in kept] if kept else []
    if not own:
        return list(corpus.clips(split, speakers=speakers)), None
    if split == "test":
        return own, f"the test clips are the {len(own)} that {model} was not adapted to"
    clips = list(corpus.clips(split, speakers=speakers))
    learnt = sum(clip.id not in kept for clip in clips)
    note = f"{model} may have learnt from {learnt} of these {len(clips)} clips: --split test takes those it did not"
    _log.warning("%s", note)
    return clips, note


@app.command()
@with_options
def wavs(
    context: typer.Context,
    real: Annotated[
        Path, typer.Argument(help="Folder of the real sounds, or of videos with sound.", show_default=False)
    ],
    generated: Annotated[
        list[Path], typer.Argument(help="Folders of generated sounds; each is a system.", show_default=False)
    ],
    options: Options,
    text: Annotated[
        Path | None,
        typer.Option(
            "--text",
            metavar="FILE|DIR",
            help="What is said: a folder of clip.txt, a list of `clip, tab, text`, or JSON; by default clip.txt "
            "beside the real file.",
        ),
    ] = None,
    grammar: Annotated[
        str | None, typer.Option("--grammar", metavar="CORPUS", help="Sentences are those of this corpus: grid.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME|DIR", help="Also show what its vocoder makes of the real sound."),
    ] = None,
    a2a: A2aOption = None,
) -> None:
    """Score sounds that another program made, in any format and at any rate; files are matched by their names."""
    from unsilent.evaluation import SYSTEMS, model_systems
    from unsilent.evaluation.clips import load_clips
    from unsilent.evaluation.pairs import pair_folders, read_texts, shuffled
    from unsilent.evaluation.protocol import usual_systems
    from unsilent.evaluation.tables import role

    measured = _check_metrics(options)
    words, spell = _grammar(grammar)
    pairs = pair_folders(real, generated, read_texts(text) if text else {}, spell)
    picked = _spread(pairs.clips, options.limit)
    speaker, copier, card = load_models(Models(model, a2a), ["vocoder"] * bool(model) + ["a2a"] * bool(a2a))
    with progress("Reading clips", len(picked), "clips") as task:
        clips, left_out = load_clips(
            picked,
            crops=False,
            lips="offset_lips_ms" in measured,
            cache=options.folder("crops"),
            workers=_readers(options, len(picked)),
            advance=task.advance,
            sounds=pairs.sounds,
        )
    usual = usual_systems(model=speaker is not None, a2a=copier is not None)
    possible = _possible([*(name for name in usual if name not in ("model", "shuffled")), "shuffled"], clips)
    found = dict(model_systems(speaker, clips, [name for name in possible if name != "shuffled"], a2a=copier))
    if "shuffled" in possible:
        found["shuffled"] = shuffled(next(iter(pairs.systems.values())), clips)
    bounds = {name: found[name] for name in SYSTEMS if name in found}
    ceilings = {name: system for name, system in bounds.items() if role(name) == "ceiling"}
    left_out = {**pairs.left_out, **left_out}
    asked = _Asked("wavs", None, words, command_line(context), card, left_out, pairs.notes)
    _evaluate({**ceilings, **pairs.systems, **bounds}, clips, asked, options)


@app.command()
def metrics(markdown: MarkdownOption = None, json_to: JsonOption = None, quiet: QuietOption = False) -> None:
    """List the metrics: their names, what they are compared with, and where they come from."""
    from unsilent.evaluation.catalogue import CATALOGUE
    from unsilent.evaluation.tables import metrics_table

    if markdown is not None:
        from unsilent.evaluation.markdown import table
        from unsilent.files import atomic_path

        with atomic_path(markdown) as path:
            path.write_text(table(metrics_table()) + "\n", encoding="utf-8")
    report(json_to).print(rich_table(metrics_table()))
    emit_json({name: info.label for name, info in CATALOGUE.items()}, json_to)


def _grammar(name: str | None) -> tuple[Grammar | None, Any]:
    """The grammar of a corpus, and what reads the sentence off a clip's name where the corpus has such names."""
    if name is None:
        return None, None
    from unsilent.corpora.grid import sentence
    from unsilent.corpora.registry import CORPORA
    from unsilent.errors import EvaluationError

    known = {info.name: info.grammar for info in CORPORA.values() if info.grammar is not None}
    if name not in known:
        raise EvaluationError(f"{name}: no corpus of this name has a grammar; choose from {', '.join(known)}")
    return known[name], (lambda stem: " ".join(sentence(stem) or ()) or None) if name == "grid" else None


@dataclass(frozen=True, slots=True)
class _Asked:
    corpus: str
    split: str | None
    grammar: Grammar | None
    command: str
    model: Mapping[str, Any]
    left_out: Mapping[str, str]
    notes: Sequence[str]


def _evaluate(systems: Mapping[str, System], clips: Sequence[EvalClip], asked: _Asked, options: Options) -> None:
    from unsilent.evaluation import evaluate
    from unsilent.workers import open_engine

    engine = None if options.engine == "local" else open_engine(options.engine, options.workers, heavy=True)
    with progress("Scoring", len(clips) * len(systems), "clips") as task:
        found = evaluate(
            systems,
            clips,
            _check_metrics(options),
            workers=options.workers,
            engine=engine,
            grammar=asked.grammar,
            recogniser=options.recogniser,
            corpus=asked.corpus,
            split=asked.split,
            model=asked.model,
            left_out=asked.left_out,
            notes=asked.notes,
            command=asked.command,
            results=options.folder("scores"),
            save_audio=options.save_audio,
            advance=task.advance,
        )
    # First: what took minutes to measure must not depend on how it is shown.
    emit_json(found.as_dict(), options.json_to)
    _write(found, systems, clips, options)
    show(found, options.json_to)


def _write(found: Report, systems: Mapping[str, System], clips: Sequence[EvalClip], options: Options) -> None:
    from unsilent.files import atomic_path

    if options.markdown is not None:
        from unsilent.evaluation.markdown import report_markdown

        with atomic_path(options.markdown) as path:
            path.write_text(report_markdown(found), encoding="utf-8")
    if options.html is not None:
        from unsilent.evaluation.gallery import make_gallery, worst_first
        from unsilent.evaluation.html import write_html

        ids = worst_first(found)[: options.html_clips]
        with progress("Drawing", len(ids), "clips") as task:
            media = make_gallery(systems, clips, ids, cache=options.folder("crops"), advance=task.advance)
        write_html(options.html, found, media)


def _check_metrics(options: Options) -> tuple[str, ...]:
    from unsilent.evaluation.scoring import ALL_METRICS, check_metrics

    return check_metrics(names(options.metrics) or ALL_METRICS)


def _readers(options: Options, clips: int) -> int:
    """Processes that read and track so many clips."""
    import os

    processes = (os.cpu_count() or 1) if options.workers is None else options.workers
    return min(processes, clips // _CLIPS_A_PROCESS)


def _spread(clips: Sequence[ItemT], limit: int | None) -> list[ItemT]:
    # Clips are in the order of their names, which spell their sentences: the first few would all be alike.
    if limit is None or limit >= len(clips):
        return list(clips)
    return [clips[index * len(clips) // limit] for index in range(limit)]


def _possible(chosen: list[str], clips: Sequence[EvalClip]) -> list[str]:
    """The systems without those that cannot be had with so few clips."""
    from unsilent.errors import EvaluationError
    from unsilent.evaluation import derangement

    impossible = {"mean"} if len(clips) < 2 else set()
    try:
        derangement([clip.text for clip in clips])
    except EvaluationError as error:
        _log.warning("the system `shuffled` is left out: %s", error)
        impossible.add("shuffled")
    return [name for name in chosen if name not in impossible]
