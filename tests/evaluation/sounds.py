"""Sounds and stand-ins that the tests of this folder share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unsilent.evaluation import EvalClip
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples

TEXTS = (
    "bin blue at f two now",
    "lay green by x nine please",
    "set white in r four soon",
    "place red with b one again",
)


def speech(seconds: float = 2.0, seed: int = 0) -> Samples:
    """Something with the rhythm and the harmonics of speech: a gliding voice under syllables, on a faint floor."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 110 + 20 * np.sin(2 * np.pi * 0.7 * time + random.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(k * phase + random.uniform(0, 6)) / k for k in range(1, 30))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + random.uniform(0, 6)), 0, None)
    floor = 1e-3 * random.standard_normal(len(time))
    return np.asarray(0.1 * voice * syllables + floor, np.float32)


def with_noise(samples: Samples, decibels: float, seed: int = 1) -> Samples:
    """The sound with white noise at a signal-to-noise ratio in dB."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    gain = np.sqrt(np.mean(samples**2) / np.mean(noise**2) / 10 ** (decibels / 10))
    return np.asarray(samples + gain * noise, np.float32)


def clips(number: int = 4, seconds: float = 1.5) -> list[EvalClip]:
    """Clips with distinct sentences as far as they go."""
    crops = np.zeros((2, 96, 96), np.uint8)
    return [
        EvalClip(f"s1/clip{i}", TEXTS[i % len(TEXTS)], speech(seconds, i), np.full_like(crops, i))
        for i in range(number)
    ]


@dataclass(frozen=True, slots=True)
class Spoken:
    samples: Samples


class Echo:
    """A synthesizer that knows the clips: crops of value i speak the sound of clip i."""

    def __init__(self, known: list[EvalClip]) -> None:
        self.known = known

    voices = False

    def voice_of(self, reference: Samples, /) -> NDArray[np.float32]:
        raise NotImplementedError

    def speak_crops(self, crops: NDArray[np.uint8], /, *, voice: NDArray[np.float32] | None = None) -> Spoken:
        return Spoken(self.known[int(crops[0, 0, 0])].real)

    def mel(self, samples: Samples, /) -> NDArray[np.float32]:
        return np.asarray(samples[None], np.float32)

    def vocode(self, mel: NDArray[np.float32], /) -> Samples:
        return with_noise(mel[0], 20)
