"""Random access to the rows of Parquet files with flat memory, whatever their columns."""

from __future__ import annotations

import bisect
import os
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from unsilent.errors import ShardError
from unsilent.files import kept, list_files, url_of
from unsilent.shards.schema import ShardFormat

__all__ = ["ParquetRows", "schema_name", "shard_files"]

RowT = TypeVar("RowT")

_OPEN_FILES: Final = 16
_MOST_GROUP_BYTES: Final = 1 << 29


def shard_files(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The shard files meant by a folder, a file, a URL of either, or several of them, folders in order of file names.

    Files at a URL are fetched into the cache, once.

    Raises:
        ShardError: a path does not exist, or a folder holds no ``.parquet`` file.
    """
    files: list[Path] = []
    for place in [paths] if isinstance(paths, str | Path) else paths:
        path, url = Path(place), url_of(place)
        if url is not None:
            files += _fetched(url)
        elif path.is_dir():
            found = sorted(file for file in path.iterdir() if _is_shard(file.name))
            if not found:
                raise ShardError(f"{path}: holds no .parquet shard; run `unsilent prepare` first")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise ShardError(f"{path}: does not exist; name a folder of shards that `unsilent prepare` wrote")
    return files


def _fetched(url: str) -> list[Path]:
    if url.endswith(".parquet"):
        folder, _, _ = url.rpartition("/")
        there = [file for file in list_files(folder, below=False) if file.url == url]
    else:
        there = [file for file in list_files(url, below=False) if _is_shard(file.url.removeprefix(f"{url}/"))]
    if not there:
        raise ShardError(f"{url}: holds no .parquet shard; run `unsilent prepare` first, or check the address")
    return [kept(file) for file in there]


def _is_shard(name: str) -> bool:
    return name.endswith(".parquet") and not name.startswith(".")


def schema_name(path: Path) -> str | None:
    """What a Parquet file's ``unsilent.schema`` says, or None where it says nothing.

    Raises:
        ShardError: the file is truncated or no Parquet.
    """
    name = (_file(path).schema_arrow.metadata or {}).get(b"unsilent.schema")
    return None if name is None else name.decode(errors="replace")


def _file(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        _ = file.schema_arrow  # a damaged name of a column shows here
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ShardError(f"{path}: is no complete Parquet file; delete it and prepare the corpus again") from error
    return file


def _open(path: Path, layout: ShardFormat) -> pq.ParquetFile:
    file = _file(path)
    schema, wanted = file.schema_arrow, layout.schema
    name = (schema.metadata or {}).get(b"unsilent.schema", layout.name.encode()).decode(errors="replace")
    missing = [field.name for field in wanted if field.name not in schema.names]
    other = [f.name for f in wanted if f.name in schema.names and not schema.field(f.name).type.equals(f.type)]
    if name != layout.name:
        problem = f"has schema {name}, not {layout.name}"
    elif missing:
        problem = f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
    elif other:
        problem = ", ".join(f"column {c} is {schema.field(c).type}, not {wanted.field(c).type}" for c in other)
    else:
        return file
    raise ShardError(f"{path}: {problem}; prepare the corpus again with this version")


def _check_size(path: Path, metadata: pq.FileMetaData) -> None:
    """Refuse what would unpack to absurd size: equal rows pack into nothing."""
    largest = max((metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)), default=0)
    if metadata.num_rows > path.stat().st_size or largest > _MOST_GROUP_BYTES:
        raise ShardError(
            f"{path}: claims {metadata.num_rows} rows in groups of up to {largest / 1e9:.1f} GB, which no shard of its "
            "size holds; delete it and prepare the corpus again"
        )


@dataclass(frozen=True, slots=True)
class _Group:
    file: int
    number: int


class ParquetRows(Sequence[RowT], ABC, Generic[RowT]):
    """Rows of Parquet files by their index; only the last few row groups are held in memory.

    Rows of one row group are cheap to read together, so iterate group by group where order is free: see
    :attr:`groups`. The reader can be sent to other processes (spawned or forked). It is not meant for several threads.

    Args:
        paths: a folder of shards, a file, or several of them; the same file may be named many times.
        split: keep only the rows of this split (or these).
        cache_groups: how many row groups are held in memory.

    Raises:
        ShardError: a file is missing, truncated or has another schema; or no row is of that split.
    """

    layout: ClassVar[ShardFormat]
    index_columns: ClassVar[tuple[str, ...]]
    """Columns that are read at once and kept in memory; ``split`` is among them."""
    columns: ClassVar[tuple[str, ...]]
    """Columns that are read for a row."""

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        split: str | Iterable[str] | None = None,
        cache_groups: int = 2,
    ) -> None:
        self.files = shard_files(paths)
        self.cache_groups = max(1, cache_groups)
        self._groups: list[_Group] = []
        starts: list[int] = [0]
        tables = []
        seen: dict[Path, tuple[list[int], pa.Table]] = {}
        for number, path in enumerate(self.files):
            if path not in seen:
                seen[path] = self._scan(path)
            sizes, table = seen[path]
            for group, size in enumerate(sizes):
                self._groups.append(_Group(number, group))
                starts.append(starts[-1] + size)
            tables.append(table)
        self._starts = starts
        self._index = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        self._rows = np.arange(starts[-1])
        self._reset()
        if split is not None:
            self._rows = self.select(split)._rows

    def _scan(self, path: Path) -> tuple[list[int], pa.Table]:
        """The number of rows in each row group of a file, and its index columns."""
        file = _open(path, self.layout)
        _check_size(path, file.metadata)
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        table = _read(path, partial(file.read, columns=list(self.index_columns), use_threads=False))
        file.close()
        # The splits' names are few: a dictionary takes 4 bytes a row instead of the text.
        place = table.schema.get_field_index("split")
        table = table.set_column(place, "split", table["split"].dictionary_encode())
        return sizes, table.replace_schema_metadata(None)

    @abstractmethod
    def _make(self, row: Mapping[str, Any], shard: str) -> RowT:
        """The row object of a row's columns; ``shard`` is its file, for messages."""

    def _reset(self) -> None:
        self._pid = -1
        self._open_files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._cache: OrderedDict[tuple[Path, int], pa.Table] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        # Open files and cached groups stay behind: each process reads its own.
        state = self.__dict__.copy()
        for name in ("_pid", "_open_files", "_cache"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> RowT: ...

    @overload
    def __getitem__(self, index: slice) -> list[RowT]: ...

    def __getitem__(self, index: int | slice) -> RowT | list[RowT]:
        """Row ``index``, pictures and sound still packed. Raises ShardError if its row group is damaged."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = int(self._rows[index])
        group = bisect.bisect_right(self._starts, row) - 1
        table = self._table(group)
        position = row - self._starts[group]
        path = self.files[self._groups[group].file]
        values = _read(path, table.slice(position, 1).to_pylist)[0]
        return self._make(values, str(path))

    def __iter__(self) -> Iterator[RowT]:
        return (self[i] for i in range(len(self)))

    @property
    def splits(self) -> list[str | None]:
        """The rows' splits, in order."""
        return self._column("split")

    @property
    def groups(self) -> list[NDArray[np.int64]]:
        """Indices into this reader, one array for each row group that holds any of its rows, in order."""
        return np.split(np.arange(len(self._rows)), np.cumsum(self.group_sizes)[:-1])

    @property
    def group_sizes(self) -> NDArray[np.int64]:
        """Number of this reader's rows in each row group that holds any, in order."""
        numbers = np.searchsorted(self._starts, self._rows, side="right")
        return np.diff(np.flatnonzero(np.diff(numbers, prepend=-1, append=-1)))

    def counts(self, *names: str) -> Counter[tuple[Any, ...]]:
        """How many of the rows have which values in columns ``names``; read file by file."""
        found: Counter[tuple[Any, ...]] = Counter()
        for number, path in enumerate(self.files):
            groups = [at for at, group in enumerate(self._groups) if group.file == number]
            if not groups:
                continue
            first, last = self._starts[groups[0]], self._starts[groups[-1] + 1]
            own = self._rows[(self._rows >= first) & (self._rows < last)] - first
            if len(own):
                table = _read(path, partial(self._file(number).read, columns=list(names), use_threads=False))
                chosen = table.take(pa.array(own)).to_pydict()
                found.update(zip(*(chosen[name] for name in names), strict=True))
        return found

    def select(self, split: str | Iterable[str]) -> Self:
        """A reader of only the rows of one split (or several).

        Raises:
            ShardError: there is none; the message names the splits there are.
        """
        wanted = {split} if isinstance(split, str) else set(split)
        column = self._index["split"].combine_chunks()
        names = column.dictionary.to_pylist()
        numbers = column.indices.fill_null(len(names)).to_numpy()[self._rows]
        chosen = np.flatnonzero(np.isin(numbers, [number for number, name in enumerate(names) if name in wanted]))
        if not len(chosen):
            known = ", ".join(sorted({name for name in self.splits if name is not None})) or "none"
            raise ShardError(f"{self.files[0].parent}: no clip of split {', '.join(sorted(wanted))}; there is: {known}")
        return self.take(chosen)

    def take(self, indices: NDArray[np.int64]) -> Self:
        """A reader of only the rows at ``indices``, which rise."""
        other = object.__new__(type(self))
        other.__setstate__(self.__getstate__())
        other._rows = self._rows[indices]
        return other

    def _column(self, name: str) -> list[Any]:
        values: list[Any] = _read(self.files[0], self._index[name].take(pa.array(self._rows)).to_pylist)
        return values

    def _table(self, group: int) -> pa.Table:
        if self._pid != os.getpid():
            self._reset()
            self._pid = os.getpid()
        place = self._groups[group]
        # By path, not by the file's place in the list: a file that is named many times is held once.
        key = (self.files[place.file], place.number)
        if key not in self._cache:
            while len(self._cache) >= self.cache_groups:
                self._cache.popitem(last=False)
            file = self._file(place.file)
            self._cache[key] = _read(
                self.files[place.file],
                partial(file.read_row_group, place.number, columns=list(self.columns), use_threads=False),
            )
        self._cache.move_to_end(key)
        return self._cache[key]

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._open_files:
            while len(self._open_files) >= _OPEN_FILES:
                self._open_files.popitem(last=False)[1].close()
            self._open_files[number] = _open(self.files[number], self.layout)
        self._open_files.move_to_end(number)
        return self._open_files[number]


def _read(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ShardError(f"{path}: cannot be read, it is damaged; delete it and prepare the corpus again") from error
