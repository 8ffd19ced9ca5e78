"""Recordings of the voice that a model is to speak with."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import MediaError
from unsilent.media import read_audio

__all__ = ["Voice", "read_reference"]

Voice: TypeAlias = NDArray[np.float32]
"""Embedding (S,) of a voice."""
LONGEST: Final = 30.0
SHORTEST: Final = 0.5
SILENT: Final = 1e-4
"""Root mean square under which there is nothing to hear: -80 dB."""


def read_reference(source: str | Path | NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """The sound of a reference (n,), a file or samples at ``sample_rate``; at most half a minute of it.

    Raises:
        MediaError: the file cannot be read, has no sound, or too little.
    """
    name = source if isinstance(source, str | Path) else "the reference"
    samples = read_audio(source, sample_rate) if isinstance(source, str | Path) else source
    samples = samples[: round(LONGEST * sample_rate)]
    seconds = len(samples) / sample_rate
    if seconds < SHORTEST:
        raise MediaError(f"{name}: only {seconds:.2f} s of sound, too short to know a voice by; give a second or more")
    if float(np.sqrt(np.mean(np.square(samples)))) < SILENT:
        raise MediaError(f"{name}: is silent; give a recording of the voice")
    return samples
