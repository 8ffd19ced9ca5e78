"""Lip Reading Sentences 3 (Afouras, Chung, Zisserman, arXiv 1809.00496): sentences from TED and TEDx talks.

*Untested on real data.* The layout is that of the paper, of the corpus's page (robots.ox.ac.uk/~vgg/data/lip_reading,
LRS3) and of public code that reads it (:mod:`unsilent.corpora.lrs`):

    pretrain/00j9bKdiOjk/00001.mp4   trainval/...   test/...   and .txt: the text, face boxes, words with times

The parts are the corpus's own, with different talks in each. It has no part to choose by: ``unsilent-val`` is ours,
about 5 % of the talks of ``trainval``, ``unsilent-train`` the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar, Final

from unsilent.corpora.lrs import LrsCorpus
from unsilent.corpora.splits import hashed_part, listed_lines
from unsilent.errors import CorpusError

__all__ = ["Lrs3Corpus"]

_OURS: Final = {"unsilent-train": False, "unsilent-val": True}


class Lrs3Corpus(LrsCorpus):
    """The clips of a copy of LRS3.

    Args:
        root: the folder that holds ``pretrain``, ``trainval``, ``test`` or some of them, or the folder around it.

    Raises:
        CorpusError: the folder does not exist or holds none of them.
    """

    name = "lrs3"
    folders = ("pretrain", "trainval", "test")
    splits: ClassVar[Mapping[str, str]] = {
        "pretrain": "the corpus's own folder: longer stretches",
        "trainval": "the corpus's own folder",
        "test": "the corpus's own folder",
        "unsilent-train": "of trainval, the talks that are not in unsilent-val. Ours",
        "unsilent-val": "of trainval, the talks (about 5 %) that a stable hash of their names chooses. Ours",
    }
    obtain = "robots.ox.ac.uk/~vgg/data/lip_reading (LRS3-TED)"

    def _wanted(self, split: str | None) -> dict[str, str]:
        if split is None:
            return {name: folder for folder in self.folders for name in self._below(folder)}
        if split in self.folders:
            return dict.fromkeys(self._below(split), split)
        if split in _OURS:
            names = self._below("trainval")
            return {name: split for name in names if _is_for_validation(name) == _OURS[split]}
        return dict.fromkeys(self._names(split), Path(split).stem)

    def _names(self, path: str) -> list[str]:
        names = []
        for line in listed_lines(self.name, path, self.splits):
            parts = PurePosixPath(line.split()[0].removesuffix(".mp4")).parts[-3:]
            if len(parts) < 3 or parts[0] not in self.folders:
                raise CorpusError(f"{path}: `{line}` is not `folder/recording/number`; write test/00j9bKdiOjk/00001")
            names.append("/".join(parts))
        return names


def _is_for_validation(name: str) -> bool:
    return hashed_part(name.split("/")[1]) == "val"
