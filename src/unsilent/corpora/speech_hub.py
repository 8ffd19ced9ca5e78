"""Recordings inside of tables: Parquet with an audio column, and data sets of the Hugging Face hub, streamed.

Such a column is a struct of ``bytes`` (the content of an audio file) and ``path``. The bytes are taken as they are;
no decoder of ``datasets`` is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from unsilent.corpora.speech import Recording, plain_name
from unsilent.corpora.speech_lists import column, recording_of
from unsilent.errors import CorpusError

__all__ = ["HubSpeech", "ParquetSpeech"]

_BATCH: Final = 16


class ParquetSpeech:
    """The rows of a Parquet file, or of all in a folder, that have an audio column.

    Raises:
        CorpusError: a file cannot be read, or has no audio column.
    """

    def __init__(self, path: Path, corpus: str | None = None) -> None:
        self.name, self.notes = str(path), Counter[str]()
        self._corpus = corpus or plain_name(path.resolve().stem)
        self._files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        self._columns: dict[Path, str] = {}
        self._count = 0
        for file in self._files:
            try:
                opened = pq.ParquetFile(file)
                schema = opened.schema_arrow
            except (pa.ArrowException, OSError, UnicodeError) as error:
                raise CorpusError(f"{file}: is no complete Parquet file; download or write it again") from error
            self._columns[file] = _audio_column(file, schema)
            self._count += opened.metadata.num_rows
            opened.close()

    def count(self) -> int:
        """How many rows there are."""
        return self._count

    def recordings(self) -> Iterator[Recording]:
        """The rows in their order.

        Raises:
            CorpusError: a file is damaged.
        """
        for file in self._files:
            yield from _recordings(_rows(file), self._columns[file], self._corpus, file.stem, self.notes)


def _audio_column(file: Path, schema: pa.Schema) -> str:
    for field in schema:
        if pa.types.is_struct(field.type) and any(inner.name == "bytes" for inner in field.type):
            return str(field.name)
    raise CorpusError(f"{file}: has no audio column (struct of bytes and path); there is: {', '.join(schema.names)}")


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    # Pictures and other large columns are left in the file.
    with pq.ParquetFile(file) as opened:
        wanted = [field.name for field in opened.schema_arrow if not pa.types.is_binary(field.type)]
        try:
            for batch in opened.iter_batches(batch_size=_BATCH, columns=wanted, use_threads=False):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise CorpusError(f"{file}: is damaged; download or write it again") from error


def _recordings(
    rows: Iterable[Mapping[str, Any]], audio: str, corpus: str, source: str, notes: Counter[str]
) -> Iterator[Recording]:
    for number, row in enumerate(rows):
        held = row.get(audio) or {}
        data, path = held.get("bytes"), held.get("path")
        if not data and not (path and Path(path).is_file()):
            notes["left out: row without sound"] += 1
            continue
        # A file's name within the data set may repeat; the row's number in its source does not.
        stem = PurePosixPath(str(path).replace("\\", "/")).stem if path else "row"
        name = column(row, "id") or f"{source}/{number:07d}-{stem}"
        yield recording_of(row, corpus, name, None if data else Path(str(path)), data or None)


class HubSpeech:
    """A data set of the Hugging Face hub, streamed: ``NAME[@REVISION][:CONFIG[:SPLIT]]``, the newest revision and split
    ``train`` by default.

    Raises:
        CorpusError: the package ``datasets`` is missing, or there is no such data set, or it cannot be reached.
    """

    def __init__(self, name: str, corpus: str | None = None) -> None:
        self.name, self.notes = f"hf:{name}", Counter[str]()
        dataset, _, rest = name.partition(":")
        dataset, _, revision = dataset.partition("@")
        config, _, split = rest.partition(":")
        self._corpus = corpus or plain_name(dataset.rpartition("/")[2])
        self._source = "-".join(part for part in (config, split or "train") if part)
        try:
            import datasets
        except ImportError as error:
            raise CorpusError(f"{self.name}: needs the package datasets; pip install 'unsilent[hub]'") from error
        try:
            stream = datasets.load_dataset(
                dataset, config or None, split=split or "train", revision=revision or None, streaming=True
            )
        except Exception as error:
            raise CorpusError(f"{self.name}: cannot be opened ({_first_line(error)}); check the name") from error
        audio = [key for key, feature in (stream.features or {}).items() if isinstance(feature, datasets.Audio)]
        if not audio:
            known = ", ".join(stream.features or {}) or "unknown"
            raise CorpusError(f"{self.name}: has no audio column; there is: {known}")
        self._audio = audio[0]
        self._stream = stream.cast_column(self._audio, datasets.Audio(decode=False))

    def count(self) -> None:
        """Unknown: the data set is a stream."""

    def recordings(self) -> Iterator[Recording]:
        """The rows in their order.

        Raises:
            CorpusError: the connection broke; the same command goes on later.
        """
        found = _recordings(iter(self._stream), self._audio, self._corpus, self._source, self.notes)
        while True:
            try:
                recording = next(found)
            except StopIteration:
                return
            except Exception as error:
                raise CorpusError(f"{self.name}: broke off ({_first_line(error)}); run again to go on") from error
            yield recording


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
