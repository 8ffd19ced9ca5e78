"""Recordings of speech: a folder, a list of files, Parquet, a data set of the Hugging Face hub, a Lhotse manifest.

========================  ===========================================================================================
source                    what it is
========================  ===========================================================================================
``FOLDER``                audio (or video) files at any depth; the first folder below is the speaker, ``a.txt`` beside
                          ``a.wav`` the text
``LIST.tsv .csv .jsonl``  one file a line or object: ``path`` (relative to the list), and any of id, speaker, text,
                          language, licence, corpus, split, source_rate (where a codec's file is of a higher rate);
                          the usual other names of these columns are known
``DATA.parquet``          rows with an audio column (struct of bytes and path), as ``datasets`` writes them; a folder
                          of such files as well
``hf:NAME[:CFG[:SPLIT]]``  a data set of the Hugging Face hub, streamed (extra ``hub``); ``NAME@REVISION`` pins it
``lhotse:MANIFEST``       recordings, supervisions or cuts of Lhotse, ``.jsonl`` or ``.jsonl.gz``
========================  ===========================================================================================

A recording's name begins with its corpus (``--corpus``, else the list's column, else the folder's or data set's name).
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from unsilent.corpora.folder import VIDEO_SUFFIXES
from unsilent.errors import CorpusError

__all__ = [
    "AUDIO_SUFFIXES",
    "HELD_OUT",
    "TRAIN",
    "FolderSpeech",
    "Recording",
    "SpeechSource",
    "hold_out",
    "open_speech",
]

AUDIO_SUFFIXES: Final = frozenset(
    [
        *(".aac", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".g722", ".m4a", ".m4b", ".mka", ".mp3"),
        *(".oga", ".ogg", ".opus", ".sph", ".spx", ".wav", ".wma", ".wv"),
    ]
)
"""Files of a folder with these suffixes, or of a video, are recordings."""
TRAIN: Final = "train"
HELD_OUT: Final = "held-out"
_HELD_OUT_SHARE: Final = 0.02
_MANY_SPEAKERS: Final = 50


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording, or a stretch of one.

    Attributes:
        id: ``corpus/name``, the same on every machine.
        corpus: name of the corpus.
        speaker: name of the speaker within the corpus.
        path: its file, or None if it is ``data``.
        data: the content of a media file, where it comes out of a larger file.
        text: what is said, or None.
        language: as the corpus gives it, or None.
        licence: as the corpus gives it, or None.
        split: the split it belongs to, or None.
        start: seconds into the file from which on it is meant.
        end: seconds at which it ends, or None for the end of the file.
        source_rate: samples a second it was made at, if the corpus says so: a codec's file may be of a higher rate.
    """

    id: str
    corpus: str
    speaker: str
    path: Path | None
    data: bytes | None = None
    text: str | None = None
    language: str | None = None
    licence: str | None = None
    split: str | None = None
    start: float = 0.0
    end: float | None = None
    source_rate: int | None = None


class SpeechSource(Protocol):
    """Where recordings come from.

    Attributes:
        name: for tables and messages.
        notes: how many entries were left out, or kept with a fault, by fault; complete once all were read.
    """

    name: str
    notes: Counter[str]

    def count(self) -> int | None:
        """How many recordings there are, or None where only reading them would tell."""

    def recordings(self) -> Iterator[Recording]:
        """The recordings, always in the same order.

        Raises:
            CorpusError: the source cannot be read.
        """


def open_speech(source: str, *, corpus: str | None = None) -> SpeechSource:
    """The source that ``source`` names (see the table above).

    Args:
        source: a folder, a file, ``hf:...`` or ``lhotse:...``.
        corpus: the name its recordings carry; by default its own.

    Raises:
        CorpusError: there is no such source, it holds no recording, or a package that it needs is missing.
    """
    if source.startswith("hf:"):
        from unsilent.corpora.speech_hub import HubSpeech

        return HubSpeech(source.removeprefix("hf:"), corpus)
    if source.startswith("lhotse:"):
        from unsilent.corpora.speech_lhotse import LhotseSpeech

        return LhotseSpeech(Path(source.removeprefix("lhotse:")), corpus)
    path = Path(source)
    if path.is_dir():
        if any(path.glob("*.parquet")):
            return _parquet(path, corpus)
        return FolderSpeech(path, corpus)
    if not path.is_file():
        raise CorpusError(f"{source}: does not exist; give a folder, a list (.tsv .csv .jsonl), .parquet, or hf:NAME")
    if path.suffix.lower() == ".parquet":
        return _parquet(path, corpus)
    from unsilent.corpora.speech_lists import LIST_SUFFIXES, ListedSpeech

    if path.suffix.lower() in LIST_SUFFIXES:
        return ListedSpeech(path, corpus)
    raise CorpusError(f"{source}: is no list of recordings ({' '.join(LIST_SUFFIXES)}); give one, or a folder")


def _parquet(path: Path, corpus: str | None) -> SpeechSource:
    from unsilent.corpora.speech_hub import ParquetSpeech

    return ParquetSpeech(path, corpus)


class FolderSpeech:
    """The audio and video files of a folder, at any depth; hidden ones are left out, links to folders not followed.

    Raises:
        CorpusError: it holds none.
    """

    def __init__(self, root: Path, corpus: str | None = None) -> None:
        self.root, self.name, self.notes = root, str(root), Counter[str]()
        self._corpus = corpus or plain_name(root.resolve().name)
        self._paths = _media_files(root)
        if not self._paths:
            raise CorpusError(f"{root}: holds no audio file ({' '.join(sorted(AUDIO_SUFFIXES))}); name another folder")

    def count(self) -> int:
        """How many files there are."""
        return len(self._paths)

    def recordings(self) -> Iterator[Recording]:
        """The files in order of their names."""
        stems = Counter(path.relative_to(self.root).with_suffix("").as_posix() for path in self._paths)
        for path in self._paths:
            relative = path.relative_to(self.root)
            stem = relative.with_suffix("").as_posix()
            name = plain_name(stem if stems[stem] == 1 else relative.as_posix())
            speaker = plain_name(relative.parts[0]) if len(relative.parts) > 1 else self._corpus
            yield Recording(f"{self._corpus}/{name}", self._corpus, speaker, path, text=self._text(path))

    def _text(self, path: Path) -> str | None:
        file = path.with_suffix(".txt")
        try:
            return " ".join(file.read_text(encoding="utf-8-sig").split()) or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            self.notes["kept without text: transcript is no UTF-8"] += 1
            return None


def plain_name(name: str) -> str:
    """A name in one spelling on every system (macOS spells accents apart), without ``#``, which numbers pieces."""
    return unicodedata.normalize("NFC", name).replace("#", "_")


def _media_files(root: Path) -> list[Path]:
    suffixes = AUDIO_SUFFIXES | VIDEO_SUFFIXES
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [Path(folder, f) for f in files if Path(f).suffix.lower() in suffixes and not f.startswith(".")]
    return sorted(found)


def chosen(recordings: Iterable[Recording], names: Collection[str]) -> Iterator[Recording]:
    """The recordings whose name, with or without the corpus in front, is one of ``names``."""
    return (r for r in recordings if r.id in names or r.id.partition("/")[2] in names)


def hold_out(recordings: Sequence[Recording], by: str = "auto") -> list[Recording]:
    """Assign about 2 % to the split ``held-out`` and the rest to ``train``, by a stable hash.

    A recording whose corpus gives a split keeps it.

    Args:
        recordings: of any corpora.
        by: ``speaker`` holds whole speakers out, ``recording`` single recordings, ``auto`` speakers in a corpus of 50
            or more and recordings in a smaller one, ``none`` assigns everything to ``train``.
    """
    speakers: dict[str, set[str]] = {}
    for recording in recordings:
        speakers.setdefault(recording.corpus, set()).add(recording.speaker)
    many = {corpus for corpus, names in speakers.items() if len(names) >= _MANY_SPEAKERS}
    return [
        assigned(r, by_speaker=by == "speaker" or (by == "auto" and r.corpus in many), none=by == "none")
        for r in recordings
    ]


def assigned(recording: Recording, *, by_speaker: bool, none: bool = False) -> Recording:
    """The recording with its split: its own if it has one, else by a hash of its speaker or of its name."""
    if recording.split is not None:
        return recording
    identity = f"{recording.corpus}/{recording.speaker}" if by_speaker else recording.id
    fraction = int.from_bytes(hashlib.sha256(identity.encode("utf-8", "replace")).digest()[:8], "big") / 2**64
    return replace(recording, split=HELD_OUT if fraction < _HELD_OUT_SHARE and not none else TRAIN)
