"""What every corpus yields: clips, with the words spoken in them where they are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Clip", "Corpus", "Grammar", "Word"]

Grammar = tuple[tuple[str, ...], ...]
"""The words allowed in each slot of a sentence, for a corpus whose sentences are all of one form."""


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


class Corpus(Protocol):
    """A copy of a corpus on this machine.

    Attributes:
        root: its folder.
        dropped: name of a file that is left out -> why.
        notes: how many clips were kept with a fault, by fault; complete once :meth:`clips` was called.
    """

    root: Path
    dropped: dict[str, str]
    notes: Counter[str]

    @property
    def name(self) -> str:
        """Name of the corpus, for instance ``grid``."""

    @property
    def grammar(self) -> Grammar | None:
        """What can be said in it, or None where that is anything."""

    def clips(self, split: str | None = None, *, speakers: Collection[str] | None = None) -> list[Clip]:
        """The clips of a split (None: all there are) and of some speakers, in order of their ids.

        Raises:
            CorpusError: there is no such split, speaker or clip.
        """
