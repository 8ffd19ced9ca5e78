"""Writing files so that nothing is ever half-written, and naming them by content."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unsilent.errors import OutputError

__all__ = ["atomic_path", "cache_folder", "check_place", "sha256_file", "sweep"]

_log = logging.getLogger(__name__)


@contextmanager
def atomic_path(output: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``output`` that becomes ``output`` when the block ends without an error.

    The temporary file keeps the suffix, so that libraries which choose a container by it still do. On any
    exception it is removed and ``output`` stays as it was. Missing parent folders are made.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    target = Path(output)
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.partial{target.suffix}")
    try:
        check_place(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise OutputError(f"{target}: is a folder; name a file to write")
        temporary.touch()
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}); choose another place") from error
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)  # noqa: PTH105 (the test for a full disk replaces it)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{target}: cannot be written ({reason}); make room or choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a run that was killed while it wrote to ``folder`` left there under temporary names."""
    for path in folder.glob(".*.partial*"):
        _log.info("%s: left by a run that was killed; removed", path)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def check_place(output: Path) -> None:
    """See before long work whether ``output`` can be written.

    Raises:
        OutputError: what would be its folder is a file, or is not ours to write to.
    """
    above = next(parent for parent in (*output.absolute().parents,) if parent.exists())
    if not above.is_dir():
        raise OutputError(f"{output}: {above.name} is a file, not a folder; choose another place")
    if not os.access(above, os.W_OK):
        raise OutputError(f"{output}: {above} cannot be written to; choose another place")


def cache_folder(name: str) -> Path:
    """Folder ``name`` of the platform's place for what can be computed again, or of ``UNSILENT_CACHE``."""
    if override := os.environ.get("UNSILENT_CACHE"):
        return Path(override) / name
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "unsilent" / name


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
