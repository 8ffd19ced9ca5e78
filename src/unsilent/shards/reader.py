"""Reading shards: any clip by its index, with flat memory."""

from __future__ import annotations

import bisect
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from unsilent.corpora.base import Word
from unsilent.errors import ShardError
from unsilent.shards.codec import decode_audio, decode_crops
from unsilent.shards.schema import SCHEMA, SCHEMA_NAME

__all__ = ["ClipRow", "ShardReader", "shard_files"]

_INDEX_COLUMNS: Final = ("id", "speaker", "split", "frames")
_OPEN_FILES: Final = 16


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One clip out of a shard. Pictures and sound stay packed until :meth:`crops` and :meth:`audio` are called."""

    id: str
    corpus: str
    speaker: str
    split: str | None
    text: str | None
    words: tuple[Word, ...]
    fps: float
    frames: int
    sample_rate: int
    samples: int
    valid: NDArray[np.bool_]
    """(T,); False where the crop is interpolated."""
    aperture: NDArray[np.float32]
    """(T,); opening of the inner lips over the width of the mouth."""
    source_sha256: str
    crops_png: bytes
    audio_flac: bytes
    shard: str
    """The file the row came from, for messages."""

    def crops(self) -> NDArray[np.uint8]:
        """The mouth crops, (T, 96, 96) grey. Raises ShardError if they are damaged."""
        return decode_crops(self.crops_png, self.frames, f"{self.shard}: clip {self.id}")

    def audio(self) -> NDArray[np.float32]:
        """The sound, (samples,) in [-1, 1). Raises ShardError if it is damaged."""
        return decode_audio(self.audio_flac, self.samples, f"{self.shard}: clip {self.id}")


def _clip_row(row: Mapping[str, Any], shard: str) -> ClipRow:
    words = tuple(Word(word["word"], word["start"], word["end"]) for word in row["words"] or ())
    valid, aperture = np.asarray(row["valid"], np.bool_), np.asarray(row["aperture"], np.float32)
    if not len(valid) == len(aperture) == row["frames"]:
        raise ShardError(f"{shard}: clip {row['id']} has lists of other lengths than its frames; prepare it again")
    return ClipRow(
        words=words,
        valid=valid,
        aperture=aperture,
        crops_png=row["crops"],
        audio_flac=row["audio"]["bytes"] or b"",
        shard=shard,
        **{key: row[key] for key in ("id", "corpus", "speaker", "split", "text", "fps", "frames")},
        **{key: row[key] for key in ("sample_rate", "samples", "source_sha256")},
    )


def shard_files(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The shard files meant by a folder, a file, or several of them, folders in order of file names.

    Raises:
        ShardError: a path does not exist, or a folder holds no ``.parquet`` file.
    """
    files: list[Path] = []
    for path in [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]:
        if path.is_dir():
            found = sorted(file for file in path.glob("*.parquet") if not file.name.startswith("."))
            if not found:
                raise ShardError(f"{path}: holds no .parquet shard; run `unsilent prepare` first")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise ShardError(f"{path}: does not exist; name a folder of shards that `unsilent prepare` wrote")
    return files


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path}: is no complete Parquet file; delete it and prepare the corpus again") from error
    schema = file.schema_arrow
    name = (schema.metadata or {}).get(b"unsilent.schema", SCHEMA_NAME.encode()).decode(errors="replace")
    missing = [field.name for field in SCHEMA if field.name not in schema.names]
    other = [f.name for f in SCHEMA if f.name in schema.names and not schema.field(f.name).type.equals(f.type)]
    if name != SCHEMA_NAME:
        problem = f"has schema {name}, not {SCHEMA_NAME}"
    elif missing:
        problem = f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
    elif other:
        problem = ", ".join(f"column {c} is {schema.field(c).type}, not {SCHEMA.field(c).type}" for c in other)
    else:
        return file
    raise ShardError(f"{path}: {problem}; prepare the corpus again with this version")


@dataclass(frozen=True, slots=True)
class _Group:
    file: int
    number: int


class ShardReader(Sequence[ClipRow]):
    """Random access to the clips of shards, with flat memory: only the last few row groups are held.

    Rows of one row group are cheap to read together, so iterate group by group where order is free: see
    :attr:`groups`. The reader can be sent to other processes (spawned or forked). It is not meant for several threads.

    Args:
        paths: a folder of shards, a file, or several of them.
        split: keep only the clips of this split (or these).
        cache_groups: how many row groups are held in memory.

    Raises:
        ShardError: a file is missing, truncated or has another schema; or no clip is of that split.
    """

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
        for number, path in enumerate(self.files):
            file = _open(path)
            for group in range(file.num_row_groups):
                self._groups.append(_Group(number, group))
                starts.append(starts[-1] + file.metadata.row_group(group).num_rows)
            tables.append(_read(path, partial(file.read, columns=list(_INDEX_COLUMNS), use_threads=False)))
            file.close()
        self._starts = starts
        self._index = pa.concat_tables([table.replace_schema_metadata(None) for table in tables]).combine_chunks()
        self._rows = np.arange(starts[-1])
        self._reset()
        if split is not None:
            self._rows = self.select(split)._rows

    def _reset(self) -> None:
        self._pid = -1
        self._open_files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()

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
    def __getitem__(self, index: int) -> ClipRow: ...

    @overload
    def __getitem__(self, index: slice) -> list[ClipRow]: ...

    def __getitem__(self, index: int | slice) -> ClipRow | list[ClipRow]:
        """Clip ``index``, pictures and sound still packed. Raises ShardError if its row group is damaged."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = int(self._rows[index])
        group = bisect.bisect_right(self._starts, row) - 1
        table = self._table(group)
        position = row - self._starts[group]
        return _clip_row(table.slice(position, 1).to_pylist()[0], str(self.files[self._groups[group].file]))

    def __iter__(self) -> Iterator[ClipRow]:
        return (self[i] for i in range(len(self)))

    @property
    def ids(self) -> list[str]:
        """The clips' names, in order."""
        return self._column("id")

    @property
    def speakers(self) -> list[str]:
        """The clips' speakers, in order."""
        return self._column("speaker")

    @property
    def splits(self) -> list[str | None]:
        """The clips' splits, in order."""
        return self._column("split")

    @property
    def frames(self) -> NDArray[np.int32]:
        """The clips' lengths in frames, (len(self),)."""
        return np.asarray(self._index["frames"].to_numpy()[self._rows], np.int32)

    @property
    def groups(self) -> list[NDArray[np.int64]]:
        """Indices into this reader, one array for each row group that holds any of its clips, in order."""
        numbers = np.searchsorted(self._starts, self._rows, side="right")
        edges = np.flatnonzero(np.diff(numbers)) + 1
        return [part for part in np.split(np.arange(len(self._rows)), edges) if len(part)]

    def select(self, split: str | Iterable[str]) -> ShardReader:
        """A reader of only the clips of one split (or several).

        Raises:
            ShardError: there is none; the message names the splits there are.
        """
        wanted = {split} if isinstance(split, str) else set(split)
        splits = self.splits
        chosen = [i for i, name in enumerate(splits) if name in wanted]
        if not chosen:
            known = ", ".join(sorted({name for name in splits if name is not None})) or "none"
            raise ShardError(f"{self.files[0].parent}: no clip of split {', '.join(sorted(wanted))}; there is: {known}")
        return self._take(chosen)

    def _take(self, indices: Sequence[int]) -> ShardReader:
        other = object.__new__(ShardReader)
        other.__setstate__(self.__getstate__())
        other._rows = self._rows[np.asarray(indices, np.int64)]
        return other

    def _column(self, name: str) -> list[Any]:
        values: list[Any] = self._index[name].take(pa.array(self._rows)).to_pylist()
        return values

    def _table(self, group: int) -> pa.Table:
        if self._pid != os.getpid():
            self._reset()
            self._pid = os.getpid()
        if group not in self._cache:
            while len(self._cache) >= self.cache_groups:
                self._cache.popitem(last=False)
            place = self._groups[group]
            file = self._file(place.file)
            self._cache[group] = _read(
                self.files[place.file],
                partial(file.read_row_group, place.number, columns=SCHEMA.names, use_threads=False),
            )
        self._cache.move_to_end(group)
        return self._cache[group]

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._open_files:
            while len(self._open_files) >= _OPEN_FILES:
                self._open_files.popitem(last=False)[1].close()
            self._open_files[number] = _open(self.files[number])
        self._open_files.move_to_end(number)
        return self._open_files[number]


def _read(path: Path, read: Callable[[], pa.Table]) -> pa.Table:
    try:
        return read()
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path}: cannot be read, it is damaged; delete it and prepare the corpus again") from error
