"""Lip Reading in the Wild (Chung, Zisserman, ACCV 2016): 500 words cut out of programmes of the BBC.

About 1,000 clips a word of 29 frames (1.16 s at 25 frames/s), with the word in the middle; 50 clips a word are for
validation and 50 for testing. Nobody says who speaks, so every speaker is called ``unknown``.

*Untested on real data.* Layout and metadata are those of the corpus's page (robots.ox.ac.uk/~vgg/data/lip_reading,
LRW) and of public code that reads it, for instance github.com/ms-dot-k/Visual-Context-Attentional-GAN
(``ASR_model/LRW``, where the list of the words is from):

    lipread_mp4/ABOUT/test/ABOUT_00001.mp4
    lipread_mp4/ABOUT/test/ABOUT_00001.txt   with a line "Duration: 0.36 seconds", the length of the word

The parts are the corpus's own. The grammar is one slot of all 500 words, whichever of them are here: to recognise a
word is to choose one of 500.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from unsilent.corpora.base import Clip, Grammar, Word
from unsilent.corpora.splits import listed_lines
from unsilent.errors import CorpusError

__all__ = ["OBTAIN", "SPLITS", "WORDS", "LrwCorpus", "read_duration"]

_log = logging.getLogger(__name__)

WORDS: Final = tuple(
    (resources.files("unsilent.corpora") / "lrw_words.txt").read_text(encoding="utf-8").lower().split()
)
"""The 500 words, in lower case and in order."""
OBTAIN: Final = "robots.ox.ac.uk/~vgg/data/lip_reading (LRW: after an agreement with the BBC)"
SPLITS: Final = {
    "train": "the corpus's own: up to 1,000 clips a word",
    "val": "the corpus's own: 50 clips a word",
    "test": "the corpus's own: 50 clips a word",
}
_HELD_OUT: Final = 50
_FOLDER: Final = "lipread_mp4"
_SECONDS: Final = 1.16
_SPEAKER: Final = "unknown"
_DURATION: Final = re.compile(r"^\s*duration\s*:\s*(\d+(?:\.\d*)?|\.\d+)", re.IGNORECASE | re.MULTILINE)


def read_duration(path: str | Path) -> float:
    """Read the length of the word, in seconds, out of a clip's metadata.

    Raises:
        CorpusError: the file cannot be read, says no duration, or one that is not within a clip.
    """
    try:
        found = _DURATION.search(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as metadata ({error}); unpack it again") from error
    if found is None:
        raise CorpusError(f"{path}: has no line `Duration: ... seconds`; unpack it again")
    seconds = float(found[1])
    if not 0 < seconds <= _SECONDS:
        raise CorpusError(f"{path}: a word of {seconds:g} s does not fit a clip of {_SECONDS} s; unpack it again")
    return seconds


class LrwCorpus:
    """The clips of a copy of LRW, or of some words of it.

    Args:
        root: ``lipread_mp4`` or the folder that holds it.

    Attributes:
        dropped: name of a folder that is left out -> why.
        notes: how many clips were kept with a fault, or are missing, by fault.
        grammar: one slot, all 500 words.

    Raises:
        CorpusError: the folder does not exist or holds none of the words.
    """

    name = "lrw"
    grammar: Grammar | None = (WORDS,)

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise CorpusError(f"{self.root}: is no folder; name one that holds LRW; obtain it from {OBTAIN}")
        self.dropped: dict[str, str] = {}
        self.notes: Counter[str] = Counter()
        inside = self.root / _FOLDER
        self._folder = inside if inside.is_dir() else self.root
        self._words = [folder for folder in sorted(self._folder.iterdir()) if self._is_word(folder)]
        if not self._words:
            raise CorpusError(
                f"{self.root}: holds no word of LRW ({_FOLDER}/ABOUT/test/ABOUT_00001.mp4 ...); obtain it from {OBTAIN}"
            )

    def clips(self, split: str | None = None, *, speakers: Collection[str] | None = None) -> list[Clip]:
        """The clips of ``train``, ``val`` or ``test``, of a list in a file, or all, in order of their ids.

        A list names one ``ABOUT/test/ABOUT_00001`` a line.

        Raises:
            CorpusError: there is no such split or clip, or speakers are asked for.
        """
        if speakers is not None and set(speakers) != {_SPEAKER}:
            raise CorpusError(f"{self.root}: LRW does not say who speaks; leave --speakers out")
        if split in (None, *SPLITS):
            names = [name for part in SPLITS if split in (None, part) for name in self._part(part)]
        else:
            names = list(self._listed(str(split)))
        if not names:
            raise CorpusError(
                f"{self.root}: holds no clip of split {split}; unpack all of LRW (obtained from {OBTAIN}), or choose "
                "another"
            )
        label = None if split is None or split in SPLITS else Path(str(split)).stem
        return [self._clip(name, label or name.split("/")[1]) for name in sorted(names)]

    def _is_word(self, folder: Path) -> bool:
        if folder.name.startswith(".") or not folder.is_dir():
            return False
        if folder.name.lower() in WORDS:
            return True
        self.dropped[folder.name] = "not one of the 500 words"
        return False

    def _part(self, part: str) -> Iterator[str]:
        for word in self._words:
            found = [path.stem for path in (word / part).glob("*.mp4") if not path.name.startswith(".")]
            if part != "train" and len(found) < _HELD_OUT:
                self.notes[f"clips of split {part} that are not in {self.root}"] += _HELD_OUT - len(found)
            yield from (f"{word.name}/{part}/{stem}" for stem in found)
        if part != "train" and len(self._words) < len(WORDS):
            absent = (len(WORDS) - len(self._words)) * _HELD_OUT
            self.notes[f"clips of split {part} that are not in {self.root}"] += absent

    def _listed(self, split: str) -> Iterator[str]:
        for line in listed_lines(self.name, split, SPLITS):
            name = line.removesuffix(".mp4").split(f"{_FOLDER}/")[-1]
            if not self._path(name).is_file() or name.count("/") != 2:
                self.notes[f"clips of split {Path(split).stem} that are not in {self.root}"] += 1
            else:
                yield name

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.mp4"

    def _clip(self, name: str, split: str) -> Clip:
        word = name.split("/")[0].lower()
        path = self._path(name)
        return Clip(name, self.name, _SPEAKER, path, word, self._times(word, path.with_suffix(".txt")), split)

    def _times(self, word: str, metadata: Path) -> tuple[Word, ...]:
        try:
            half = read_duration(metadata) / 2
        except CorpusError as error:
            self.notes["kept without word times: no usable metadata"] += 1
            _log.debug("%s", error)
            return ()
        # The frame in the middle is the middle of the word (the corpus's page); no file says where it starts.
        return (Word(word, _SECONDS / 2 - half, _SECONDS / 2 + half),)
