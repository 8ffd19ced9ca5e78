"""The files of sessions: a folder each, a quota, an end, and nothing left behind by a server that crashed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from unsilent.errors import OutputError
from unsilent.web.limits import Limits, Refused
from unsilent.web.locks import Lock

__all__ = ["Session", "Store", "safe_name", "shown_name", "sweep"]

logger = logging.getLogger("unsilent.web")

PREFIX = "unsilent-serve-"
_FILES = 64
_NAME = 60


def safe_name(name: str) -> str:
    """Return a file name made of letters, digits, ``.``, ``-`` and ``_`` only, not hidden, without any folder."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "_", re.split(r"[\\/]", name)[-1]).lstrip("._-")
    stem, dot, suffix = base.rpartition(".")
    if not dot:
        stem, suffix = base, ""
    return f"{stem[:_NAME].rstrip('.') or 'file'}{dot}{suffix[:8]}"


def shown_name(name: str) -> str:
    """Return what messages call a file that somebody sent: its last part, printable, at most 80 characters."""
    base = "".join(char for char in re.split(r"[\\/]", name)[-1] if char.isprintable()).strip()
    return base[:80] or "the file"


@dataclass
class Session:
    """One visitor: a folder of files, made when the first one arrives."""

    folder: Path
    touched: float = field(default_factory=time.monotonic)
    open: int = 0
    """Connections, and jobs under way; the session does not end while there are any."""
    bytes: int = 0
    files: int = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Context in which the session does not end."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
            self.touched = time.monotonic()


class Store:
    """All files that a server holds, below one temporary folder that nobody else may read.

    Args:
        limits: sizes and numbers.
        parent: where the folder is made; the system's folder for temporary files by default.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, limits: Limits, parent: Path | None = None) -> None:
        self.limits = limits
        place = (parent or Path(tempfile.gettempdir())).resolve()
        sweep(place)
        try:
            self._lock_file, self.root = _claim(place)
        except OSError as error:
            raise OutputError(f"{place}: cannot be written ({error.strerror}); set TMPDIR to another folder") from error
        self._sessions: dict[str, Session] = {}
        self._guard = threading.RLock()
        self.bytes = 0

    def close(self) -> None:
        """Remove everything."""
        with self._guard:
            self._sessions.clear()
            shutil.rmtree(self.root, ignore_errors=True)
            self._lock_file.release()

    def session(self, token: str) -> Session:
        """Return the session of a token (a cookie's value); it has no folder until `room` is called."""
        with self._guard:
            if token not in self._sessions and len(self._sessions) >= self.limits.sessions:
                self.reap()
                if len(self._sessions) >= self.limits.sessions:
                    raise Refused(429, "too many visitors at the same time; try again in a minute", retry=60)
            # The folder's name is in the addresses of the session's files; the token must not be.
            name = hashlib.sha256(token.encode()).hexdigest()[:32]
            return self._sessions.setdefault(token, Session(self.root / name))

    def known(self, token: str) -> Session | None:
        """Return the session of a token if there is one."""
        return self._sessions.get(token)

    @contextmanager
    def visit(self) -> Iterator[Session]:
        """Context with a session that ends with the block."""
        token = secrets.token_hex(16)
        session = self.session(token)
        try:
            with session.busy():
                yield session
        finally:
            self.end(token)

    def room(self, session: Session, name: str) -> Path:
        """Return a path for a new file in a folder of its own.

        Raises:
            Refused: the session holds too many files.
        """
        with self._guard:
            if session.files >= _FILES:
                raise Refused(429, "this session holds too many files; close the page and open it again", retry=60)
            session.files += 1
            folder = session.folder / secrets.token_hex(4)
            folder.mkdir(parents=True, mode=0o700)
            return folder / safe_name(name)

    def charge(self, session: Session, count: int) -> None:
        """Count ``count`` bytes that are about to be written.

        Raises:
            Refused: the session or the server is full.
        """
        with self._guard:
            if session.bytes + count > self.limits.session_bytes:
                raise Refused(413, "this session holds too much; close the page and open it again")
            if self.bytes + count > self.limits.total_bytes:
                raise Refused(429, "the server is full; try again in a minute", retry=60)
            session.bytes += count
            self.bytes += count

    def drop(self, session: Session, path: Path, size: int) -> None:
        """Remove a file of `room` and give ``size`` bytes back."""
        shutil.rmtree(path.parent, ignore_errors=True)
        with self._guard:
            session.bytes -= size
            session.files -= 1
            self.bytes -= size

    def owned(self, session: Session | None, path: object) -> Path | None:
        """Return ``path`` if it names a regular file in the session's folder, links followed; None otherwise."""
        if session is None or not isinstance(path, str) or "\0" in path:
            return None
        try:
            real = Path(path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        return real if real.is_relative_to(session.folder) and real.is_file() else None

    def end(self, token: str) -> None:
        """Remove a session and its files."""
        with self._guard:
            session = self._sessions.pop(token, None)
            if session is not None:
                self.bytes -= session.bytes
                shutil.rmtree(session.folder, ignore_errors=True)

    def reap(self) -> int:
        """End the sessions whose last connection is `Limits.keep` seconds old; return how many."""
        now = time.monotonic()
        with self._guard:
            over = [
                token for token, session in self._sessions.items()
                if session.open == 0 and now - session.touched > self.limits.keep
            ]  # fmt: skip
            for token in over:
                self.end(token)
        return len(over)


def _claim(place: Path) -> tuple[Lock, Path]:
    while True:
        name = f"{PREFIX}{secrets.token_hex(4)}"
        lock = Lock.acquire(place / f"{name}.lock")
        if lock is not None:
            folder = place / name
            folder.mkdir(mode=0o700)
            return lock, folder


def sweep(place: Path) -> int:
    """Remove the folders of servers that ended without removing them; return how many.

    A server holds a lock as long as it lives, which the system takes from it however it ends.
    """
    swept = 0
    for file in place.glob(f"{PREFIX}*.lock"):
        with contextlib.suppress(OSError):
            if file.is_symlink() or (hasattr(os, "getuid") and file.stat().st_uid != os.getuid()):
                continue
            lock = Lock.acquire(file)
            if lock is None:
                continue
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)
            lock.release()
            swept += 1
            logger.info("%s: left by a server that crashed; removed", file.with_suffix(""))
    return swept
