"""Writing rows into numbered shard files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from unsilent.errors import OutputError, ShardError
from unsilent.files import atomic_path
from unsilent.shards.schema import CLIPS, SHARD_BYTES, ShardFormat

__all__ = ["ShardWriter"]

_ROW_OVERHEAD: Final = 512


class _DiscardError(Exception):
    """Tells ``atomic_path`` to throw the unfinished file away."""


class ShardWriter:
    """Writes rows into ``folder`` as ``clips-00000.parquet``, ``clips-00001.parquet`` ...; or as the layout says.

    Numbering goes on after the shards that are there. A shard appears under its name only when it is complete.
    As a context manager, an exception in the block throws the unfinished shard away.

    Args:
        folder: made if missing.
        shard_bytes: a file is closed once it holds this much.
        row_group_bytes: upper bound of a row group (a single larger row has one to itself); the format's by default.
        layout: the kind of shard.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        shard_bytes: int = SHARD_BYTES,
        row_group_bytes: int | None = None,
        layout: ShardFormat = CLIPS,
    ) -> None:
        self.folder, self.layout = Path(folder), layout
        self.shard_bytes = shard_bytes
        self.row_group_bytes = layout.row_group_bytes if row_group_bytes is None else row_group_bytes
        self.finished: list[Path] = []
        stems = [path.stem.removeprefix(f"{layout.stem}-") for path in self.folder.glob(f"{layout.stem}-*.parquet")]
        numbers = [int(number) for number in stems if number.isdigit()]
        self._next = max(numbers, default=-1) + 1
        self._rows: list[Mapping[str, Any]] = []
        self._buffered = self._written = 0
        self._file: AbstractContextManager[Path] | None = None
        self._parquet: pq.ParquetWriter | None = None

    def write(self, row: Mapping[str, Any]) -> Path | None:
        """Add one row (a mapping with the columns of the format's schema).

        Returns:
            The path of the shard that this row completed, else None.

        Raises:
            ShardError: the row lacks a column or one does not fit.
            OutputError: the folder cannot be written.
        """
        return self.write_all([row])

    def write_all(self, rows: Iterable[Mapping[str, Any]]) -> Path | None:
        """Add rows that belong into one shard; returns and raises as :meth:`write`."""
        for row in rows:
            self._add(row)
        return self._finish() if self._written + self._buffered >= self.shard_bytes else None

    def _add(self, row: Mapping[str, Any]) -> None:
        columns = self.layout.schema
        missing = [f.name for f in columns if f.name not in row or (row[f.name] is None and not f.nullable)]
        if missing:
            raise ShardError(f"{self.folder}: clip {row.get('id')} lacks {', '.join(missing)}")
        size = len(row.get("crops", b"")) + len(row["audio"]["bytes"]) + 5 * row.get("frames", 0) + _ROW_OVERHEAD
        if self._rows and self._buffered + size > self.row_group_bytes:
            self._flush()
        self._rows.append(row)
        self._buffered += size

    def close(self) -> Path | None:
        """Finish the last shard; returns its path, or None if there was nothing to write."""
        return self._finish() if self._rows or self._parquet else None

    def discard(self) -> None:
        """Throw the unfinished shard away."""
        self._rows, self._buffered, self._written = [], 0, 0
        if self._parquet is not None:
            with suppress(OSError):  # it writes its end, for which a full disk has no room
                self._parquet.close()
        file, self._file, self._parquet = self._file, None, None
        if file is not None:
            with suppress(_DiscardError):
                file.__exit__(_DiscardError, _DiscardError(), None)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _flush(self) -> None:
        try:
            table = pa.Table.from_pylist(list(self._rows), schema=self.layout.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            where = f"{self.folder}: a row from clip {self._rows[0]['id']} on"
            raise ShardError(f"{where} does not fit the schema: {str(error).splitlines()[0]}") from error
        if self._parquet is None:
            self._file = atomic_path(self._path())
            self._parquet = pq.ParquetWriter(
                self._file.__enter__(),
                self.layout.schema,
                compression=dict.fromkeys(self.layout.text, "zstd"),
                use_dictionary=list(self.layout.repeated),
                write_statistics=list(self.layout.statistics),
                write_page_checksum=True,
            )
        with self._full_disk():
            self._parquet.write_table(table, row_group_size=len(self._rows))
        self._written += self._buffered
        self._rows, self._buffered = [], 0

    @contextmanager
    def _full_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{self._path()}: cannot be written ({reason}); make room and run it again") from error

    def _path(self) -> Path:
        return self.folder / f"{self.layout.stem}-{self._next:05d}.parquet"

    def _finish(self) -> Path:
        if self._rows:
            self._flush()
        assert self._parquet is not None
        assert self._file is not None
        with self._full_disk():
            self._parquet.close()
        self._parquet = None
        file, self._file = self._file, None
        file.__exit__(None, None, None)
        path = self._path()
        self.finished.append(path)
        self._next, self._written = self._next + 1, 0
        return path
