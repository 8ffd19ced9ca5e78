"""Recordings named by a list: ``.tsv``, ``.csv`` or ``.jsonl``, one a line, with whatever columns there are."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from unsilent.corpora.speech import Recording, plain_name
from unsilent.errors import CorpusError

__all__ = ["COLUMNS", "LIST_SUFFIXES", "ListedSpeech", "column", "recording_of"]

LIST_SUFFIXES: Final = (".tsv", ".csv", ".jsonl")
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("path", "audio_filepath", "audio_path", "file", "filename", "wav"),
    "id": ("id", "audio_id", "utt_id", "utterance_id", "segment_id"),
    "corpus": ("corpus", "dataset"),
    "speaker": ("speaker", "speaker_id", "client_id", "spk", "reader"),
    "text": ("text", "transcript", "transcription", "sentence", "raw_text", "text_normalized", "normalized_text"),
    "language": ("language", "lang", "locale"),
    "licence": ("licence", "license"),
    "split": ("split",),
    "source_rate": ("source_rate", "source_sample_rate"),
}
"""What we call a column -> the names it goes by, the first that is there counts."""


class ListedSpeech:
    """The files that a list names, relative to the list's folder.

    Raises:
        CorpusError: it cannot be read, has no column of paths, or names no file.
    """

    def __init__(self, path: Path, corpus: str | None = None) -> None:
        self.path, self.name, self.notes = path, str(path), Counter[str]()
        self._corpus = corpus
        self._rows = list(_json_rows(path) if path.suffix.lower() == ".jsonl" else _table_rows(path))
        if not self._rows:
            raise CorpusError(f"{path}: names no recording; give one a line")
        if not any(column(row, "path") for row in self._rows):
            known = ", ".join(sorted({str(key) for row in self._rows[:100] for key in row}))
            raise CorpusError(f"{path}: has no column path; there is: {known[:200]}")

    def count(self) -> int:
        """How many lines there are."""
        return len(self._rows)

    def recordings(self) -> Iterator[Recording]:
        """The files in the order of the list; lines without a path, and names that came before, are left out."""
        seen: set[str] = set()
        for row in self._rows:
            path = column(row, "path")
            if path is None:
                self.notes["left out: line without a path"] += 1
                continue
            corpus = self._corpus or column(row, "corpus") or plain_name(self.path.resolve().parent.name)
            name = column(row, "id") or Path(path).with_suffix("").as_posix().lstrip("./")
            recording = recording_of(row, corpus, name, self.path.parent / path)
            if recording.id in seen:
                self.notes["left out: name came before"] += 1
                continue
            seen.add(recording.id)
            yield recording


def column(row: Mapping[str, Any], name: str) -> str | None:
    """A column of a row by our name for it, as text; None where it is missing or empty."""
    for key in COLUMNS[name]:
        value = row.get(key)
        if value is not None and not isinstance(value, dict | list) and str(value).strip():
            return " ".join(str(value).split())
    return None


def recording_of(
    row: Mapping[str, Any], corpus: str, name: str, path: Path | None, data: bytes | None = None
) -> Recording:
    """The recording that a row describes; without a speaker, each corpus is one speaker."""
    identity = plain_name(name.removeprefix(f"{corpus}/"))
    return Recording(
        id=f"{corpus}/{identity}",
        corpus=corpus,
        speaker=plain_name(column(row, "speaker") or corpus),
        path=path,
        data=data,
        source_rate=_rate(column(row, "source_rate")),
        text=column(row, "text"),
        language=column(row, "language"),
        licence=column(row, "licence"),
        split=column(row, "split"),
    )


def _rate(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0 else None


def _table_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    tabs = path.suffix.lower() == ".tsv"
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            # Quotation marks in a tab-separated transcript are the speaker's, not the format's.
            yield from (csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: cannot be read as a table ({error}); save it as UTF-8 text") from error


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    number = 0
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise CorpusError(f"{path}: line {number} is no object; give one {{...}} a line")
                    yield row
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: line {number} is no JSON ({error}); give one object a line") from error
