"""All metrics of one system on one clip: a pure function of a job, so that processes can share the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.metrics import SAMPLE_RATE, Measurement, Samples, measure
from unsilent.evaluation.wer import Grammar, WordErrors, count_character_errors, count_errors, is_sentence

__all__ = [
    "ALL_METRICS",
    "WER_METRICS",
    "Job",
    "Recogniser",
    "Scores",
    "check_metrics",
    "has_letters",
    "listen_real",
    "score",
]

WER_METRICS: Final = ("wer_constrained", "wer_free", "cer_free", "wer_vs_real", "cer_vs_real")
"""Error rates of what a recogniser hears: their means are ratios of sums."""

ALL_METRICS: Final = tuple(CATALOGUE)
"""Every metric, in the order of a report."""

_REAL: Final = "real"


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

    @property
    def free_method(self) -> str:
        """How :meth:`transcribe` decodes, in a sentence for the report."""
        ...

    @property
    def constrained_method(self) -> str:
        """How :meth:`transcribe_grammar` decodes, in a sentence for the report."""
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
        recogniser: name of the recogniser, see :func:`unsilent.evaluation.recogniser.load_recogniser`.
        aperture: (T,) opening of the lips at 25 frames/s, or None where no landmarks were found.
        heard_real: what :func:`listen_real` gave for this clip; None has it heard again.
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
    aperture: NDArray[np.float32] | None = None
    heard_real: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Result of a :class:`Job`.

    Attributes:
        id: of the clip.
        system: name of the system.
        values: metric -> a value, or the reason why there is none.
        words: metric of :data:`WER_METRICS` -> errors and words (characters for a character error rate).
        heard: metric of :data:`WER_METRICS` -> what was heard in the sound of the system.
    """

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
        raise EvaluationError(
            (f"{', '.join(unknown)}: no such metric" if unknown else "no metric was named")
            + f"; choose from {', '.join(ALL_METRICS)}"
        )
    return tuple(name for name in ALL_METRICS if name in names)


@lru_cache(maxsize=1)
def _recogniser(model: str | None) -> Recogniser:
    from unsilent.evaluation.recogniser import load_recogniser

    return load_recogniser(model)


def listen_real(job: Job) -> dict[str, str]:
    """What the recogniser hears in the real sound, for ``heard_real`` of the clip's other jobs.

    Raises:
        EvaluationError: the recogniser cannot be had.
    """
    return {_REAL: _recogniser(job.recogniser).transcribe(job.real, SAMPLE_RATE)}


def score(job: Job) -> Scores:
    """Compute the metrics of a job; a metric that cannot be had is missing with its reason."""
    values: dict[str, Measurement] = {}
    words: dict[str, WordErrors] = {}
    listener = _Listener(job)
    for name in job.metrics:
        try:
            if job.made is None:
                values[name] = Measurement(None, job.failure or "the system made no sound")
            elif name == "offset_lips_ms":
                values[name] = Measurement(_offset_to_lips(job, job.made))
            elif name in WER_METRICS:
                words[name] = listener.errors(name, job.made)
                values[name] = Measurement(words[name].rate)
            else:
                values[name] = measure(name, job.real, job.made)
        except EvaluationError as error:
            values[name] = Measurement(None, str(error))
    return Scores(job.id, job.system, values, words, listener.heard)


def _offset_to_lips(job: Job, made: Samples) -> float:
    from unsilent.evaluation.lips import lip_offset

    if job.aperture is None or not len(job.aperture):
        raise EvaluationError("there are no landmarks of the lips for this clip; crops alone do not show their opening")
    return abs(1000 * lip_offset(job.aperture, made))


class _Listener:
    """Counts the errors of one job; what several metrics need is heard once."""

    def __init__(self, job: Job) -> None:
        self.heard: dict[str, str] = {}
        self._job = job
        self._free: str | None = None
        self._real: str | None = None if job.heard_real is None else job.heard_real.get(_REAL)

    def errors(self, name: str, made: Samples) -> WordErrors:
        expected, heard = self._expected(name, made), self._transcript(name, made)
        self.heard[name] = heard
        count: Callable[..., WordErrors] = count_character_errors if name.startswith("cer") else count_errors
        return count(expected, heard, letters=has_letters(self._job.grammar))

    def _expected(self, name: str, made: Samples) -> str:
        if not name.endswith("_vs_real"):
            if not self._job.text:
                raise EvaluationError("the clip has no text to compare with")
            grammar = self._job.grammar
            if name == "wer_constrained" and grammar is not None and not is_sentence(self._job.text, grammar):
                raise EvaluationError("the clip's text is no sentence of the grammar")
            return self._job.text
        if self._real is None:
            same = self._free is not None and self._is_real(made)
            self._real = self._free if same else listen_real(self._job)[_REAL]
        assert self._real is not None
        if not self._real.strip():
            raise EvaluationError("the recogniser hears nothing in the real sound")
        return self._real

    def _transcript(self, name: str, made: Samples) -> str:
        recogniser = _recogniser(self._job.recogniser)
        if name == "wer_constrained":
            if self._job.grammar is None:
                raise EvaluationError("the corpus has no grammar to constrain the recogniser to")
            return recogniser.transcribe_grammar(made, self._job.grammar, SAMPLE_RATE)
        if self._free is None:
            same = self._real is not None and self._is_real(made)
            self._free = self._real if same else recogniser.transcribe(made, SAMPLE_RATE)
        return self._free or ""

    def _is_real(self, made: Samples) -> bool:
        return np.array_equal(made, self._job.real)


def has_letters(grammar: Grammar | None) -> bool:
    """Whether sentences of the grammar hold letters of the alphabet, so that names of letters are letters."""
    return grammar is not None and any(len(word) == 1 for slot in grammar for word in slot)
