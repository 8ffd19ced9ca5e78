"""A report as tables and lines of text, for the terminal, Markdown and HTML alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from unsilent.evaluation.catalogue import CATALOGUE, MetricInfo
from unsilent.evaluation.protocol import SYSTEMS
from unsilent.evaluation.published import BENCHMARKS, PROTOCOL_NOTE, published_for
from unsilent.evaluation.report import Report, Summary, some
from unsilent.evaluation.statistics import Interval

__all__ = [
    "Cell",
    "Table",
    "arrow",
    "difference_lines",
    "ends",
    "figure",
    "head",
    "left_out_lines",
    "main_system",
    "metrics_table",
    "missing_lines",
    "place",
    "protocol_lines",
    "published_table",
    "results_table",
    "role",
    "synthetic_lines",
    "system_lines",
    "table_of",
]

_CEILINGS: Final = ("real", "vocoder", "a2a")
_FLOORS: Final = ("shuffled", "mean", "silence")
_FIGURES: Final = re.compile(r" \([^()]*\d[^()]*\)")
"""What a reason says in brackets of a single clip."""
_TITLES: Final = {"talker": "These clips are synthetic: a drawn face, a synthesised voice."}


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure or a word, with what stands below it: an interval, a number of clips."""

    text: str
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are heads; the first ``words`` columns hold words, the others figures."""

    title: str
    heads: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1


def table_of(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> Table:
    """A table of plain texts."""
    return Table(title, tuple(map(Cell, heads)), tuple(tuple(map(Cell, row)) for row in rows), words)


def arrow(info: MetricInfo) -> str:
    """Which way is better: ↑, ↓ or nothing."""
    return {True: "↑", False: "↓", None: ""}[info.higher_is_better]


def head(name: str) -> str:
    """Label, unit and direction of a metric."""
    return f"{CATALOGUE[name].head} {arrow(CATALOGUE[name])}".strip()


def figure(info: MetricInfo, value: float, *, signed: bool = False) -> str:
    """A value in the unit and with the digits of its metric."""
    return f"{info.scale * value:{'+' if signed else ''}.{info.digits}f}"


def ends(info: MetricInfo, interval: Interval, *, signed: bool = False) -> str:
    """The 95 % interval in the unit and with the digits of its metric."""
    return f"[{figure(info, interval.low, signed=signed)}, {figure(info, interval.high, signed=signed)}]"


def place(report: Report) -> str:
    """Corpus and split."""
    return " ".join(part for part in (report.corpus, report.split) if part) or "clips"


def main_system(systems: Sequence[str]) -> str:
    """The system a report is about: the first that is neither a ceiling nor a floor."""
    return next((name for name in systems if name not in (*_CEILINGS, *_FLOORS)), systems[0])


def role(system: str) -> str:
    """``ceiling``, ``floor`` or nothing."""
    return "ceiling" if system in _CEILINGS else "floor" if system in _FLOORS else ""


def results_table(report: Report) -> Table:
    """A row a metric, a column a system: mean and 95 % interval, and the number of clips where some lack it."""
    clips = len(report.texts)
    heads = (Cell("metric"), *(Cell(name, (role(name),) if role(name) else ()) for name in report.systems))
    rows = tuple(
        (Cell(head(metric)), *(_cell(CATALOGUE[metric], found[metric], clips) for found in report.systems.values()))
        for metric in report.metrics
    )
    return Table(f"{place(report)}: {clips} clips, mean and 95 % interval over clips", heads, rows)


def _cell(info: MetricInfo, summary: Summary, clips: int) -> Cell:
    interval = summary.interval
    if interval is None:
        return Cell("missing")
    number = (f"n={interval.n}",) if interval.n < clips else ()
    return Cell(figure(info, interval.mean), (ends(info, interval), *number))


def system_lines(report: Report) -> list[str]:
    """What the systems are that every model is set beside."""
    return [f"{name}: {SYSTEMS[name]}" for name in report.systems if name in SYSTEMS]


def protocol_lines(report: Report) -> list[str]:
    """Recogniser, what guessing would score, and what else a reader must know."""
    lines = synthetic_lines(report)
    known = report.recogniser
    if known.get("name"):
        lines.append(f"Recogniser: {known['name']} ({known['version']}).")
    elif known.get("missing"):
        lines.append(f"No recogniser: {known['missing']}")
    if "chance_wer" in known:
        guesses = [f"a random legal sentence {_percent(known['chance_wer'])} %"]
        if known.get("majority_word_wer") is not None:
            guesses.append(f"the most frequent words {_percent(known['majority_word_wer'])} %")
        lines.append(f"WER within the grammar by guessing: {', '.join(guesses)}.")
        if "majority_word_wer_missing" in known:
            lines.append(f"WER of the most frequent words: missing: {known['majority_word_wer_missing']}.")
    return [*lines, *report.notes]


def synthetic_lines(report: Report) -> list[str]:
    """That clips are synthetic, where they are."""
    if report.corpus in _TITLES:
        return [_TITLES[report.corpus]]
    made, clips = report.synthetic, len(report.texts)
    which = "These clips" if made == clips else f"{made} of {clips} clips"
    figures = "These figures say nothing about real people."
    return [f"{which} are synthetic, as their files say. {figures}"] if made else []


def _percent(rate: float) -> str:
    whole = f"{100 * rate:.0f}"
    # Of 500 words one is right at random: that is not "100 %".
    return f"{100 * rate:.1f}" if whole == "100" and rate < 1 else whole


def missing_lines(report: Report) -> list[str]:
    """Which metrics of which systems are missing, for how many clips, and why; the figures of single clips apart."""
    found: dict[tuple[str, str, int], list[str]] = {}
    for system, summaries in report.systems.items():
        for metric, summary in summaries.items():
            reasons: Counter[str] = Counter()
            for reason, number in summary.missing.items():
                reasons[_FIGURES.sub("", reason)] += number
            for reason, number in reasons.items():
                found.setdefault((reason, metric, number), []).append(system)
    merged: dict[tuple[str, int, tuple[str, ...]], list[str]] = {}
    for (reason, metric, number), systems in found.items():
        merged.setdefault((reason, number, tuple(systems)), []).append(metric)
    return [
        f"{', '.join(metrics)} of {', '.join(systems)}: missing for {number} of {len(report.texts)} clips: {reason}"
        for (reason, number, systems), metrics in merged.items()
    ]


def left_out_lines(left_out: Mapping[str, str]) -> list[str]:
    """Which clips were not evaluated, by reason: the first few are named, all are in the JSON."""
    groups: dict[str, list[str]] = {}
    for identity, reason in left_out.items():
        groups.setdefault(reason, []).append(identity)
    lines = []
    for reason, names in groups.items():
        lines.append(f"{some(names)}: left out: {reason}")
    return lines


def published_table(corpus: str) -> Table | None:
    """What is published on a corpus, with the test set of every row; None where nothing is known."""
    rows = published_for(corpus)
    if not rows:
        return None
    heads = ("model", "test set", "STOI", "ESTOI", "PESQ, variant unknown", "WER %", "mark")
    cells = []
    for row in rows:
        wer = None if row.wer is None else 100 * row.wer
        figures = ["-" if value is None else f"{value:.3g}" for value in (row.stoi, row.estoi, row.pesq, wer)]
        cells.append([row.model, BENCHMARKS[row.benchmark], *figures, row.mark])
    name = corpus.replace("_", "-").upper()
    return table_of(f"Published on {name} (not measured here)", heads, cells, 2)


def metrics_table(report: Report | None = None) -> Table:
    """What metrics are, a row each: those of a report with the versions that computed them, or all there are."""
    heads = ["metric", "name", "compared with", "what it is, and its source"] + ["computed by"] * (report is not None)
    rows = []
    for name in CATALOGUE if report is None else report.metrics:
        info = CATALOGUE[name]
        against = ["the real sound"] * info.needs_reference + ["the text"] * info.needs_text
        row = [head(name), name, " and ".join(against) or "nothing", info.source]
        if report is not None:
            row.append(", ".join(_version(*item) for item in report.versions_of(name).items()))
        rows.append(row)
    return table_of("", heads, rows, len(heads))


def _version(name: str, version: str | None) -> str:
    # A recogniser's is a list.
    text = version or "not installed"
    return f"{name} ({text})" if "," in text else f"{name} {text}"


def difference_lines(report: Report) -> list[str]:
    """How published figures and a report were measured differently."""
    known = report.recogniser.get("name")
    here = f"heard by {known}, beside its chance level where there is a grammar" if known else "none"
    return [
        PROTOCOL_NOTE,
        f"Test set: theirs is in the table; here it is {place(report)}, {len(report.texts)} clips.",
        "PESQ: theirs is narrow-band at 8 kHz, narrow-band at 16 kHz or wide-band, mostly without saying which; here "
        "every row names its own.",
        "WER: theirs is heard by each paper's own recogniser, often one trained on the corpus, against the text or "
        f"against the transcript of the real sound; here: {here}.",
    ]
