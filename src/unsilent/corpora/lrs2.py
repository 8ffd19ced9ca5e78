"""Lip Reading Sentences 2 (Afouras, Chung, Senior, Vinyals, Zisserman, IEEE TPAMI 2018): sentences from the BBC.

*Untested on real data.* Layout and lists are those of the corpus's page (robots.ox.ac.uk/~vgg/data/lip_reading, LRS2)
and of public code that reads it (:mod:`unsilent.corpora.lrs`):

    mvlrs_v1/main/5535415699068794046/00001.mp4      and .txt: the text
    mvlrs_v1/pretrain/5535415699068794046/00001.mp4  and .txt: the text, and words with times
    train.txt val.txt test.txt pretrain.txt          one recording/number a line; in test.txt with a flag, MV or NF

The lists are published beside the archive; they are looked for in the root, in ``mvlrs_v1`` and beside it. Clips of
both flags belong to the test set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar, Final

from unsilent.corpora.lrs import LrsCorpus
from unsilent.corpora.splits import listed_lines
from unsilent.errors import CorpusError

__all__ = ["Lrs2Corpus"]

_FOLDER_OF: Final = {"pretrain": "pretrain", "train": "main", "val": "main", "test": "main"}


class Lrs2Corpus(LrsCorpus):
    """The clips of a copy of LRS2.

    Args:
        root: ``mvlrs_v1`` or the folder that holds it.

    Raises:
        CorpusError: the folder does not exist or holds neither ``main`` nor ``pretrain``.
    """

    name = "lrs2"
    folders = ("main", "pretrain")
    splits: ClassVar[Mapping[str, str]] = {
        "pretrain": "the corpus's own list pretrain.txt: longer stretches, with word times",
        "train": "the corpus's own list train.txt",
        "val": "the corpus's own list val.txt",
        "test": "the corpus's own list test.txt: 1,243 clips",
    }
    obtain = "robots.ox.ac.uk/~vgg/data/lip_reading (LRS2: after an agreement with the BBC)"

    def _wanted(self, split: str | None) -> dict[str, str]:
        if split is None:
            parts = [part for part in self.splits if self._list(part) is not None]
            if not parts:
                raise CorpusError(f"{self.root}: {self._no_list('train.txt, val.txt, test.txt, pretrain.txt')}")
            return {name: part for part in parts for name in self._named(part)}
        if split in self.splits:
            return dict.fromkeys(self._named(split), split)
        return dict.fromkeys(self._names(split, "main"), Path(split).stem)

    def _named(self, part: str) -> list[str]:
        path = self._list(part)
        if path is None:
            raise CorpusError(f"{self.root}: {self._no_list(f'{part}.txt')}")
        return self._names(str(path), _FOLDER_OF[part])

    def _no_list(self, files: str) -> str:
        return f"the list is missing ({files}), in it or beside mvlrs_v1; obtain it from {self.obtain}"

    def _list(self, part: str) -> Path | None:
        places = (self.root, self.folder, self.folder.parent)
        return next((path for place in places if (path := place / f"{part}.txt").is_file()), None)

    def _names(self, path: str, folder: str) -> list[str]:
        names = []
        for line in listed_lines(self.name, path, self.splits):
            # Behind the name, test.txt has a flag; a list of the user's may name the folder too.
            parts = PurePosixPath(line.split()[0].removesuffix(".mp4")).parts
            if len(parts) < 2:
                raise CorpusError(f"{path}: `{line}` is not `recording/number`; write 5535415699068794046/00001")
            names.append("/".join((parts[-3] if parts[-3:-2] and parts[-3] in self.folders else folder, *parts[-2:])))
        return names
