"""What a folder of shards was made from, so that a later run knows what is done.

Beside ``clips-00000.parquet`` lies ``records/clips-00000.jsonl``, one line a clip that went into the shard or was
dropped on the way to it; ``manifest.json`` sums up the folder. Each is written once the shard has its name.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from unsilent._version import __version__
from unsilent.corpora.base import Clip
from unsilent.errors import OutputError, ShardError
from unsilent.files import atomic_path, sha256_file
from unsilent.shards import SCHEMA_NAME, ShardReader

__all__ = ["Ledger", "Source"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """The file behind one clip, and what became of it (``reason`` is None if it became a row)."""

    id: str
    split: str | None
    bytes: int
    mtime_ns: int
    sha256: str | None
    reason: str | None = None
    detail: str | None = None
    version: str = __version__

    @classmethod
    def of(cls, clip: Clip, sha256: str | None, reason: str | None = None, detail: str | None = None) -> Source:
        """Describe the clip's file as it is now (size 0 if it is gone)."""
        size, mtime_ns = _stat(clip.path)
        return cls(clip.id, clip.split, size, mtime_ns, sha256, reason, detail)


class Ledger:
    """The records of one folder of shards; as a context manager it keeps other runs out of the folder.

    Raises:
        OutputError: the folder cannot be written, or another run has it.
        ShardError: its shards are damaged, or of another corpus.
    """

    def __init__(self, folder: Path, corpus: str) -> None:
        self.folder, self.corpus = folder, corpus
        self._known: dict[str, Source] = {}
        self._new: list[Source] = []
        self._lock: IO[str] | None = None

    def __enter__(self) -> Ledger:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / ".lock", "w")
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written ({error.strerror}); choose another folder") from error
        if not _lock(self._lock):
            self._lock.close()
            raise OutputError(f"{self.folder}: another run is writing it; wait for it, or choose another folder")
        try:
            for partial in self.folder.glob(".clips-*.partial.parquet"):
                partial.unlink()
            self._load()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._lock is not None:
            self._lock.close()

    def find(self, clip: Clip) -> Source | None:
        """The record of a clip that need not be prepared again, or None if it has to be.

        Raises:
            ShardError: it was prepared from other content, or as part of another split.
        """
        known = self._known.get(clip.id)
        if known is None or (known.reason is not None and known.version != __version__):
            return None
        size, mtime_ns = _stat(clip.path)
        same = (size, mtime_ns) == (known.bytes, known.mtime_ns)
        if known.reason is not None:
            return known if same else None
        if not same and (not size or sha256_file(clip.path) != known.sha256):
            raise ShardError(f"{clip.path}: has changed since {self.folder} was prepared; prepare into another folder")
        if known.split != clip.split:
            there, here = known.split or "none", clip.split or "none"
            raise ShardError(
                f"{self.folder}: holds {clip.id} as split {there}, not {here}; prepare into another folder"
            )
        return known

    def add(self, source: Source) -> None:
        """Note what became of a clip; :meth:`commit` makes it last."""
        self._new.append(source)

    def commit(self, shard: Path | None) -> None:
        """Write down what was added since the last time; ``shard`` is now finished (None: nothing but drops)."""
        if self._new:
            records = self.folder / "records"
            number = sum(1 for _ in records.glob("dropped-*.jsonl")) if records.is_dir() else 0
            name = f"dropped-{number:05d}" if shard is None else shard.stem
            with atomic_path(records / f"{name}.jsonl") as path:
                path.write_text("".join(json.dumps(asdict(source)) + "\n" for source in self._new), encoding="utf-8")
            self._known.update((source.id, source) for source in self._new)
            self._new = []
        with atomic_path(self.folder / "manifest.json") as path:
            path.write_text(json.dumps(self.summary(), indent=2) + "\n", encoding="utf-8")

    def summary(self) -> dict[str, Any]:
        """What the folder holds: versions, number of rows by split, of dropped clips by reason, shard files."""
        rows = [source for source in self._known.values() if source.reason is None]
        dropped = [source for source in self._known.values() if source.reason is not None]
        return {
            "schema": SCHEMA_NAME,
            "unsilent": __version__,
            "corpus": self.corpus,
            "clips": len(rows),
            "splits": dict(sorted(Counter(source.split or "none" for source in rows).items())),
            "dropped": dict(sorted(Counter(str(source.reason) for source in dropped).items())),
            "dropped_clips": {source.id: source.detail for source in dropped},
            "shards": sorted(path.name for path in self.folder.glob("clips-*.parquet")),
        }

    def _load(self) -> None:
        manifest = self.folder / "manifest.json"
        if manifest.is_file():
            corpus = _json(manifest).get("corpus")
            if self.corpus and corpus and corpus != self.corpus:
                raise ShardError(f"{self.folder}: holds corpus {corpus}, not {self.corpus}; choose another folder")
        records = {path.stem: path for path in (self.folder / "records").glob("*.jsonl")}
        # Drops first: a clip that was repaired later is in a shard's record as well.
        for stem in sorted(records, key=lambda stem: (stem.startswith("clips"), stem)):
            if stem.startswith("clips") and not (self.folder / f"{stem}.parquet").is_file():
                _log.warning("%s: the shard is gone, its clips will be prepared again", self.folder / stem)
                continue
            for source in _sources(records[stem]):
                if source.reason is None or source.id not in self._known or self._known[source.id].reason is not None:
                    self._known[source.id] = source
        for shard in sorted(self.folder.glob("clips-*.parquet")):
            if shard.stem not in records:
                self._known.update((source.id, source) for source in _recovered(shard))


def _sources(path: Path) -> Iterator[Source]:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield Source(**json.loads(line))
    except (OSError, ValueError, TypeError) as error:
        raise ShardError(f"{path}: is damaged ({error}); delete it and run again") from error


def _recovered(shard: Path) -> Iterator[Source]:
    """The records of a shard whose run was killed before it wrote them: content is all there is to compare."""
    for row in ShardReader(shard):
        yield Source(row.id, row.split, 0, 0, row.source_sha256)


def _json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ShardError(f"{path}: is damaged ({error}); delete it and run again") from error
    return loaded if isinstance(loaded, dict) else {}


def _stat(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _lock(file: IO[str]) -> bool:
    """Lock a file until it is closed or the process ends; False if another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
