"""Files at URLs that fsspec knows: ``s3://bucket/name``, ``gs://``, ``hf://``, ``memory://`` and the like.

Libraries for media and Parquet want real files, so a file is fetched to be read, and put when it is complete. An object
store shows an object once all of it is there; elsewhere it is written under another name and renamed.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from unsilent.errors import OutputError, UnsilentError
from unsilent.files.local import atomic_path, cache_folder

__all__ = ["RemoteFile", "RemoteTree", "fetched", "is_url", "list_files", "local_copy", "put", "url_of", "written"]

_URL: Final = re.compile(r"([a-z][a-z0-9+.-]+):(/{1,2})(?!/)(.+)")
_WHOLE: Final = frozenset({"s3", "s3a", "gs", "gcs", "hf", "abfs", "az", "memory"})
"""Stores in which an object appears when it is complete."""
_REMEDY: Final = "check the address, the network and your credentials"

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a URL."""

    url: str
    size: int
    """In bytes."""
    modified_ns: int
    """Time of its last change in ns since 1970; 0 where the store does not say."""
    version: str
    """Differs between contents: the store's checksum, or size and time."""


def url_of(place: str | os.PathLike[str]) -> str | None:
    """The URL that ``place`` is, or None if it is a path of this machine.

    A ``Path`` keeps one of the two slashes of ``s3://``; the other is put back. ``hf:name`` and ``C:/`` are no URLs.
    """
    text = place if isinstance(place, str) else Path(place).as_posix()
    match = _URL.fullmatch(text)
    if match is None or (isinstance(place, str) and match[2] == "/"):
        return None
    return f"{match[1]}://{match[3].rstrip('/')}"


def is_url(place: str | os.PathLike[str]) -> bool:
    """Whether ``place`` is a URL rather than a path of this machine."""
    return url_of(place) is not None


def list_files(url: str, *, below: bool = True) -> list[RemoteFile]:
    """The files of a folder at a URL in order of their names, none where there is no such folder.

    Args:
        url: of the folder.
        below: also those of folders in it, at any depth.

    Raises:
        UnsilentError: it cannot be listed.
    """

    def find(store: Any, path: str) -> dict[str, dict[str, Any]]:
        store.invalidate_cache()
        try:
            found: dict[str, dict[str, Any]] = store.find(path, maxdepth=None if below else 1, detail=True)
        except FileNotFoundError:
            return {}
        return found

    store, root = _store(url)
    start = f"{root.strip('/')}/"
    files = []
    for path, info in sorted(_asked(url, "cannot be listed", lambda: find(store, root)).items()):
        place = path.lstrip("/")
        name = place.removeprefix(start)
        # A name must not lead out of the folder that it is fetched into.
        inside = place.startswith(start) and not ({"", ".."} & set(name.split("/"))) and "\\" not in name
        if inside and info.get("type") == "file":
            files.append(_described(f"{url}/{name}", info))
    return files


def stat(url: str) -> RemoteFile | None:
    """The file at a URL, or None if there is none.

    Raises:
        UnsilentError: it cannot be asked for.
    """
    store, path = _store(url)

    def ask() -> dict[str, Any] | None:
        store.invalidate_cache()
        return dict(store.info(path)) if store.isfile(path) else None

    info = _asked(url, "cannot be read", ask)
    return None if info is None else _described(url, info)


def fetch(url: str, path: Path) -> None:
    """Copy the file at a URL to ``path``, whole or not at all.

    Raises:
        UnsilentError: it cannot be read.
        OutputError: ``path`` cannot be written.
    """
    store, there = _store(url)
    with atomic_path(path) as temporary:
        _asked(url, "cannot be read", lambda: store.get_file(there, str(temporary)))


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """A copy of the file at a URL, with its name, for as long as the block lasts.

    Raises:
        UnsilentError: it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="unsilent-") as folder:
        path = Path(folder) / PurePosixPath(url).name
        fetch(url, path)
        yield path


@contextmanager
def local_copy(place: str | Path) -> Iterator[Path]:
    """``place`` itself, or a copy of what is at that URL for as long as the block lasts."""
    url = url_of(place)
    if url is None:
        yield Path(place)
        return
    with fetched(url) as path:
        yield path


def put(path: Path, url: str) -> None:
    """Copy ``path`` to a URL, where it appears when it is complete.

    Raises:
        OutputError: it cannot be written.
    """
    store, there = _store(url)

    def copy() -> None:
        if url.partition(":")[0] in _WHOLE:
            store.put_file(str(path), there)
            return
        parent, _, name = there.rpartition("/")
        store.makedirs(parent, exist_ok=True)
        temporary = f"{parent}/.{name}.{secrets.token_hex(4)}.partial"
        store.put_file(str(path), temporary)
        store.mv(temporary, there)

    _asked(url, "cannot be written", copy, OutputError)


@contextmanager
def written(place: str | Path) -> Iterator[Path]:
    """The path to write ``place`` to: itself, or one whose file is put at that URL when the block ends without error.

    Raises:
        OutputError: it cannot be put there.
    """
    url = url_of(place)
    if url is None:
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="unsilent-") as folder:
        path = Path(folder) / PurePosixPath(url).name
        yield path
        put(path, url)


def kept(file: RemoteFile) -> Path:
    """A copy of a file that stays in the cache; it is fetched once, and again when it has changed.

    Raises:
        UnsilentError: it cannot be read.
        OutputError: the cache cannot be written.
    """
    path = cache_folder("remote") / short_name(f"{file.url} {file.version}") / PurePosixPath(file.url).name
    if not path.is_file():
        fetch(file.url, path)
    return path


@dataclass(frozen=True, slots=True)
class RemoteTree:
    """A folder at a URL, with a stand-in for it on this machine.

    The stand-in has the same names, sizes and times. What is to be processed, media files, are holes there, which take
    no room; all else (transcripts, lists) is copied. So a corpus is listed as if it were here, and what was prepared
    before is known without being read again.

    Attributes:
        url: of the folder.
        folder: the stand-in.
    """

    url: str
    folder: Path

    @classmethod
    def open(cls, url: str, is_hole: Callable[[str], bool]) -> RemoteTree:
        """List the folder at a URL and make its stand-in.

        Args:
            url: of the folder.
            is_hole: whether the file of a name is not copied.

        Raises:
            UnsilentError: it cannot be listed or read, or is empty.
            OutputError: the cache cannot be written.
        """
        files = list_files(url)
        if not files:
            raise UnsilentError(f"{url}: holds no file; check the address")
        folder = cache_folder("trees") / short_name(url) / PurePosixPath(url).name
        wanted = {folder / file.url.removeprefix(f"{url}/"): file for file in files}
        try:
            for path in [path for path in folder.rglob("*") if path.is_file() and path not in wanted]:
                path.unlink()
            for path, file in wanted.items():
                if not is_same(path, file):
                    _stand_in(path, file, hole=is_hole(path.name))
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror}); set UNSILENT_CACHE") from error
        return cls(url, folder)

    def url_of(self, path: Path) -> str:
        """Where the file is that stands at ``path`` of the stand-in."""
        return f"{self.url}/{path.relative_to(self.folder).as_posix()}"


def is_same(path: Path, file: RemoteFile) -> bool:
    """Whether size and time of a path are those of a file elsewhere."""
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size, file.modified_ns)


def make_hole(path: Path, size: int) -> None:
    """Make ``path`` a file of ``size`` zeros that takes no room where the file system can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as handle:
        handle.truncate(size)


def _stand_in(path: Path, file: RemoteFile, *, hole: bool) -> None:
    if hole:
        make_hole(path, file.size)
    else:
        fetch(file.url, path)
    os.utime(path, ns=(file.modified_ns, file.modified_ns))


def _store(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the URL's path in it."""
    try:
        import fsspec
    except ImportError as error:
        raise UnsilentError(f"{url}: fsspec cannot be imported ({error}); pip install 'unsilent[cluster]'") from error
    try:
        store, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UnsilentError(
            f"{url}: needs a package ({reason}); pip install 'unsilent[cluster]' or that one"
        ) from error
    return store, path


def _asked(url: str, what: str, ask: Callable[[], ResultT], kind: type[UnsilentError] = UnsilentError) -> ResultT:
    try:
        return ask()
    except FileNotFoundError as error:
        raise kind(f"{url}: does not exist; {_REMEDY}") from error
    except Exception as error:  # each store raises errors of its own library
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise kind(f"{url}: {what} ({reason}); {_REMEDY}") from error


def _described(url: str, info: dict[str, Any]) -> RemoteFile:
    size = int(info.get("size") or 0)
    changed = next((info[name] for name in ("LastModified", "mtime", "updated", "created") if info.get(name)), None)
    modified = _nanoseconds(changed)
    version = next((str(info[name]) for name in ("ETag", "etag", "blob_id", "md5Hash") if info.get(name)), "")
    return RemoteFile(url, size, modified, f"{size} {version or modified}")


def _nanoseconds(changed: object) -> int:
    if isinstance(changed, str):
        try:
            changed = datetime.fromisoformat(changed)
        except ValueError:
            return 0
    if isinstance(changed, datetime):
        changed = changed.timestamp()
    # Whole microseconds: a float of seconds is no finer, and file systems round what is.
    return round(changed * 1e6) * 1000 if isinstance(changed, int | float) else 0


def short_name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
