"""What every corpus yields: clips, with the words spoken in them where they are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Clip", "Word"]


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word; ``start`` and ``end`` in seconds from the first frame of the clip."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of one speaker.

    Attributes:
        id: unique within its corpus and the same on every machine, for instance ``s1/bbaf2n``.
        corpus: name of the corpus, for instance ``grid``.
        speaker: name of the speaker within the corpus.
        path: the media file.
        text: what is said, or None where nobody wrote it down.
        words: the words with their times; empty where times are unknown or not to be trusted.
        split: name of the split the clip belongs to, or None.
    """

    id: str
    corpus: str
    speaker: str
    path: Path
    text: str | None
    words: tuple[Word, ...]
    split: str | None
