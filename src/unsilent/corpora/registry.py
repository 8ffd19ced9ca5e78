"""Every corpus with clips by its name: what it is, its splits, its licence, where it is, whether it was tried here.

A corpus that is *untested on real data* is read after its public documentation; its reader was tested on folders of
synthetic clips in that layout, and nobody has run it on the corpus itself yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from unsilent.corpora.base import Corpus, Grammar
from unsilent.corpora.folder import FolderCorpus
from unsilent.corpora.grid import GridCorpus
from unsilent.corpora.lrs2 import Lrs2Corpus
from unsilent.corpora.lrs3 import Lrs3Corpus
from unsilent.corpora.lrw import OBTAIN as LRW_OBTAIN
from unsilent.corpora.lrw import SPLITS as LRW_SPLITS
from unsilent.corpora.lrw import LrwCorpus
from unsilent.corpora.splits import describe_splits
from unsilent.corpora.talker import TalkerCorpus
from unsilent.corpora.talker.corpus import SPLITS as TALKER_SPLITS
from unsilent.corpora.tcd_timit import TcdTimitCorpus
from unsilent.errors import CorpusError

__all__ = ["CORPORA", "CorpusInfo", "open_corpus"]


@dataclass(frozen=True, slots=True)
class CorpusInfo:
    """A corpus that can be opened.

    Attributes:
        name: what it is called on the command line.
        title: what it is, in one line.
        splits: name of a split -> what is in it and who made the list.
        default_split: the split that is measured unless another is named; None means all clips.
        grammar: what can be said in it, where that is the same for every copy of it (see ``Corpus.grammar``).
        licence: under which it can be used, in a few words.
        obtain: where to obtain it.
        tested_on_real: whether the reader was run on the corpus itself.
        open: makes the corpus of its folder.
    """

    name: str
    title: str
    splits: Mapping[str, str]
    default_split: str | None
    grammar: Grammar | None
    licence: str
    obtain: str
    tested_on_real: bool
    open: Callable[[Path], Corpus]


_ALL: Final = (
    CorpusInfo(
        name="grid",
        title="GRID: 33 speakers with video, 1,000 sentences each of six words of a closed grammar",
        splits=describe_splits("grid"),
        default_split="s1-test",
        grammar=GridCorpus.grammar,
        licence="CC BY 4.0",
        obtain=GridCorpus.obtain,
        tested_on_real=True,
        open=GridCorpus,
    ),
    CorpusInfo(
        name="tcd-timit",
        title="TCD-TIMIT: sentences of TIMIT read by 59 volunteers and three lip-speakers",
        splits=describe_splits("tcd-timit"),
        default_split="unsilent-lipspeakers-test",
        grammar=None,
        licence="for research, by its publishers' terms",
        obtain=TcdTimitCorpus.obtain,
        tested_on_real=False,
        open=TcdTimitCorpus,
    ),
    CorpusInfo(
        name="lrw",
        title="LRW: 500 words cut out of programmes of the BBC",
        splits=LRW_SPLITS,
        default_split="test",
        grammar=LrwCorpus.grammar,
        licence="for research, by agreement with the BBC",
        obtain=LRW_OBTAIN,
        tested_on_real=False,
        open=LrwCorpus,
    ),
    CorpusInfo(
        name="lrs2",
        title="LRS2: sentences out of programmes of the BBC",
        splits=Lrs2Corpus.splits,
        default_split="test",
        grammar=None,
        licence="for research, by agreement with the BBC",
        obtain=Lrs2Corpus.obtain,
        tested_on_real=False,
        open=Lrs2Corpus,
    ),
    CorpusInfo(
        name="lrs3",
        title="LRS3: sentences out of TED and TEDx talks",
        splits=Lrs3Corpus.splits,
        default_split="test",
        grammar=None,
        licence="by its publishers' terms",
        obtain=Lrs3Corpus.obtain,
        tested_on_real=False,
        open=Lrs3Corpus,
    ),
    CorpusInfo(
        name="folder",
        title="any folder of clips with sound; a sub-folder is a speaker, clip.txt beside clip.mp4 its text",
        splits={
            "train": "a folder train, or 90 % of the clips by a stable hash of their names",
            "val": "a folder val, or 5 % by the hash",
            "test": "a folder test, or 5 % by the hash",
        },
        default_split=None,
        grammar=None,
        licence="your own",
        obtain="your own clips",
        tested_on_real=True,
        open=FolderCorpus,
    ),
    CorpusInfo(
        name="talker",
        title="synthetic clips of drawn talking heads",
        splits=TALKER_SPLITS,
        default_split="talker-test",
        grammar=None,
        licence="your own",
        obtain="`unsilent talker OUT`",
        tested_on_real=True,
        open=TalkerCorpus,
    ),
)

CORPORA: Final[Mapping[str, CorpusInfo]] = MappingProxyType({info.name: info for info in _ALL})
"""Name -> corpus, in the order in which they are shown."""


def open_corpus(name: str, root: str | Path) -> Corpus:
    """Open the copy of a corpus in a folder.

    Raises:
        CorpusError: there is no corpus of this name, or the folder does not hold it.
    """
    info = CORPORA.get(name)
    if info is None:
        raise CorpusError(f"{name}: is no known corpus; there is: {', '.join(CORPORA)}")
    return info.open(Path(root))
