"""What LRS2 and LRS3 share: clips ``folder/recording/number``, and transcripts in one form.

    Text:  WHEN YOU'RE COOKING CHIPS AT HOME
    Conf:  4
    Ref:   00j9bKdiOjk                          (LRS3 only, with a table of face boxes below it)

    WORD START END ASDSCORE                     (where words have times: seconds from the start of the clip)
    WHEN 0.08 0.21 9.1

The form is that of public code which reads it, for instance github.com/facebookresearch/av_hubert
(``avhubert/preparation``). Text is put into lower case: the corpora write it in capitals. What stands in braces is no
word (``{NS}``: noise) and is left out.
"""

from __future__ import annotations

import logging
import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import ClassVar, Final

from unsilent.corpora.base import Clip, Grammar, Word
from unsilent.errors import CorpusError

__all__ = ["LrsCorpus", "folder_with", "read_transcript"]

_log = logging.getLogger(__name__)

_BRACES: Final = re.compile(r"\{[^{}]*\}")
_TABLE: Final = ["WORD", "START", "END"]


def read_transcript(path: str | Path) -> tuple[str | None, tuple[Word, ...]]:
    """Read text and words of a clip; the words are empty where the file has no times, the text None where it is empty.

    Raises:
        CorpusError: the file cannot be read, has no line ``Text:``, or a line below ``WORD START END`` is not of that
            form or runs backwards in time.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as a transcript ({error}); unpack it again") from error
    text = next((line.strip()[len("Text:") :] for line in lines if line.strip().startswith("Text:")), None)
    if text is None:
        raise CorpusError(f"{path}: has no line `Text: ...`; unpack it again")
    start = next((number for number, line in enumerate(lines, 1) if line.split()[:3] == _TABLE), len(lines))
    words: list[Word] = []
    for number, line in enumerate(lines[start:], start + 1):
        fields = line.split()
        if fields:
            words.append(_word(fields, words[-1].end if words else 0.0, f"{path}:{number}"))
    plain = " ".join(_BRACES.sub(" ", text).split()).lower()
    return plain or None, tuple(word for word in words if not word.word.startswith("{"))


def _word(fields: list[str], last: float, where: str) -> Word:
    try:
        start, end = float(fields[1]), float(fields[2])
    except (IndexError, ValueError) as error:
        raise CorpusError(f"{where}: is not `word start end`; unpack it again") from error
    # Times are rounded to hundredths, each by itself.
    if not (math.isfinite(end) and last - 0.011 <= start <= end):
        raise CorpusError(f"{where}: the times run backwards; unpack it again")
    return Word(fields[0].lower(), start, end)


def folder_with(root: Path, names: Collection[str]) -> Path | None:
    """``root``, or the one folder right below it, that holds a folder of one of these names."""
    if not root.is_dir():
        return None
    below = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return next((path for path in (root, *below) if any((path / name).is_dir() for name in names)), None)


class LrsCorpus(ABC):
    """The clips of a copy of LRS2 or LRS3. A recording (a programme, a talk) stands for its speaker.

    Attributes:
        root: its folder.
        dropped: name of a file that is left out -> why (always empty here).
        notes: how many clips were kept with a fault, or are missing, by fault.

    Raises:
        CorpusError: the folder does not exist or does not hold the corpus.
    """

    name: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    splits: ClassVar[Mapping[str, str]]
    obtain: ClassVar[str]
    grammar: Grammar | None = None

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.dropped: dict[str, str] = {}
        self.notes: Counter[str] = Counter()
        title, wanted = self.name.upper(), " or ".join(self.folders)
        folder = folder_with(self.root, self.folders)
        if folder is None:
            what = "holds no folder" if self.root.is_dir() else "is no folder; name one that holds"
            raise CorpusError(f"{self.root}: {what} {wanted} of {title}; obtain it from {self.obtain}")
        self.folder = folder

    def clips(self, split: str | None = None, *, speakers: Collection[str] | None = None) -> list[Clip]:
        """The clips of a split, of a list in a file (``main/recording/number`` a line), or all, in order of their ids.

        Raises:
            CorpusError: there is no such split, recording or clip.
        """
        wanted = self._wanted(split)
        here = {name: label for name, label in wanted.items() if self._path(name).is_file()}
        if len(here) < len(wanted):
            self.notes[f"clips of split {split or 'any'} that are not in {self.root}"] = len(wanted) - len(here)
            _log.warning("%s: %d clips of split %s are not here", self.root, len(wanted) - len(here), split or "any")
        recordings = {_recording(name) for name in here}
        for speaker in sorted(set(speakers or ()) - recordings):
            raise CorpusError(
                f"{self.root}: no recording {speaker} in split {split or 'any'}; choose others, or "
                f"obtain it from {self.obtain}"
            )
        chosen = [name for name in sorted(here) if speakers is None or _recording(name) in speakers]
        if not chosen:
            raise CorpusError(
                f"{self.root}: holds no clip of split {split or 'any'}; unpack that part (obtained from "
                f"{self.obtain}), or choose another"
            )
        return [self._clip(name, here[name]) for name in chosen]

    @abstractmethod
    def _wanted(self, split: str | None) -> dict[str, str]:
        """Names of the clips of a split, whether or not they are here -> the split of each."""

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.mp4"

    def _below(self, folder: str) -> list[str]:
        found = (self.folder / folder).glob("*/*.mp4")
        return [f"{folder}/{path.parent.name}/{path.stem}" for path in found if not path.name.startswith(".")]

    def _clip(self, name: str, split: str) -> Clip:
        path = self._path(name)
        text: str | None = None
        words: tuple[Word, ...] = ()
        try:
            text, words = read_transcript(path.with_suffix(".txt"))
        except CorpusError as error:
            self.notes["kept without text: no usable transcript"] += 1
            _log.debug("%s", error)
        if words and " ".join(word.word for word in words) != text:
            self.notes["kept without word times: the words contradict the text"] += 1
            words = ()
        return Clip(name, self.name, _recording(name), path, text, words, split)


def _recording(name: str) -> str:
    return name.split("/")[1]
