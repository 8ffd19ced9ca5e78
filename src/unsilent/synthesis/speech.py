"""What synthesis returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import OutputError
from unsilent.face import MouthTrack
from unsilent.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES, mux_speech, write_audio

__all__ = ["Speech"]


@dataclass(frozen=True)
class Speech:
    """Synthetic speech of one clip."""

    samples: NDArray[np.float32]
    """(n,) in [-1, 1]."""
    sample_rate: int
    """Samples a second."""
    mel: NDArray[np.float32]
    """(F, M) log-mel that the model predicted."""
    mouth: MouthTrack | None = None
    """Where the mouth was seen; None if crops were given."""
    source: Path | None = None
    """The video it was made from."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds spent in every stage."""

    @property
    def seconds(self) -> float:
        """Length of the speech."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | Path) -> Path:
        """Write the speech: a video file gets the source's picture and this sound, an audio file the sound alone.

        Raises:
            OutputError: the suffix is unknown, there is no picture to go with, or the file cannot be written.
        """
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix in AUDIO_SUFFIXES:
            write_audio(target, self.samples, self.sample_rate)
        elif suffix not in VIDEO_SUFFIXES:
            known = " ".join([*VIDEO_SUFFIXES, *AUDIO_SUFFIXES])
            raise OutputError(f"{target}: no video or audio format has this suffix; use one of {known}")
        elif self.source is None:
            raise OutputError(f"{target}: there is no picture to go with the speech; write an audio file")
        else:
            mux_speech(self.source, self.samples, self.sample_rate, target)
        return target
