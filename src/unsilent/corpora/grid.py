"""GRID audio-visual sentence corpus (Cooke, Barker, Cunningham, Shao, JASA 120(5), 2006; CC BY 4.0).

34 speakers say 1,000 sentences each of a closed grammar of 51 words, 3 s at 25 frames/s. Speaker s21 has no video.
The name of a clip spells its sentence (``bbaf2n`` = bin blue at f two now), so the text comes from the name.

What is known to be wrong in public copies, and what is done about it:

* alignments filed under another speaker or clip: the words contradict the name, and are dropped (the clip stays);
* sound that ends about 22 ms before the picture, a few clips of 74 frames: kept as they are;
* files whose names are no sentences: left out, counted in :attr:`GridCorpus.dropped`.

The separate recordings of ``audio_25k.zip`` are not needed: the sound is read from the video file.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from unsilent.corpora.base import Clip, Word
from unsilent.corpora.listed import ListedCorpus, files_below
from unsilent.errors import CorpusError

__all__ = ["GRAMMAR", "GridCorpus", "read_alignment", "sentence"]

_log = logging.getLogger(__name__)

GRAMMAR: Final[tuple[Mapping[str, str], ...]] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(
        zip("z123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True)
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
"""The six slots of a sentence: character of the clip's name -> word. There is no letter w."""

_SENTENCES: Final = 1000
"""That every speaker says."""
_UNITS_PER_SECOND: Final = 25_000
_SUFFIXES: Final = (".mpg", ".mp4")
_SPEAKER: Final = re.compile(r"s[1-9]\d?")
_SILENCE: Final = frozenset({"sil", "sp"})


def sentence(name: str) -> tuple[str, ...] | None:
    """The six words that a clip's name spells, or None if it spells none."""
    if len(name) != len(GRAMMAR):
        return None
    words = [slot.get(character) for slot, character in zip(GRAMMAR, name.lower(), strict=True)]
    return tuple(word for word in words if word is not None) if None not in words else None


def read_alignment(path: str | Path) -> tuple[Word, ...]:
    """Read the words of an ``.align`` file (start, end in 1/25,000 s, word), without silences; times in seconds.

    Raises:
        CorpusError: the file cannot be read, a line is not ``start end word``, or times run backwards.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as an alignment ({error}); fetch it again") from error
    words: list[Word] = []
    last = 0
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not all(each.isdecimal() and len(each) < 16 for each in fields[:2]):
            raise CorpusError(f"{path}:{number}: is not `start end word`; fetch the alignments again")
        start, end = int(fields[0]), int(fields[1])
        if not last <= start <= end:
            raise CorpusError(f"{path}:{number}: the times run backwards; fetch the alignments again")
        last = end
        if fields[2].lower() not in _SILENCE:
            words.append(Word(fields[2].lower(), start / _UNITS_PER_SECOND, end / _UNITS_PER_SECOND))
    return tuple(words)


class GridCorpus(ListedCorpus):
    """The clips of a copy of GRID.

    Args:
        root: holds the speakers' folders: ``s1/*.mpg``, ``s1/*.mp4``, ``s1/video/mpg_6000/*.mpg``, ``video/s1/*.mpg``
            and the like; alignments in ``align/s1/x.align``, ``alignments/s1/x.align`` or ``s1/align/x.align``.

    Raises:
        CorpusError: the folder does not exist or holds no GRID video.
    """

    name = "grid"
    obtain = "`unsilent fetch grid`"
    grammar = tuple(tuple(slot.values()) for slot in GRAMMAR)

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        # Of two releases of a clip (mpg_6000 and mpg_vcd) the better comes first.
        for path in sorted(files_below(self.root, _SUFFIXES), key=lambda path: "mpg_6000" not in path.parts):
            self._place(path)
        if not self._videos:
            raise CorpusError(f"{self.root}: holds no GRID video (s1/bbaf2n.mpg ...); run `unsilent fetch grid`")

    def _remedy(self) -> str:
        return "name one that holds GRID (s1, s2 ...), or run `unsilent fetch grid`"

    def _sentences(self, speaker: str) -> int:
        return _SENTENCES

    def _place(self, path: Path) -> None:
        speaker = next(
            (part for part in reversed(path.relative_to(self.root).parts[:-1]) if _SPEAKER.fullmatch(part)), None
        )
        if speaker is None and _SPEAKER.fullmatch(self.root.name):
            speaker = self.root.name
        if speaker is None:
            self._drop(path, "not in the folder of a speaker (s1 ... s34)")
        elif sentence(path.stem) is None:
            self._drop(path, "the name spells no GRID sentence")
        else:
            self._add(f"{speaker}/{path.stem.lower()}", path)

    def _clip(self, identity: str, split: str | None) -> Clip:
        speaker, name = identity.split("/")
        spelled = sentence(name)
        assert spelled is not None
        words = self._words(speaker, name, spelled)
        return Clip(identity, self.name, speaker, self._videos[identity], " ".join(spelled), words, split)

    def _words(self, speaker: str, name: str, spelled: tuple[str, ...]) -> tuple[Word, ...]:
        folders = (Path("align", speaker), Path("alignments", speaker), Path(speaker, "align"), Path("align"))
        paths = [self.root / folder / f"{name}.align" for folder in folders]
        # A flat folder of alignments cannot tell the speakers apart, unless the root is one speaker's.
        path = next((path for path in (paths if self.root.name == speaker else paths[:-1]) if path.is_file()), None)
        if path is None:
            return self._no_words("no alignment", f"{speaker}/{name}")
        try:
            words = read_alignment(path)
        except CorpusError as error:
            return self._no_words("alignment unreadable", str(error))
        if tuple(word.word for word in words) != spelled:
            return self._no_words("alignment contradicts the clip's name", str(path))
        return words

    def _no_words(self, reason: str, where: str) -> tuple[Word, ...]:
        self.notes[f"kept without word times: {reason}"] += 1
        _log.debug("%s: kept without word times: %s", where, reason)
        return ()
