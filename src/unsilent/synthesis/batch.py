"""Speaking one of many videos, as work that any engine of :mod:`unsilent.workers` can do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from unsilent.errors import UnsilentError
from unsilent.synthesis.files import Spoken, speak_file
from unsilent.synthesis.reference import Voice
from unsilent.synthesis.synthesizer import Synthesizer, load

__all__ = ["SpeakJob", "Unspoken", "speak_job", "unspoken"]


@dataclass(frozen=True, slots=True)
class SpeakJob:
    """A video to speak.

    Attributes:
        video: its path or URL.
        output: where the result goes, a path or URL; one that is there is replaced.
        model: as for :func:`unsilent.synthesis.load`.
        engine: as for :func:`unsilent.synthesis.load`.
        face: which face; None is the one whose mouth moves most.
        voice: a recording of the voice to speak with, or None.
    """

    video: Path
    output: Path
    model: str
    engine: str = "torch"
    face: int | None = None
    voice: Path | None = None


@dataclass(frozen=True, slots=True)
class Unspoken:
    """A video that could not be spoken, and why, in one line."""

    why: str


def speak_job(job: SpeakJob) -> Spoken | Unspoken:
    """Speak a video; a fault of it is an answer, not an exception. The model is loaded once a process."""
    try:
        synthesizer = _loaded(job.model, job.engine)
        voice = None if job.voice is None else _voice(job.model, job.engine, job.voice)
        return speak_file(synthesizer, job.video, job.output, face=job.face, voice=voice)[0]
    except UnsilentError as error:
        return Unspoken(str(error))


def unspoken(job: SpeakJob, reason: str, detail: str) -> Spoken | Unspoken:
    """What stands for the result of a job whose process died, or that met a defect."""
    return Unspoken(f"{job.video}: {reason}, {detail}; speak it alone to see why")


@lru_cache(maxsize=1)
def _loaded(model: str, engine: str) -> Synthesizer:
    return load(model, engine=engine)


@lru_cache(maxsize=1)
def _voice(model: str, engine: str, path: Path) -> Voice:
    return _loaded(model, engine).voice_of(path)
