"""What corpora share whose clips are ``speaker/clip`` and whose splits are packaged lists and protocols."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from unsilent.corpora.base import Clip, Grammar
from unsilent.corpora.splits import Split, load_split, packaged_lists
from unsilent.errors import CorpusError

__all__ = ["ListedCorpus", "files_below"]

_log = logging.getLogger(__name__)


class ListedCorpus(ABC):
    """The clips of a copy of a corpus.

    Attributes:
        root: its folder.
        dropped: name of a file that is left out -> why.
        notes: how many clips were kept with a fault, by fault.
        partial: after :meth:`clips` of a split that speakers make up: how much of it is here, if not all of it is.
    """

    name: ClassVar[str]
    obtain: ClassVar[str]
    """Where to obtain the corpus."""
    grammar: Grammar | None = None

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.dropped: dict[str, str] = {}
        self.notes: Counter[str] = Counter()
        self.partial: str | None = None
        self._videos: dict[str, Path] = {}
        if not self.root.is_dir():
            raise CorpusError(f"{self.root}: is no folder; {self._remedy()}")

    def clips(self, split: str | None = None, *, speakers: Collection[str] | None = None) -> list[Clip]:
        """The clips of a split, in order of their ids.

        Args:
            split: name of a packaged split (see :mod:`unsilent.corpora.splits`) or path of a list of clips; None
                means every clip, each with the packaged list it is in (``s1-train`` ...), if any.
            speakers: only these, for instance ``{"s1", "s2"}``.

        Raises:
            CorpusError: no such split or speaker, or none of its clips is here.
        """
        here = {identity.split("/")[0] for identity in self._videos}
        for speaker in sorted(set(speakers or ()) - here):
            raise CorpusError(
                f"{self.root}: no video of speaker {speaker}; there is: {', '.join(_in_order(here))}; the rest is "
                f"to be had: {self.obtain}"
            )
        membership = self._membership(split)
        chosen = [i for i in _in_order(membership) if speakers is None or i.split("/")[0] in speakers]
        if not chosen:
            raise CorpusError(
                f"{self.root}: holds no clip of split {split}; add its speakers (to be had: {self.obtain}), or choose "
                "another split"
            )
        return [self._clip(identity, membership[identity]) for identity in chosen]

    @abstractmethod
    def _clip(self, identity: str, split: str | None) -> Clip:
        """The clip of this name."""

    @abstractmethod
    def _remedy(self) -> str:
        """What to do if the corpus is not in the folder."""

    @abstractmethod
    def _sentences(self, speaker: str) -> int:
        """How many clips of a speaker the whole corpus has."""

    def _membership(self, split: str | None) -> dict[str, str | None]:
        self.partial = None
        if split is None:
            lists = packaged_lists(self.name)
            return {i: next((name for name, members in lists.items() if i in members), None) for i in self._videos}
        wanted: Split = load_split(self.name, split)
        absent = wanted.missing(self._videos)
        if absent:
            what = "speakers" if wanted.members is None else "clips"
            self.notes[f"{what} of split {wanted.name} that are not in {self.root}"] = len(absent)
            _log.warning(
                "%s: %d %s of split %s are not here, first: %s", self.root, len(absent), what, split, absent[0]
            )
        here: dict[str, str | None] = {i: wanted.name for i in self._videos if i in wanted}
        self.partial = self._part_that_is_here(wanted, len(here))
        if self.partial is not None:
            _log.warning("%s: %s", self.root, self.partial)
        return here

    def _part_that_is_here(self, wanted: Split, here: int) -> str | None:
        """How much of a split is here, if not all of it; what is missing of a list is counted by name instead."""
        if wanted.members is not None:
            return None
        whole = sum(map(self._sentences, wanted.speakers)) - len(wanted.without)
        if wanted.part is None:
            return f"{here:,} of {whole:,} clips of split {wanted.name} are here" if here < whole else None
        # Who belongs to a part follows from the names, which nobody knows of clips that are not here.
        found = sum(identity.split("/")[0] in wanted.speakers for identity in self._videos)
        drawn = f"{found:,} of the {whole:,} clips that split {wanted.name} is drawn from are here"
        return f"{drawn}, {here:,} of them in it" if found < whole else None

    def _add(self, identity: str, path: Path) -> None:
        if identity in self._videos:
            self._drop(path, "another file of the same clip is used")
        else:
            self._videos[identity] = path

    def _drop(self, path: Path, reason: str) -> None:
        name = path.relative_to(self.root).as_posix()
        self.dropped[name] = reason
        _log.info("%s: left out: %s", name, reason)


def files_below(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files of these suffixes (lower case) at any depth, in a stable order, without hidden ones and those of macOS."""
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [Path(folder, name) for name in files if name.lower().endswith(suffixes) and not name.startswith(".")]
    return sorted(found, key=lambda path: path.as_posix())


def _in_order(names: Collection[str]) -> list[str]:
    """Sorted with s2 before s10."""
    return sorted(names, key=lambda name: (len(name.split("/")[0]), name))
