"""All metrics of one system on one clip: a pure function of a job, so that processes can share the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from unsilent.errors import EvaluationError
from unsilent.evaluation.metrics import METRICS, SAMPLE_RATE, Measurement, Samples, measure
from unsilent.evaluation.wer import Grammar, WordErrors, count_errors

__all__ = ["ALL_METRICS", "WER_METRICS", "Job", "Recogniser", "Scores", "check_metrics", "score"]

WER_METRICS: Final = ("wer_constrained", "wer_free")
ALL_METRICS: Final = (*METRICS, *WER_METRICS)
"""Every metric, in the order of a report."""


class Recogniser(Protocol):
    """What turns sound into words."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def version(self) -> str:
        """Versions of model and software that a figure depends on."""
        ...

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        """Words heard in (n,) samples, free of any grammar."""
        ...

    def transcribe_grammar(self, samples: Samples, grammar: Grammar, sample_rate: int = SAMPLE_RATE) -> str:
        """The sentence of the grammar that fits (n,) samples best."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One system on one clip.

    Attributes:
        id: of the clip.
        system: name of the system.
        text: what is said, or None.
        real: (n,) real sound at 24 kHz.
        made: (m,) sound of the system at 24 kHz, or None if it failed.
        failure: why there is no sound.
        metrics: names, of :data:`ALL_METRICS`.
        grammar: words of each slot for the constrained word error rate, or None.
        recogniser: model of the recogniser, see :func:`unsilent.evaluation.recogniser.load_recogniser`.
    """

    id: str
    system: str
    text: str | None
    real: Samples
    made: Samples | None
    failure: str | None
    metrics: Sequence[str]
    grammar: Grammar | None = None
    recogniser: str | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Result of a :class:`Job`: a value or a reason for every metric, and what was heard."""

    id: str
    system: str
    values: Mapping[str, Measurement]
    words: Mapping[str, WordErrors] = field(default_factory=dict)
    heard: Mapping[str, str] = field(default_factory=dict)


def check_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names in the order of a report.

    Raises:
        EvaluationError: one is no metric, or none is given.
    """
    unknown = [name for name in names if name not in ALL_METRICS]
    if unknown or not names:
        raise EvaluationError(f"{', '.join(unknown) or 'no metric'}: choose from {', '.join(ALL_METRICS)}")
    return tuple(name for name in ALL_METRICS if name in names)


@lru_cache(maxsize=1)
def _recogniser(model: str | None) -> Recogniser:
    from unsilent.evaluation.recogniser import load_recogniser

    return load_recogniser(model)


def score(job: Job) -> Scores:
    """Compute the metrics of a job; a metric that cannot be had is missing with its reason."""
    values: dict[str, Measurement] = {}
    words: dict[str, WordErrors] = {}
    heard: dict[str, str] = {}
    for name in job.metrics:
        if job.made is None:
            values[name] = Measurement(None, job.failure or "the system made no sound")
        elif name not in WER_METRICS:
            values[name] = measure(name, job.real, job.made)
        else:
            try:
                heard[name] = _listen(name, job, job.made)
                words[name] = _errors(job, heard[name])
                values[name] = Measurement(words[name].rate)
            except EvaluationError as error:
                values[name] = Measurement(None, str(error))
    return Scores(job.id, job.system, values, words, heard)


def _listen(name: str, job: Job, made: Samples) -> str:
    if name == "wer_free":
        return _recogniser(job.recogniser).transcribe(made, SAMPLE_RATE)
    if job.grammar is None:
        raise EvaluationError("the corpus has no grammar to constrain the recogniser to")
    return _recogniser(job.recogniser).transcribe_grammar(made, job.grammar, SAMPLE_RATE)


def _errors(job: Job, heard: str) -> WordErrors:
    if not job.text:
        raise EvaluationError("the clip has no text to compare with")
    return count_errors(job.text, heard, letters=has_letters(job.grammar))


def has_letters(grammar: Grammar | None) -> bool:
    """Whether sentences of the grammar hold letters of the alphabet, so that names of letters are letters."""
    return grammar is not None and any(len(word) == 1 for slot in grammar for word in slot)
