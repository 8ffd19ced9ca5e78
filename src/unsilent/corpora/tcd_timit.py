"""TCD-TIMIT audio-visual corpus of continuous speech (Harte, Gillen, IEEE Trans. Multimedia 17(5), 2015).

62 speakers read 6,913 phonetically rich sentences of TIMIT: 59 volunteers (``01M`` ... ``59F``; 98 sentences each) and
three professional lip-speakers (``Lipspkr1`` ... ``Lipspkr3``; 377 each), filmed from the front (``straightcam``) and
from 30 degrees (``30degcam``), 1920 x 1080 at 29.97 frames/s. Only the front is read.

*Untested on real data.* The layout is that which public code reads: github.com/matthijsvk/TCDTIMITprocessing
(``downloadTCDTIMIT``, ``MLFfiles``) and github.com/georgesterpu/pyVSR (``pyVSR/tcdtimit``, by people of the corpus):

    volunteers/01M/Clips/straightcam/sa1.mp4   with SA1.txt (its sentence) beside it
    lipspeakers/Lipspkr1/Clips/straightcam/si1001.mp4

Sound is read from the video file. The sentence comes from the text file beside the clip (``start end word`` a line,
TIMIT's ``start end sentence``, or the plain sentence), else from TIMIT's own list, ``PROMPTS.TXT`` in the root
(``She had your dark suit in greasy wash water all year. (sa1)``). Words have no times here: the corpus publishes times
of phones (``volunteer_labelfiles.mlf``), which nothing needs.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Final

from unsilent.corpora.base import Clip
from unsilent.corpora.listed import ListedCorpus, files_below
from unsilent.errors import CorpusError

__all__ = ["OBTAIN", "TcdTimitCorpus", "read_prompts", "read_sentence"]

_log = logging.getLogger(__name__)

OBTAIN: Final = "sigmedia.tcd.ie (TCD-TIMIT: free for research, on request)"
_SPEAKER: Final = re.compile(r"(?P<volunteer>\d\d[mf])|lipspkr(?P<lipspeaker>[1-3])", re.IGNORECASE)
_SENTENCE: Final = re.compile(r"s[aix]\d{1,4}", re.IGNORECASE)
_PROMPT: Final = re.compile(r"(?P<text>.*\S)\s*\((?P<name>s[aix]\d{1,4})\)\s*", re.IGNORECASE)
_OF_VOLUNTEER, _OF_LIPSPEAKER = 98, 377
"""Sentences of a speaker."""
_SILENCE: Final = frozenset({"sil", "sp"})


class TcdTimitCorpus(ListedCorpus):
    """The clips of a copy of TCD-TIMIT that show the speaker from the front.

    Args:
        root: holds ``volunteers`` or ``lipspeakers`` or both, with any of their speakers.

    Raises:
        CorpusError: the folder does not exist, holds no clip of TCD-TIMIT, or only archives of it.
    """

    name = "tcd-timit"
    obtain = OBTAIN

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        for path in files_below(self.root, (".mp4",)):
            self._place(path)
        if not self._videos:
            raise CorpusError(f"{self.root}: {self._what_is_missing()}")
        self._prompts = self._read_prompts()

    def _remedy(self) -> str:
        return f"name one that holds TCD-TIMIT (volunteers, lipspeakers); obtain it from {OBTAIN}"

    def _sentences(self, speaker: str) -> int:
        return _OF_LIPSPEAKER if speaker.startswith("Lipspkr") else _OF_VOLUNTEER

    def _what_is_missing(self) -> str:
        if files_below(self.root, ("straightcam.zip",)):
            return "the clips are still packed; unpack every straightcam.zip where it lies"
        return f"holds no clip like volunteers/01M/Clips/straightcam/sa1.mp4; {self._remedy()}"

    def _place(self, path: Path) -> None:
        # The root may be one speaker's folder, or lie within it.
        folders = [part.lower() for part in path.absolute().parts[:-1]]
        speaker = next((found for part in reversed(folders) if (found := _speaker(part))), None)
        if speaker is None:
            self._drop(path, "not in the folder of a speaker (01M ... 59F, Lipspkr1 ... Lipspkr3)")
        elif "straightcam" not in folders:
            self._drop(path, "not filmed from the front (straightcam)")
        elif _SENTENCE.fullmatch(path.stem) is None:
            self._drop(path, "the name is that of no TIMIT sentence (sa1, si1001, sx3 ...)")
        else:
            self._add(f"{speaker}/{path.stem.lower()}", path)

    def _read_prompts(self) -> dict[str, str]:
        for name in ("PROMPTS.TXT", "prompts.txt"):
            if (path := self.root / name).is_file():
                return read_prompts(path)
        return {}

    def _clip(self, identity: str, split: str | None) -> Clip:
        speaker, name = identity.split("/")
        path = self._videos[identity]
        text = self._sentence_beside(path) or self._prompts.get(name)
        if text is None:
            self.notes["kept without text: no text file beside the clip, no PROMPTS.TXT"] += 1
        return Clip(identity, self.name, speaker, path, text, (), split)

    def _sentence_beside(self, path: Path) -> str | None:
        for stem in (path.stem, path.stem.upper(), path.stem.lower()):
            file = path.with_name(f"{stem}.txt")
            if file.is_file():
                try:
                    return read_sentence(file)
                except CorpusError as error:
                    self.notes["text file is no UTF-8"] += 1
                    _log.warning("%s", error)
        return None


def _speaker(folder: str) -> str | None:
    found = _SPEAKER.fullmatch(folder)
    if found is None:
        return None
    return found["volunteer"].upper() if found["volunteer"] else f"Lipspkr{found['lipspeaker']}"


def read_sentence(path: str | Path) -> str | None:
    """Read the sentence of a clip's text file, whichever of the three forms it has; None if it is empty.

    Raises:
        CorpusError: the file cannot be read as UTF-8.
    """
    rows = [line.split() for line in _lines(Path(path))]
    rows = [row for row in rows if row]
    if all(len(row) > 2 and row[0].isdecimal() and row[1].isdecimal() for row in rows):
        rows = [row[2:] for row in rows]
        rows = [row for row in rows if len(row) > 1 or row[0].lower() not in _SILENCE]
    return " ".join(word for row in rows for word in row) or None


def read_prompts(path: str | Path) -> dict[str, str]:
    """Read TIMIT's list of sentences: name (``sa1``) -> text. Lines of another form, and comments (``;``), are skipped.

    Raises:
        CorpusError: the file cannot be read as UTF-8.
    """
    found = (_PROMPT.fullmatch(line) for line in _lines(Path(path)) if not line.startswith(";"))
    return {match["name"].lower(): " ".join(match["text"].split()) for match in found if match is not None}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as UTF-8 text ({error}); unpack the corpus again") from error
