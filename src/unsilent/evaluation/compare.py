"""Two reports or more side by side: over the clips that they share, with the paired difference and its interval."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unsilent.errors import EvaluationError
from unsilent.evaluation.catalogue import CATALOGUE, MetricInfo
from unsilent.evaluation.report import FORMAT, Summary
from unsilent.evaluation.statistics import Interval, bootstrap_paired, bootstrap_ratio
from unsilent.evaluation.tables import Cell, Table, ends, figure, head, main_system

__all__ = ["Comparison", "Difference", "Measured", "compare", "comparison_table", "read_measured"]

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """One system of one report.

    Attributes:
        name: for the column of a table.
        file: the report.
        system: one of its systems.
        data: the report's JSON.
    """

    name: str
    file: Path
    system: str
    data: Mapping[str, Any]

    @property
    def clips(self) -> dict[str, Mapping[str, Any]]:
        """Row of every clip by its id."""
        return {row["id"]: row for row in self.data["clips"]}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(self.data["systems"][self.system])

    def pairs(self, metric: str) -> dict[str, tuple[float, float]]:
        """Clip -> errors and words of an error rate, value and 1 of any other metric; without what is missing."""
        found = {}
        for identity, row in self.clips.items():
            values = row["systems"][self.system]
            if values.get(metric) is not None:
                above, below = values.get("counts", {}).get(metric, (values[metric], 1.0))
                found[identity] = (float(above), float(below))
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A system minus the first one, or why there is none; ``better`` is None where the interval holds 0."""

    interval: Interval | None
    better: bool | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found.

    Attributes:
        measured: what is compared, the first with each of the others.
        clips: ids that all of them have.
        values: metric -> mean of each over the clips that all of them have and that have the metric.
        differences: metric -> difference of each but the first to the first.
        notes: what differs in how they were measured.
    """

    measured: Sequence[Measured]
    clips: Sequence[str]
    values: Mapping[str, Sequence[Summary]]
    differences: Mapping[str, Sequence[Difference]]
    notes: Sequence[str]

    def lines(self) -> list[str]:
        """What is compared, and what a reader of the table must know."""
        what = [f"{m.name}: {m.system} of {m.file}" for m in self.measured]
        return [
            *what,
            *self.notes,
            "Differences are clear where the interval does not hold 0; rows are not independent.",
        ]

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON types."""
        return {
            "reports": [
                {"name": m.name, "file": str(m.file), "system": m.system}
                | {key: m.data.get(key) for key in ("corpus", "split", "command", "recogniser", "model", "versions")}
                for m in self.measured
            ],
            "clips": list(self.clips),
            "metrics": {
                name: {
                    "values": [summary.as_dict() for summary in values],
                    "differences": [_difference_dict(difference) for difference in self.differences[name]],
                }
                for name, values in self.values.items()
            },
            "notes": list(self.notes),
        }


def _difference_dict(difference: Difference) -> dict[str, Any]:
    interval = difference.interval
    if interval is None:
        return {"mean": None, "low": None, "high": None, "n": 0, "better": None, "missing": difference.reason}
    data = {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
    return {**data, "better": difference.better}


def read_measured(arguments: Sequence[str]) -> list[Measured]:
    """Read what is to be compared: ``FILE`` (its model, or the first system that was scored) or ``FILE:SYSTEM``.

    Raises:
        EvaluationError: a file is no report of this version, it has no such system, or one is given twice.
    """
    found: list[Measured] = []
    for argument in arguments:
        file, system = _split(argument)
        data = _read(file)
        chosen = system or main_system(list(data["systems"]))
        if chosen not in data["systems"]:
            raise EvaluationError(f"{file}: has no system {chosen}; there is: {', '.join(data['systems'])}")
        if any(m.file == file and m.system == chosen for m in found):
            raise EvaluationError(f"{argument}: is given twice; name another report, or another system as FILE:SYSTEM")
        found.append(Measured(chosen, file, chosen, data))
    return _named(found)


def _split(argument: str) -> tuple[Path, str | None]:
    path, mark, system = argument.rpartition(":")
    # A colon may belong to the path: C:\report.json.
    return (
        (Path(path), system) if mark and not Path(argument).exists() and Path(path).exists() else (Path(argument), None)
    )


def _read(file: Path) -> Mapping[str, Any]:
    remedy = "write one with `unsilent evaluate ... --json FILE`"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvaluationError(f"{file}: cannot be read ({error.strerror or error}); {remedy}") from error
    except ValueError as error:
        raise EvaluationError(f"{file}: is no JSON ({error}); {remedy}") from error
    if not _is_report(data):
        raise EvaluationError(f"{file}: is no report; {remedy}")
    if data.get("format") != FORMAT:
        raise EvaluationError(
            f"{file}: is a report of format {data.get('format', 1)}, this version compares format {FORMAT}; run "
            "`unsilent evaluate` again"
        )
    return data  # type: ignore[no-any-return]


def _is_report(data: Any) -> bool:
    if not isinstance(data, dict) or not isinstance(data.get("systems"), dict) or not data["systems"]:
        return False
    rows = data.get("clips")
    return isinstance(rows, list) and all(
        isinstance(row, dict) and isinstance(row.get("id"), str) and set(row.get("systems", ())) == set(data["systems"])
        for row in rows
    )


def _named(found: Sequence[Measured]) -> list[Measured]:
    """Names that tell them apart: files where they differ, systems where those do, both where it takes both."""
    stems = [m.file.stem for m in found]
    systems = [m.system for m in found]
    both = [f"{stem}:{system}" for stem, system in zip(stems, systems, strict=True)]
    full = [f"{m.file}:{m.system}" for m in found]
    names = next(names for names in (stems, systems, both, full) if len(set(names)) == len(names))
    return [Measured(name, m.file, m.system, m.data) for name, m in zip(names, found, strict=True)]


def compare(measured: Sequence[Measured]) -> Comparison:
    """Compare every system with the first, clip by clip.

    Raises:
        EvaluationError: fewer than two are given, or no clip is in all of them.
    """
    if len(measured) < 2:
        raise EvaluationError("one report alone; name two, or two systems of one as FILE:SYSTEM")
    shared, notes = _shared(measured)
    first, others = measured[0], measured[1:]
    metrics = [name for name in CATALOGUE if any(name in m.metrics for m in measured)]
    pairs = {name: [_kept(m.pairs(name), shared) for m in measured] for name in metrics}
    differences = {
        name: [
            _difference(CATALOGUE[name], (first, pairs[name][0]), (other, found))
            for other, found in zip(others, pairs[name][1:], strict=True)
        ]
        for name in metrics
    }
    return Comparison(
        measured=measured,
        clips=shared,
        values={name: [_summary(found) for found in pairs[name]] for name in metrics},
        differences=differences,
        notes=[*notes, *(n for other in others for n in _unlike(first, other)), *_parts(differences, len(shared))],
    )


def _parts(differences: Mapping[str, Sequence[Difference]], clips: int) -> list[str]:
    """What is compared over fewer clips than there are."""
    found = [
        name for name, each in differences.items() if any(d.interval is not None and d.interval.n < clips for d in each)
    ]
    if not found:
        return []
    return [
        f"{', '.join(found)}: not all of the {clips} clips have it in all of them: a mean is over the clips that have "
        "it, a difference over those that have it in both (n of each is below it), so the two can be of different clips"
    ]


_Pairs = Mapping[str, tuple[float, float]]


def _kept(pairs: _Pairs, shared: Sequence[str]) -> _Pairs:
    return {identity: pairs[identity] for identity in shared if identity in pairs}


def _summary(pairs: _Pairs) -> Summary:
    if not pairs:
        return Summary(None, {"not measured": 1})
    above, below = zip(*pairs.values(), strict=True)
    return Summary(bootstrap_ratio(above, below))


def _difference(info: MetricInfo, first: tuple[Measured, _Pairs], other: tuple[Measured, _Pairs]) -> Difference:
    both = [identity for identity in first[1] if identity in other[1]]
    reason = _incomparable(info, first[0], other[0], both)
    if reason is not None:
        return Difference(None, reason=reason)
    interval = bootstrap_paired([other[1][i] for i in both], [first[1][i] for i in both])
    certain = interval.low > 0 or interval.high < 0
    better = None if info.higher_is_better is None or not certain else (interval.mean > 0) == info.higher_is_better
    return Difference(interval, better)


def _incomparable(info: MetricInfo, first: Measured, other: Measured, both: Sequence[str]) -> str | None:
    if not both:
        return "no clip has it in both"
    if not info.paired:
        return "is not compared clip by clip"
    if info.name.startswith(("wer", "cer")) and _recogniser(first) != _recogniser(other):
        return f"other recognisers: {_recogniser(first)} and {_recogniser(other)}"
    if info.needs_text and any(first.clips[i]["text"] != other.clips[i]["text"] for i in both):
        return "other texts of the same clips"
    return None


def _recogniser(measured: Measured) -> str:
    known = measured.data.get("recogniser") or {}
    return f"{known.get('name')} ({known.get('version')})"


def _shared(measured: Sequence[Measured]) -> tuple[list[str], list[str]]:
    """Ids of the clips whose real sound is the same in all reports, and what to say of the others."""
    rows = [m.clips for m in measured]
    common = [identity for identity in rows[0] if all(identity in found for found in rows[1:])]
    alike = [i for i in common if len({found[i].get("sound") for found in rows}) == 1]
    notes = [
        f"{m.name}: {len(found) - len(common)} of its {len(found)} clips are not in all reports and are left out"
        for m, found in zip(measured, rows, strict=True)
        if len(found) > len(common)
    ]
    if other := [identity for identity in common if identity not in alike]:
        notes.append(f"left out, of one name but another real sound: {', '.join(other[:_SHOWN])} ({len(other)} clips)")
    if not alike:
        some = " and ".join(
            f"{m.name} has {next(iter(found), 'none')}" for m, found in zip(measured, rows, strict=True)
        )
        why = "of one name have another real sound in each" if common else f"are in all of them ({some})"
        raise EvaluationError(
            f"{measured[0].file}: {'all clips' if common else 'no clips'} {why}; evaluate on the same split"
        )
    return alike, notes


def _unlike(first: Measured, other: Measured) -> list[str]:
    """What else differs in how two were measured."""
    notes = []
    both = f"{first.name} and {other.name}"
    if set(first.metrics) != set(other.metrics):
        only = sorted(set(first.metrics) ^ set(other.metrics))
        notes.append(f"{both}: measured by one alone: {', '.join(only)}")
    for key in ("corpus", "split"):
        if first.data.get(key) != other.data.get(key):
            notes.append(f"{both}: another {key}: {first.data.get(key)} and {other.data.get(key)}")
    mine, theirs = first.data.get("versions", {}), other.data.get("versions", {})
    changed = [f"{k} {mine.get(k)} and {theirs.get(k)}" for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)]
    return notes + [f"{both}: other versions: {', '.join(changed)}"] * bool(changed)


def comparison_table(found: Comparison) -> tuple[Table, dict[tuple[int, int], str]]:
    """A row a metric: means, then differences to the first; with ``better`` or ``worse`` by row and column."""
    first, others = found.measured[0], found.measured[1:]
    heads = ["metric", *(m.name for m in found.measured), *(f"{m.name} − {first.name}" for m in others)]  # noqa: RUF001
    rows, marks = [], {}
    for line, (name, values) in enumerate(found.values.items()):
        info, differences = CATALOGUE[name], found.differences[name]
        means = [_mean_cell(info, summary, len(found.clips)) for summary in values]
        shown = [_difference_cell(info, difference, len(found.clips)) for difference in differences]
        rows.append((Cell(head(name)), *means, *shown))
        for column, difference in enumerate(differences, 1 + len(values)):
            if difference.better is not None:
                marks[line, column] = "better" if difference.better else "worse"
    title = f"{len(found.clips)} clips in all of them; mean and difference clip by clip, each with its 95 % interval"
    return Table(title, tuple(map(Cell, heads)), tuple(rows)), marks


def _mean_cell(info: MetricInfo, summary: Summary, clips: int) -> Cell:
    interval = summary.interval
    if interval is None:
        return Cell("missing")
    return Cell(figure(info, interval.mean), tuple(filter(None, (ends(info, interval), _number(interval, clips)))))


def _difference_cell(info: MetricInfo, difference: Difference, clips: int) -> Cell:
    interval = difference.interval
    if interval is None:
        return Cell("missing", (difference.reason or "",))
    word = {True: "better", False: "worse", None: "not clear"}[difference.better]
    if info.higher_is_better is None:
        word = ""
    below = (ends(info, interval, signed=True), _number(interval, clips), word)
    return Cell(figure(info, interval.mean, signed=True), tuple(filter(None, below)))


def _number(interval: Interval, clips: int) -> str:
    """Of how many clips a figure is, where that is not all of them."""
    return f"n={interval.n}" if interval.n < clips else ""
