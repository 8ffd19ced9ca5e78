"""Sounds that stand for speech: syllables of harmonics and hiss, with pauses, as the detectors need them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 48_000


def syllables(seconds: float, *, pitch: float = 120.0, seed: int = 0, rate: int = RATE) -> NDArray[np.float32]:
    """Voiced syllables, four a second, each ending in a sibilant; (seconds * rate,), peak about 0.3."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    time = np.arange(count) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time + seed))) / rate
    voiced = sum(np.sin(k * phase) / k for k in range(1, 25)) * 0.15
    hiss = 0.05 * rng.standard_normal(count)
    place = (time * 4) % 1
    envelope = np.where(place < 0.6, np.sin(np.pi * place / 0.6), 0)
    sibilant = np.where(place > 0.55, np.sin(np.pi * (place - 0.55) / 0.45), 0)
    sound = np.asarray(voiced) * envelope + hiss * sibilant
    return np.asarray(0.3 * sound / np.abs(sound).max(initial=1e-9), np.float32)


def silence(seconds: float, *, noise: float = 1e-4, seed: int = 1, rate: int = RATE) -> NDArray[np.float32]:
    """A pause with the noise of a quiet room."""
    return np.asarray(np.random.default_rng(seed).standard_normal(round(seconds * rate)) * noise, np.float32)


def speech(*parts: float, seed: int = 0, rate: int = RATE) -> NDArray[np.float32]:
    """Seconds of speech (positive) and pause (negative), one after the other, over the noise of a room."""
    cut = [
        syllables(p, seed=seed + i, rate=rate) if p > 0 else np.zeros(round(-p * rate), np.float32)
        for i, p in enumerate(parts)
    ]
    whole = np.concatenate(cut)
    return np.asarray(whole + silence(len(whole) / rate, seed=seed + 99, rate=rate)[: len(whole)], np.float32)


def save(path: Path, samples: NDArray[np.float32], rate: int = RATE) -> Path:
    """Write a file of the format its suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path
