"""Recordings as samples: libsndfile where it knows the format (it can read a stretch), FFmpeg for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from unsilent.media import read_audio
from unsilent.media.audio import resample
from unsilent.media.container import HIGHEST_RATE, LOWEST_RATE, audio_stream, check_file, open_media

__all__ = ["ANALYSIS_RATE", "read_recording"]

ANALYSIS_RATE: Final = 48_000
"""Recordings are read at this rate, so that a bandwidth up to 24 kHz shows."""
_MOST_CHANNELS: Final = 2


def read_recording(
    path: Path, start: float = 0.0, end: float | None = None, longest: float = float("inf")
) -> tuple[NDArray[np.float32] | None, int]:
    """Read a recording, or a stretch of one, mixed down to one channel.

    Args:
        path: an audio or video file.
        start: seconds at which the stretch begins.
        end: seconds at which it ends; None for the end of the file.
        longest: seconds; more is not decoded.

    Returns:
        The samples at :data:`ANALYSIS_RATE`, (n,) in [-1, 1], or None if they would be more than ``longest``; and the
        rate at which the file stores them.

    Raises:
        MediaError: the file is missing, damaged, or holds no sound.
    """
    check_file(path)
    try:
        with soundfile.SoundFile(str(path)) as file:
            if file.channels <= _MOST_CHANNELS and LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
                return _read_stretch(file, start, end, longest), int(file.samplerate)
    except soundfile.SoundFileError:
        pass  # a format, or a fault, for FFmpeg
    with open_media(path) as container:
        rate = int(audio_stream(container, path).codec_context.sample_rate)
        if (container.duration or 0) / 1e6 > longest:
            return None, rate
    samples = read_audio(path, ANALYSIS_RATE)
    return samples[round(start * ANALYSIS_RATE) : None if end is None else round(end * ANALYSIS_RATE)], rate


def _read_stretch(
    file: soundfile.SoundFile, start: float, end: float | None, longest: float
) -> NDArray[np.float32] | None:
    rate = file.samplerate
    first = min(file.frames, round(start * rate))
    last = file.frames if end is None else min(file.frames, round(end * rate))
    if last - first > longest * rate:
        return None
    if first:
        file.seek(first)
    stored = file.read(max(0, last - first), dtype="float32", always_2d=True)
    mono = np.nan_to_num(stored.mean(1, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    samples = resample(np.ascontiguousarray(mono), rate, ANALYSIS_RATE)
    return np.clip(samples, -1.0, 1.0)
