"""Running systems over clips."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from unsilent.errors import EvaluationError, UnsilentError
from unsilent.evaluation.cache import ResultCache, digest_of
from unsilent.evaluation.metrics import MAX_LENGTH_DIFFERENCE, SAMPLE_RATE, Measurement, Samples
from unsilent.evaluation.pool import ordered_map
from unsilent.evaluation.protocol import EvalClip, System
from unsilent.evaluation.report import Report, some, summarise
from unsilent.evaluation.scoring import (
    ALL_METRICS,
    WER_METRICS,
    Job,
    Scores,
    check_metrics,
    has_letters,
    listen_real,
    score,
)
from unsilent.evaluation.sources import ReadsFiles
from unsilent.evaluation.wer import Grammar, chance_wer, is_sentence, majority_wer
from unsilent.workers import Engine

__all__ = ["evaluate"]

_FEW: Final = 4
"""Jobs that are not worth the start of processes."""
_CUT: Final = 0.001
"""Seconds by which lengths may differ unsaid: resampling rounds."""


def evaluate(
    systems: Mapping[str, System],
    clips: Sequence[EvalClip],
    metrics: Sequence[str] = ALL_METRICS,
    *,
    workers: int | None = None,
    engine: Engine | None = None,
    grammar: Grammar | None = None,
    recogniser: str | None = None,
    corpus: str = "",
    split: str | None = None,
    model: Mapping[str, Any] | None = None,
    left_out: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    command: str = "",
    results: Path | None = None,
    save_audio: Path | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Report:
    """Run every system on every clip and average the metrics.

    Systems run here, one clip after the other, while processes score what they made: the result does not depend on
    the number of workers, and only the sounds of a few clips are held. A system that fails on a clip with an
    :class:`UnsilentError` has no metrics there.

    Args:
        systems: name -> function from clip to (n,) samples at 24 kHz.
        clips: with distinct ids.
        metrics: names out of :data:`ALL_METRICS`.
        workers: processes for the metrics; None means one a core, 0 works in this process.
        engine: what scores instead of processes of this machine; systems still run here.
        grammar: words of each slot, for ``wer_constrained``.
        recogniser: name or folder of a faster-whisper model; None is the pinned one.
        corpus: name for the report.
        split: name for the report.
        model: description for the report.
        left_out: clips that could not be read, for the report.
        notes: what else a reader of the report must know.
        command: what was typed, for the report.
        results: folder of values computed before (see :mod:`unsilent.evaluation.cache`); None computes all anew.
        save_audio: folder that gets ``SYSTEM/ID.wav`` of all that was made (not of ``real``).
        advance: called once a clip and system.

    Raises:
        EvaluationError: there are no clips, systems or metrics, or two clips have one id.
        OutputError: the sound or the values cannot be saved.
    """
    chosen = check_metrics(metrics)
    texts = {clip.id: clip.text for clip in clips}
    if not clips or not systems or len(texts) != len(clips):
        raise EvaluationError("nothing to evaluate, or two clips have one id; give systems and distinct clips")
    processes = (os.cpu_count() or 1) if workers is None else workers
    processes = 0 if len(clips) * len(systems) <= _FEW else min(processes, len(clips))
    desk = _Desk(systems, chosen, grammar, recogniser, ResultCache(results), save_audio)
    scores: dict[str, list[Scores]] = {name: [] for name in systems}
    tasks = desk.tasks(clips)
    if engine is None:
        results_of = ordered_map(_score, tasks, processes, known=_nothing_to_do)
    else:
        results_of = (computed for _, computed in engine.map(tasks, _score, _unscored))
    for computed in results_of:
        for result in desk.filed(computed):
            scores[result.system].append(result)
            advance()
    return Report(
        systems={name: {m: summarise(scores[name], m) for m in chosen} for name in systems},
        scores=scores,
        texts=texts,
        corpus=corpus,
        split=split,
        recogniser=_describe_recogniser(recogniser, chosen, grammar, texts),
        model=dict(model or {}),
        left_out=dict(left_out or {}),
        notes=(*notes, *_faults(systems, clips), *desk.cuts()),
        command=command,
        sounds=desk.digests,
        synthetic=sum(clip.synthetic for clip in clips),
    )


def _faults(systems: Mapping[str, System], clips: Sequence[EvalClip]) -> list[str]:
    """What was wrong with the files that the real sounds and the systems' were read from."""
    readers = {clip.reader: "real" for clip in clips if clip.reader is not None}
    made: Mapping[str, object] = systems
    readers |= {system.reader: name for name, system in made.items() if isinstance(system, ReadsFiles)}
    return [note for reader, name in readers.items() for note in reader.notes(name)]


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to compute for one clip: a job for every system of which something is not known yet."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class _Computed:
    """What came of a task, and what was heard in the real sound if it was listened to."""

    scores: tuple[Scores, ...] = ()
    heard_real: Mapping[str, str] | None = None


def _nothing_to_do(task: _Task) -> _Computed | None:
    return None if task.jobs else _Computed()


def _score(task: _Task) -> _Computed:
    jobs, heard = task.jobs, None
    wanted = any(name.endswith("_vs_real") for job in jobs for name in job.metrics)
    if wanted and jobs[0].heard_real is None and len(jobs[0].real):
        try:
            heard = listen_real(jobs[0])
        except EvaluationError:
            pass  # each metric that needs it says why
        else:
            jobs = tuple(replace(job, heard_real=heard) for job in jobs)
    return _Computed(tuple(score(job) for job in jobs), heard)


def _unscored(task: _Task, reason: str, detail: str) -> _Computed:
    missing = Measurement(None, f"{reason}: {detail}")
    return _Computed(tuple(Scores(job.id, job.system, dict.fromkeys(job.metrics, missing)) for job in task.jobs))


@dataclass(slots=True)
class _Desk:
    """Makes tasks of clips, and complete scores of what comes back."""

    systems: Mapping[str, System]
    metrics: tuple[str, ...]
    grammar: Grammar | None
    recogniser: str | None
    cache: ResultCache
    save_audio: Path | None
    digests: dict[str, str] = field(default_factory=dict)
    """Clip -> digest of its real sound."""
    _unequal: dict[str, list[float]] = field(default_factory=dict)
    """System -> seconds by which its sounds differ in length from the real ones."""
    _out: deque[tuple[str, list[tuple[str, Scores]]]] = field(default_factory=deque)
    """For every task that is out, in order: the clip, and by system the key of its job and what was known before."""

    def tasks(self, clips: Sequence[EvalClip]) -> Iterator[_Task]:
        for clip in clips:
            jobs: list[Job] = []
            known: list[tuple[str, Scores]] = []
            for job in self._jobs(clip):
                key = self.cache.key(job)
                found = self.cache.find(key, self.metrics, self.recogniser)
                known.append((key, replace(found, id=job.id, system=job.system)))
                if missing := tuple(name for name in self.metrics if name not in found.values):
                    jobs.append(replace(job, metrics=missing))
            self._out.append((clip.id, known))
            yield _Task(tuple(jobs))

    def filed(self, computed: _Computed) -> Iterator[Scores]:
        """The scores of all systems on the clip whose task came back; what is new is kept."""
        new = {scores.system: scores for scores in computed.scores}
        clip, systems = self._out.popleft()
        if computed.heard_real is not None and clip in self.digests:
            self.cache.keep_heard(self.digests[clip], computed.heard_real, self.recogniser)
        for key, known in systems:
            added = new.get(known.system)
            if added is None:
                yield _in_order(known, self.metrics)
                continue
            self.cache.keep(key, added, self.recogniser)
            yield _in_order(
                replace(
                    known,
                    values={**known.values, **added.values},
                    words={**known.words, **added.words},
                    heard={**known.heard, **added.heard},
                ),
                self.metrics,
            )

    def cuts(self) -> list[str]:
        """How many sounds of which systems were cut, or had the real one cut to them, to be compared with it."""
        cut = {name: [s for s in each if _CUT < s <= MAX_LENGTH_DIFFERENCE] for name, each in self._unequal.items()}
        return [
            f"{name}: {len(each)} of {len(self._unequal[name])} sounds differ in length from the real ones, by at most "
            f"{max(each):.3f} s; the longer is cut where the two are compared"
            for name, each in cut.items()
            if each
        ]

    def _jobs(self, clip: EvalClip) -> Iterator[Job]:
        real, aperture, heard, unreadable = np.zeros(0, np.float32), None, None, None
        try:
            real = clip.real
            aperture = clip.aperture if "offset_lips_ms" in self.metrics else None
            self.digests[clip.id] = digest_of(real)
            heard = self.cache.find_heard(self.digests[clip.id], self.recogniser)
        except UnsilentError as error:
            unreadable = str(error)  # it was readable before: the file changed under our feet
        for name, system in self.systems.items():
            made, failure = (None, unreadable) if unreadable is not None else _made(system, clip)
            if made is not None:
                self._unequal.setdefault(name, []).append(abs(len(made) - len(real)) / SAMPLE_RATE)
            # The real sound is in the corpus already; a file written here is tagged as synthetic.
            if made is not None and self.save_audio is not None and name != "real":
                _save(self.save_audio / name / f"{clip.id}.wav", made)
            yield Job(
                clip.id,
                name,
                clip.text,
                real,
                made,
                failure,
                self.metrics,
                self.grammar,
                self.recogniser,
                aperture,
                heard,
            )


def _made(system: System, clip: EvalClip) -> tuple[Samples | None, str | None]:
    try:
        return np.ascontiguousarray(system(clip), dtype=np.float32), None
    except UnsilentError as error:
        return None, str(error)


def _in_order(scores: Scores, metrics: Sequence[str]) -> Scores:
    return replace(
        scores,
        values={name: scores.values[name] for name in metrics},
        words={name: scores.words[name] for name in metrics if name in scores.words},
        heard={name: scores.heard[name] for name in metrics if name in scores.heard},
    )


def _save(path: Path, samples: Samples) -> None:
    from unsilent.media import write_audio

    write_audio(path, np.clip(samples, -1, 1), SAMPLE_RATE)


def _describe_recogniser(
    recogniser: str | None, metrics: Sequence[str], grammar: Grammar | None, texts: Mapping[str, str | None]
) -> dict[str, Any]:
    if set(metrics).isdisjoint(WER_METRICS):
        return {}
    from unsilent.evaluation.recogniser import load_recogniser

    try:
        loaded = load_recogniser(recogniser)
    except EvaluationError as error:
        return {"name": None, "missing": str(error)}
    names = " Names of letters count as letters." if has_letters(grammar) else ""
    described: dict[str, Any] = {"name": loaded.name, "version": loaded.version, "wer_free": loaded.free_method + names}
    if grammar is not None and "wer_constrained" in metrics:
        described["wer_constrained"] = loaded.constrained_method
        described["chance_wer"] = chance_wer(grammar)
        described |= _majority(texts, grammar)
    return described


def _majority(texts: Mapping[str, str | None], grammar: Grammar) -> dict[str, Any]:
    """What the most frequent words would score, or why that is not known."""
    said = {identity: text for identity, text in texts.items() if text}
    outside = [identity for identity, text in said.items() if not is_sentence(text, grammar)]
    if said and not outside:
        return {"majority_word_wer": majority_wer(list(said.values()), grammar)}
    reason = f"no sentence of the grammar is said in {some(outside)}" if outside else "no clip has a text"
    return {"majority_word_wer": None, "majority_word_wer_missing": reason}
