"""Downloading the public archives of a corpus: resumed where it broke off, verified, unpacked safely.

GRID lies in two places. The Zenodo record 3625687 publishes an MD5 of each archive, which is asked for at download
time and must agree. The University of Sheffield's own server publishes none: there the SHA-256 of the first download
is recorded (``archives/NAME.json``), and a later download has to agree with it. That guards against damage and
change, not against a server that was wrong from the start.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import lzma
import os
import shutil
import stat
import struct
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from unsilent.errors import CorpusError, OutputError
from unsilent.files import atomic_path

__all__ = ["GRID_SPEAKERS", "Archive", "Fetched", "fetch", "grid_archives", "unpack"]

_log = logging.getLogger(__name__)

GRID_SPEAKERS: Final = tuple(f"s{number}" for number in range(1, 35) if number != 21)
"""The speakers of GRID with video: s1 ... s34 but s21."""
ZENODO_RECORD: Final = "https://zenodo.org/api/records/3625687"
_ZENODO_FILE: Final = "https://zenodo.org/records/3625687/files/{name}?download=1"
_SHEFFIELD_FILE: Final = "https://spandh.dcs.shef.ac.uk/gridcorpus/{speaker}/video/{speaker}.mpg_vcd.zip"
_BLOCK: Final = 1 << 20
_TIMEOUT: Final = 30.0
_MOST_EXPANSION: Final = 200
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)
"""What `zipfile` raises when an archive's content is at fault."""
_HEADERS: Final = {"User-Agent": "unsilent", "Accept-Encoding": "identity"}


class Progress(Protocol):
    """What is told about the bytes that arrive; ``unsilent.cli`` draws it."""

    total: float | None

    def advance(self, amount: float = 1) -> None:
        """Add so many megabytes."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file to fetch. ``checksum`` is ``md5:...`` or ``sha256:...`` as published, None where nobody does."""

    name: str
    url: str
    checksum: str | None = None
    folder: str = ""
    """Where its files belong below the root if they do not lie in a folder of that name already."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched: ``verified`` is ``published``, ``first use`` or ``recorded`` (agrees with the first use)."""

    name: str
    url: str
    bytes: int
    sha256: str
    verified: str
    files: int


def grid_archives(
    speakers: Collection[str], *, source: str = "zenodo", alignments: bool = True, record: str | None = None
) -> list[Archive]:
    """The archives of some speakers of GRID, then the alignments of all.

    Args:
        speakers: ``s1`` ... ``s34``, without ``s21``.
        source: ``zenodo`` (with published checksums) or ``sheffield`` (smaller video; the alignments from Zenodo).
        alignments: whether to add ``alignments.zip``.
        record: address of Zenodo's description of the record; :data:`ZENODO_RECORD` by default.

    Raises:
        CorpusError: no such speaker or source.
    """
    for speaker in speakers:
        if speaker not in GRID_SPEAKERS:
            why = "has no video" if speaker == "s21" else "is no speaker of GRID"
            raise CorpusError(f"{speaker}: {why}; give some of s1 ... s34 but s21")
    if source not in ("zenodo", "sheffield"):
        raise CorpusError(f"{source}: no such source of GRID; give zenodo or sheffield")
    names = [f"{speaker}.zip" for speaker in speakers] if source == "zenodo" else []
    published = _published(record or ZENODO_RECORD) if names or alignments else {}
    archives = [Archive(n, _ZENODO_FILE.format(name=n), published.get(n), n.removesuffix(".zip")) for n in names]
    if source == "sheffield":
        archives = [Archive(f"{s}.mpg_vcd.zip", _SHEFFIELD_FILE.format(speaker=s), None, s) for s in speakers]
    if alignments:
        name = "alignments.zip"
        archives.append(Archive(name, _ZENODO_FILE.format(name=name), published.get(name), "alignments"))
    return archives


def _published(record: str) -> dict[str, str]:
    """The checksums that Zenodo publishes; empty, with a warning, where it does not answer."""
    try:
        with _request(record, {}) as response:
            files = json.load(response)["files"]
        return {str(file["key"]): str(file["checksum"]) for file in files}
    except (CorpusError, ValueError, RecursionError, KeyError, TypeError, OSError) as error:
        _log.warning("%s: checksums not available, the first download will be trusted (%s)", record, error)
        return {}


def fetch(
    archive: Archive, root: str | Path, *, progress: Progress | None = None, keep: bool = False, attempts: int = 5
) -> Fetched:
    """Download, verify and unpack one archive below ``root``; nothing is done if that was done before.

    What arrived before a break stays in ``root/archives/NAME.partial`` and the next call goes on from there.

    Args:
        archive: what to fetch.
        root: folder of the corpus; made if missing.
        progress: told the megabytes that arrive.
        keep: whether the archive stays after it was unpacked.
        attempts: how often a broken connection is taken up again.

    Raises:
        CorpusError: no network, a wrong checksum (nothing is left then), or an archive that is not safe to unpack.
        OutputError: the disk is full or the folder cannot be written.
    """
    target = Path(root) / "archives" / archive.name
    record = target.with_name(f"{archive.name}.json")
    known = _recorded(record)
    if known is not None and known.get("files") and (not keep or target.is_file()):
        return Fetched(**known)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file():
            _download(archive.url, target, progress, attempts)
        digest, verified = _verify(archive, target, known)
        files = unpack(target, Path(root), archive.folder)
        fetched = Fetched(archive.name, archive.url, target.stat().st_size, digest, verified, files)
        with atomic_path(record) as path:
            path.write_text(json.dumps(asdict(fetched), indent=2) + "\n", encoding="utf-8")
        if not keep:
            target.unlink()
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written ({error.strerror or error}); make room or go elsewhere"
        ) from error
    return fetched


def _recorded(record: Path) -> dict[str, Any] | None:
    if not record.is_file():
        return None
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        return asdict(Fetched(**known))
    except (OSError, ValueError, RecursionError, TypeError) as error:
        raise CorpusError(f"{record}: is damaged; delete it and fetch again") from error


def _verify(archive: Archive, target: Path, known: dict[str, Any] | None) -> tuple[str, str]:
    """SHA-256 of the archive and what vouches for it; a wrong one is deleted."""
    digests = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with open(target, "rb") as handle:
        while block := handle.read(_BLOCK):
            for digest in digests.values():
                digest.update(block)
    found = digests["sha256"].hexdigest()
    kind, _, expected = (archive.checksum or f"sha256:{known['sha256'] if known else found}").partition(":")
    if kind not in digests or digests[kind].hexdigest() != expected.lower():
        target.unlink()
        wanted = "published" if archive.checksum else "recorded at the first fetch"
        raise CorpusError(f"{archive.url}: the {kind} checksum is not the one {wanted}; deleted, fetch it again")
    verified = "published" if archive.checksum else "recorded" if known else "first use"
    if verified == "first use":
        _log.warning("%s: nobody publishes a checksum; its sha256 %s is recorded now", archive.name, found)
    return found, verified


# --- download ------------------------------------------------------------------------------------------------------


def _request(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    if not url.startswith(("https://", "http://")):
        raise CorpusError(f"{url}: is no web address; give one that begins with https://")
    try:
        request = urllib.request.Request(url, headers={**_HEADERS, **headers})  # noqa: S310 (checked above)
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310  # nosec B310
    except urllib.error.HTTPError as error:
        error.close()
        message = f"{url}: the server answers {error.code} {error.reason}; try later, or another source"
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            size = error.headers.get("Content-Range", "").removeprefix("bytes */")
            raise _BeyondEndError(message, int(size) if size.isdecimal() and len(size) < 20 else None) from error
        raise CorpusError(message) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise CorpusError(f"{url}: cannot be reached ({reason}); check the network and run again") from error
    return response


class _BeyondEndError(CorpusError):
    """The server has no bytes after those that are here; ``size`` is that of its file, None if it does not say."""

    def __init__(self, message: str, size: int | None) -> None:
        super().__init__(message)
        self.size = size


def _download(url: str, target: Path, progress: Progress | None, attempts: int) -> None:
    """Bring ``url`` to ``target``; what has arrived lies in ``.partial``, the server's name for it in ``.version``."""
    partial = target.with_name(f"{target.name}.partial")
    version = target.with_name(f"{target.name}.version")
    problem = ""
    for attempt in range(attempts):
        if attempt:
            _log.warning("%s: the connection broke (%s), going on", url, problem)
            time.sleep(min(2.0**attempt, 30.0) / 4)
        before = partial.stat().st_size if partial.is_file() else 0
        try:
            total = _continue(url, partial, version, progress)
        except _BeyondEndError as error:
            total = error.size
            if total is None or total != before:
                partial.unlink(missing_ok=True)
                problem = "what was here is of another file"
                continue
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            problem = str(error)
            continue
        have = partial.stat().st_size
        if total is None or have == total:
            partial.replace(target)
            version.unlink(missing_ok=True)
            return
        problem = f"{have - before} of {total - before} bytes came"
    raise CorpusError(f"{url}: the connection broke {attempts} times ({problem}); run again to go on where it broke")


def _continue(url: str, partial: Path, version: Path, progress: Progress | None) -> int | None:
    """Ask for what is missing and append it; returns the size of the whole file where the server says it."""
    have = partial.stat().st_size if partial.is_file() else 0
    known = version.read_text(encoding="utf-8") if version.is_file() else ""
    # Without the server's word that the file is the same, the parts of two files might be joined.
    headers = {"Range": f"bytes={have}-", "If-Range": known} if have and known else {}
    with _request(url, headers) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        length = response.headers.get("Content-Length", "")
        total = int(length) + (have if resumed else 0) if length.isdecimal() and len(length) < 20 else None
        version.write_text(_version(response), encoding="utf-8")
        if progress is not None:
            progress.total = None if total is None else total / 1e6
            if resumed:
                progress.advance(have / 1e6)
        _room(partial, total)
        with open(partial, "ab" if resumed else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
                if progress is not None:
                    progress.advance(len(block) / 1e6)
    return total


def _version(response: http.client.HTTPResponse) -> str:
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _room(path: Path, size: int | None) -> None:
    free = shutil.disk_usage(path.parent).free + (path.stat().st_size if path.is_file() else 0)
    if size is not None and size > free:
        raise OutputError(f"{path.parent}: has {free / 1e9:.1f} GB free, {size / 1e9:.1f} GB are needed; make room")


# --- unpack --------------------------------------------------------------------------------------------------------


def unpack(archive: Path, root: Path, folder: str = "") -> int:
    """Unpack a zip file below ``root`` and return the number of files.

    Every name is checked before the first file is written. Files that do not lie in a folder called ``folder`` are
    put into one.

    Raises:
        CorpusError: the archive is damaged, leads outside ``root``, holds links, or unpacks to absurd size.
        OutputError: the disk has not enough room, or ``root`` cannot be written.
    """
    try:
        with _opened(archive) as file:
            members = [entry for entry in file.infolist() if _wanted(entry.filename) and not entry.is_dir()]
            for entry in members:
                _check(archive, entry)
            size = sum(entry.file_size for entry in members)
            if size > _MOST_EXPANSION * max(1, archive.stat().st_size):
                raise CorpusError(f"{archive}: would unpack to {size / 1e9:.1f} GB; delete it and fetch it again")
            _room(root / ".", size)
            inside = all(folder in PurePosixPath(entry.filename).parts[:-1] for entry in members)
            _extract(file, members, root if inside or not folder else root / folder)
    except _DAMAGE as error:
        raise CorpusError(f"{archive}: is damaged ({error}); delete it and fetch it again") from error
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{root}: cannot be unpacked to ({reason}); make room or choose another folder") from error
    return len(members)


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except OSError as error:
        raise zipfile.BadZipFile(str(error)) from error


def _content(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    # A decompressor, and a place in the file that cannot be, raise what a full disk raises, too.
    try:
        with file.open(entry) as source:
            while block := source.read(_BLOCK):
                yield block
    except OSError as error:
        raise zipfile.BadZipFile(str(error)) from error


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and "__MACOSX" not in parts and parts[-1] != ".DS_Store"


def _check(archive: Path, entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename)
    outside = path.is_absolute() or ".." in path.parts or any(bad in entry.filename for bad in ("\\", ":", "\0"))
    if outside or stat.S_ISLNK(entry.external_attr >> 16):
        raise CorpusError(f"{archive}: {entry.filename!r} leads outside the folder; the archive is not safe, delete it")
    if entry.flag_bits & 1:
        raise CorpusError(f"{archive}: {entry.filename!r} is encrypted; this is not the public archive, delete it")


def _extract(file: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo], root: Path) -> None:
    for entry in members:
        place = root / PurePosixPath(entry.filename)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{place.name}.partial")
        try:
            with open(partial, "wb") as output:
                output.writelines(_content(file, entry))
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
    # Once for all: flushing each of 33,000 alignments on its own takes minutes. The record that they are there follows.
    if hasattr(os, "sync"):
        os.sync()
