"""Give silent video of a talking person its speech back, and train the models that do it.

import unsilent
voice = unsilent.load("grid")
speech = voice.speak("silent.mp4")
speech.save("spoken.mp4")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unsilent._version import __version__

if TYPE_CHECKING:
    from unsilent.synthesis import Speech, Synthesizer, load

__all__ = ["Speech", "Synthesizer", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # torch takes a second to import: `unsilent --help` and error messages must not wait for it.
    if name in {"Speech", "Synthesizer", "load"}:
        return getattr(importlib.import_module("unsilent.synthesis"), name)
    raise AttributeError(f"module 'unsilent' has no attribute {name!r}")
