"""Sound in memory for a page, and what kind of sound a file holds."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from unsilent.media.audio import resample
from unsilent.media.container import audio_stream, open_media
from unsilent.media.encoding import SYNTHETIC_TAG, AudioEncoder, SoundFormat, checked_samples

__all__ = ["SoundKind", "opus_bytes", "sound_kind"]

_RATE = 48_000


@dataclass(frozen=True, slots=True)
class SoundKind:
    """How the sound in a file is stored: rate in Hz, and the number of channels."""

    sample_rate: int
    channels: int


def sound_kind(path: str | Path) -> SoundKind:
    """Read how sound is stored from the header of a file.

    Raises:
        MediaError: the file is missing, damaged, or holds no sound.
    """
    with open_media(path) as container:
        codec = audio_stream(container, Path(path)).codec_context
        return SoundKind(codec.sample_rate, len(codec.layout.channels))


def opus_bytes(samples: NDArray[np.float32], sample_rate: int, *, synthetic: bool, bit_rate: int = 32_000) -> bytes:
    """Encode sound as Opus in Ogg, which browsers play.

    Args:
        samples: (n,) float in [-1, 1]; beyond that they are clipped.
        sample_rate: their rate in Hz.
        synthetic: whether it was made up: it is then tagged with ``SYNTHETIC_TAG``.
        bit_rate: bits a second; 32,000 is transparent for most speech.

    Raises:
        OutputError: the samples are empty or not finite.
    """
    sound = SoundFormat("ogg", "libopus", "flt", _RATE, bit_rate)
    stored = resample(checked_samples(samples, Path("a sound")), sample_rate, _RATE)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=sound.container) as container:
        if synthetic:
            container.metadata["comment"] = SYNTHETIC_TAG
        encoder = AudioEncoder(container, sound, _RATE)
        for packet in encoder.encode(stored):
            container.mux(packet)
        for packet in encoder.finish():
            container.mux(packet)
    return buffer.getvalue()
