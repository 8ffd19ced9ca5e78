"""Running systems over clips."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from unsilent.errors import EvaluationError, UnsilentError
from unsilent.evaluation.metrics import SAMPLE_RATE
from unsilent.evaluation.pool import ordered_map
from unsilent.evaluation.protocol import EvalClip, System
from unsilent.evaluation.report import Report, summarise
from unsilent.evaluation.scoring import ALL_METRICS, WER_METRICS, Job, Scores, check_metrics, has_letters, score
from unsilent.evaluation.wer import Grammar, chance_wer, majority_wer

__all__ = ["evaluate"]

_FEW: Final = 4
"""Jobs that are not worth the start of processes."""


def evaluate(
    systems: Mapping[str, System],
    clips: Sequence[EvalClip],
    metrics: Sequence[str] = ALL_METRICS,
    *,
    workers: int | None = None,
    grammar: Grammar | None = None,
    recogniser: str | None = None,
    corpus: str = "",
    split: str | None = None,
    model: Mapping[str, Any] | None = None,
    left_out: Mapping[str, str] | None = None,
    save_audio: Path | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Report:
    """Run every system on every clip and average the metrics.

    Systems run here, one clip after the other, while processes score what they made: the result does not depend on
    the number of workers. A system that fails on a clip with an :class:`UnsilentError` has no metrics there.

    Args:
        systems: name -> function from clip to (n,) samples at 24 kHz.
        clips: with distinct ids.
        metrics: names out of :data:`ALL_METRICS`.
        workers: processes for the metrics; None means one a core, 0 works in this process.
        grammar: words of each slot, for ``wer_constrained``.
        recogniser: name or folder of a faster-whisper model; None is the pinned one.
        corpus: name for the report.
        split: name for the report.
        model: description for the report.
        left_out: clips that could not be read, for the report.
        save_audio: folder that gets ``SYSTEM/ID.wav`` of all that was made (not of ``real``).
        advance: called once a clip and system.

    Raises:
        EvaluationError: there are no clips, systems or metrics, or two clips have one id.
        OutputError: the sound cannot be saved.
    """
    chosen = check_metrics(metrics)
    texts = {clip.id: clip.text for clip in clips}
    if not clips or not systems or len(texts) != len(clips):
        raise EvaluationError("nothing to evaluate, or two clips have one id; give systems and distinct clips")
    jobs = _jobs(systems, clips, chosen, grammar, recogniser, save_audio)
    few = len(clips) * len(systems) <= _FEW
    processes = 0 if few else (os.cpu_count() or 1) if workers is None else workers
    scores: dict[str, list[Scores]] = {name: [] for name in systems}
    for result in ordered_map(score, jobs, processes):
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
    )


def _jobs(
    systems: Mapping[str, System],
    clips: Sequence[EvalClip],
    metrics: Sequence[str],
    grammar: Grammar | None,
    recogniser: str | None,
    save_audio: Path | None,
) -> Iterator[Job]:
    for clip in clips:
        for name, system in systems.items():
            made, failure = None, None
            try:
                made = np.ascontiguousarray(system(clip), dtype=np.float32)
            except UnsilentError as error:
                failure = str(error)
            # The real sound is in the corpus already; a file written here is tagged as synthetic.
            if made is not None and save_audio is not None and name != "real":
                _save(save_audio / name / f"{clip.id}.wav", made)
            yield Job(clip.id, name, clip.text, clip.real, made, failure, metrics, grammar, recogniser)


def _save(path: Path, samples: Any) -> None:
    from unsilent.media import write_audio

    write_audio(path, np.clip(samples, -1, 1), SAMPLE_RATE)


def _describe_recogniser(
    recogniser: str | None, metrics: Sequence[str], grammar: Grammar | None, texts: Mapping[str, str | None]
) -> dict[str, Any]:
    if set(metrics).isdisjoint(WER_METRICS):
        return {}
    from unsilent.evaluation.recogniser import CONSTRAINED_METHOD, FREE_METHOD, load_recogniser

    try:
        loaded = load_recogniser(recogniser)
    except EvaluationError as error:
        return {"name": None, "missing": str(error)}
    names = " Names of letters count as letters." if has_letters(grammar) else ""
    described: dict[str, Any] = {"name": loaded.name, "version": loaded.version, "wer_free": FREE_METHOD + names}
    if grammar is not None and "wer_constrained" in metrics:
        said = [text for text in texts.values() if text]
        described["wer_constrained"] = CONSTRAINED_METHOD
        described["chance_wer"] = chance_wer(grammar)
        described["majority_word_wer"] = majority_wer(said, grammar) if said else None
    return described
