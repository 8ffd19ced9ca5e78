"""What a folder of shards was made from, so that a later run knows what is done.

Beside ``clips-00000.parquet`` lies ``records/clips-00000.jsonl``, one line a clip that went into the shard or was
dropped on the way to it; ``manifest.json`` sums up the folder. Each is written once the shard has its name.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from unsilent._version import __version__
from unsilent.errors import OutputError, ShardError
from unsilent.files import Staging, atomic_path, sha256_file, sweep, url_of
from unsilent.shards import CLIPS, ShardFormat, ShardReader, SpeechReader

__all__ = ["NOT_FETCHED", "Item", "Ledger", "Source", "item_sha256"]

_log = logging.getLogger(__name__)

NOT_FETCHED = "not fetched"
"""Reason of a drop that is the network's fault: the next run tries again."""


class Item(Protocol):
    """A clip, or a recording of speech."""

    @property
    def id(self) -> str:
        """Its name, the only one of that name in the folder of shards."""

    @property
    def split(self) -> str | None:
        """The split it belongs to."""

    @property
    def path(self) -> Path | None:
        """Its file; None where it is bytes out of a larger file, which then are ``data``."""


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
    content: str | None = None
    """SHA-256 of the sound, where it is compared."""

    @classmethod
    def of(
        cls,
        clip: Item,
        sha256: str | None,
        reason: str | None = None,
        detail: str | None = None,
        content: str | None = None,
    ) -> Source:
        """Describe the clip's file as it is now (size 0 if it is gone)."""
        size, mtime_ns = _stat(clip)
        return cls(clip.id, clip.split, size, mtime_ns, sha256, reason, detail, content=content)


class Ledger:
    """The records of one folder of shards; as a context manager it keeps other runs out of the folder.

    Args:
        folder: of the shards, or a URL; made if missing. At a URL, one run at a time may write.
        corpus: what is prepared; a folder holds one.
        layout: the kind of shard.
        settings: plain data that all rows of the folder have in common.
        digest: SHA-256 of an item's content.

    Attributes:
        folder: where shards are to be written; for a URL, what is committed is put there.

    Raises:
        OutputError: the folder cannot be written, or another run has it.
        ShardError: its shards are damaged, or of another corpus or other settings.
    """

    def __init__(
        self,
        folder: str | Path,
        corpus: str,
        *,
        layout: ShardFormat = CLIPS,
        settings: dict[str, Any] | None = None,
        digest: Callable[[Item], str] | None = None,
    ) -> None:
        url = url_of(folder)
        self._staging = None if url is None else Staging(url, lambda name: name.endswith(".parquet"))
        self.folder = Path(folder) if self._staging is None else self._staging.folder
        self.place = url or str(folder)
        self.corpus, self.layout, self.settings = corpus, layout, settings
        self._digest = digest or item_sha256
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
            raise OutputError(f"{self.place}: another run is writing it; wait for it, or choose another folder")
        try:
            if self._staging is not None:
                self._staging.pull(keep=[".lock"])
            for place in (self.folder, self.folder / "records"):
                sweep(place)
            self._load()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._lock is not None:
            self._lock.close()

    @property
    def known(self) -> Collection[Source]:
        """What became of every clip so far, in this run's finished shards and before."""
        return self._known.values()

    def find(self, clip: Item) -> Source | None:
        """The record of a clip that need not be prepared again, or None if it has to be.

        Raises:
            ShardError: it was prepared from other content, or as part of another split.
        """
        known = self._known.get(clip.id)
        if known is None or (known.reason is not None and known.version != __version__):
            return None
        if known.reason == NOT_FETCHED:
            return None
        size, mtime_ns = _stat(clip)
        same = (size, mtime_ns) == (known.bytes, known.mtime_ns)
        if known.reason is not None:
            return known if same else None
        if not same and (not size or self._digest(clip) != known.sha256):
            raise ShardError(
                f"{clip.path or clip.id}: has changed since {self.place} was prepared; prepare into another folder"
            )
        if known.split != clip.split:
            there, here = known.split or "none", clip.split or "none"
            raise ShardError(f"{self.place}: holds {clip.id} as split {there}, not {here}; prepare into another folder")
        return known

    def add(self, source: Source) -> None:
        """Note what became of a clip; :meth:`commit` makes it last."""
        self._new.append(source)

    def commit(self, shard: Path | None) -> None:
        """Write down what was added since the last time; ``shard`` is now finished (None: nothing but drops)."""
        if shard is not None:
            self._publish(shard)
        if self._new:
            records = self.folder / "records"
            number = sum(1 for _ in records.glob("dropped-*.jsonl")) if records.is_dir() else 0
            name = f"dropped-{number:05d}" if shard is None else shard.stem
            with atomic_path(records / f"{name}.jsonl") as path:
                path.write_text("".join(json.dumps(asdict(source)) + "\n" for source in self._new), encoding="utf-8")
            self._publish(records / f"{name}.jsonl")
            self._known.update((source.id, source) for source in self._new)
            self._new = []
        with atomic_path(self.folder / "manifest.json") as path:
            path.write_text(json.dumps(self.summary(), indent=2) + "\n", encoding="utf-8")
        self._publish(self.folder / "manifest.json")

    def where(self, path: Path) -> Path | str:
        """Where others find a file of :attr:`folder`: itself, or its URL."""
        return path if self._staging is None else self._staging.url_of(path)

    def _publish(self, path: Path) -> None:
        if self._staging is not None:
            self._staging.publish(path)

    def summary(self) -> dict[str, Any]:
        """What the folder holds: versions, number of rows by split, of dropped clips by reason, shard files."""
        rows = [source for source in self._known.values() if source.reason is None]
        dropped = [source for source in self._known.values() if source.reason is not None]
        return {
            "schema": self.layout.name,
            "unsilent": __version__,
            "corpus": self.corpus,
            **({} if self.settings is None else {"settings": self.settings}),
            "clips": len(rows),
            "splits": dict(sorted(Counter(source.split or "none" for source in rows).items())),
            "dropped": dict(sorted(Counter(str(source.reason) for source in dropped).items())),
            "dropped_clips": {source.id: source.detail for source in dropped},
            "shards": sorted(path.name for path in self.folder.glob(f"{self.layout.stem}-*.parquet")),
        }

    def _load(self) -> None:
        manifest = self.folder / "manifest.json"
        if manifest.is_file():
            stated = _json(manifest)
            corpus = stated.get("corpus")
            if self.corpus and corpus and corpus != self.corpus:
                raise ShardError(f"{self.place}: holds corpus {corpus}, not {self.corpus}; choose another folder")
            self._compare_settings(stated.get("settings"))
        records = {path.stem: path for path in (self.folder / "records").glob("*.jsonl")}
        # Drops first: a clip that was repaired later is in a shard's record as well.
        for stem in sorted(records, key=lambda stem: (stem.startswith(self.layout.stem), stem)):
            if stem.startswith(self.layout.stem) and not (self.folder / f"{stem}.parquet").is_file():
                _log.warning("%s: the shard is gone, its clips will be prepared again", self.folder / stem)
                continue
            for source in _sources(records[stem]):
                if source.reason is None or source.id not in self._known or self._known[source.id].reason is not None:
                    self._known[source.id] = source
        for shard in sorted(self.folder.glob(f"{self.layout.stem}-*.parquet")):
            if shard.stem not in records:
                if self._staging is not None:
                    self._staging.fill(shard)
                self._known.update((source.id, source) for source in _recovered(shard, self.layout))

    def _compare_settings(self, there: object) -> None:
        if self.settings is None or not isinstance(there, dict) or there == self.settings:
            return
        name = next(key for key in {**there, **self.settings} if there.get(key) != self.settings.get(key))
        raise ShardError(
            f"{self.place}: was prepared with {name} {there.get(name)}, not {self.settings.get(name)}; "
            "choose another folder"
        )


def _sources(path: Path) -> Iterator[Source]:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield Source(**json.loads(line))
    except (OSError, ValueError, RecursionError, TypeError) as error:
        raise ShardError(f"{path}: is damaged ({error}); delete it and run again") from error


def _recovered(shard: Path, layout: ShardFormat) -> Iterator[Source]:
    """The records of a shard whose run was killed before it wrote them: content is all there is to compare."""
    if layout is CLIPS:
        for clip in ShardReader(shard):
            yield Source(clip.id, clip.split, 0, 0, clip.source_sha256)
        return
    for piece in SpeechReader(shard):
        # A recording that was cut has a row for each piece, ``id#001`` and so on.
        yield Source(piece.id.partition("#")[0], piece.split, 0, 0, piece.source_sha256)


def _json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ShardError(f"{path}: is damaged ({error}); delete it and run again") from error
    return loaded if isinstance(loaded, dict) else {}


def _stat(item: Item) -> tuple[int, int]:
    if item.path is None:
        return len(_data(item)), 0
    try:
        status = item.path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def item_sha256(item: Item) -> str:
    """SHA-256 of an item's file, or of its bytes where it has none."""
    return hashlib.sha256(_data(item)).hexdigest() if item.path is None else sha256_file(item.path)


def _data(item: Item) -> bytes:
    data: bytes | None = getattr(item, "data", None)
    return data or b""


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
