"""What pre-training hears: a mixture of speech, each stretch with a copy of it made worse.

Shapes: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from unsilent.features import MelConfig
from unsilent.training.mixture import MixtureOrder, SpeechData, SpeechRows, open_sources
from unsilent.training.order import SampleKey, StepOrder, sample_rng
from unsilent.training.pretrain_recipe import CorruptConfig, SpeechDataConfig
from unsilent.training.recipe import RunConfig

__all__ = ["CorruptSample", "CorruptedSpeech", "SpeechMixture", "corrupt"]

CORRUPTION = 0x6E6F6973
"""Added to a run's seed for the draws of noise and masks."""


@dataclass(frozen=True)
class CorruptSample:
    """Speech, and what the encoder hears of it."""

    heard: NDArray[np.float32]
    """(N,)."""
    clean: NDArray[np.float32]
    """(N,)."""
    bandwidth: float
    """Hz."""
    valid_samples: int
    """Samples that are the recording's."""
    reference: NDArray[np.float32]
    """(R,), more of the same voice, clean; empty if the model is told none."""


def corrupt(
    samples: NDArray[np.float32], config: CorruptConfig, sample_rate: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Speech (N,) made worse: shifted in time, silenced in places, with noise, by draws from ``rng`` alone."""
    heard = samples
    reach = int(config.shift * sample_rate)
    if reach:
        heard = np.roll(heard, int(rng.integers(-reach, reach + 1)))
    longest = int(config.mask * sample_rate)
    if longest:
        heard = heard.copy()
        for second in range(0, len(heard), sample_rate):
            length = int(rng.integers(0, longest + 1))
            at = second + int(rng.integers(0, max(1, sample_rate - length + 1)))
            heard[at : at + length] = 0.0
    if rng.random() < config.noise:
        decibels, pink = rng.uniform(*config.noise_db), rng.random() < 0.5
        noise = rng.standard_normal(len(heard)).astype(np.float32)
        if pink:
            spectrum = np.fft.rfft(noise)
            noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), len(heard)).astype(np.float32)
        level = float(np.sqrt(np.mean(np.square(samples)))) / max(float(np.sqrt(np.mean(np.square(noise)))), 1e-9)
        heard = heard + noise * np.float32(level * 10 ** (-decibels / 20))
    return heard


class CorruptedSpeech(Dataset[CorruptSample]):
    """Speech with a corrupted copy of it, both a function of (seed, epoch, position).

    Args:
        speech: clean.
        config: what to do to both, and to the copy.
        sample_rate: of both, Hz.
    """

    def __init__(self, speech: SpeechData, config: SpeechDataConfig, sample_rate: int) -> None:
        self.speech, self.config, self.sample_rate = speech, config, sample_rate

    def __len__(self) -> int:
        return len(self.speech)

    def __getitem__(self, key: SampleKey) -> CorruptSample:
        sample = self.speech[key].reversed() if self.config.reverse else self.speech[key]
        # Another stream of draws than the one that chose the stretch.
        rng = sample_rng(self.speech.seed + CORRUPTION, key)
        peak = float(np.abs(sample.samples).max())
        gain = min(10 ** (rng.uniform(*self.config.gain_db) / 20), max(1.0, 1.0 / max(peak, 1e-9)))
        samples = sample.samples * np.float32(gain)
        heard = corrupt(samples[: sample.valid_samples], self.config.corrupt, self.sample_rate, rng)
        padded = np.pad(heard, (0, len(samples) - len(heard)))
        return CorruptSample(padded, samples, sample.bandwidth, sample.valid_samples, sample.reference)


class SpeechMixture:
    """The speech that a recipe names: to learn from, in which order, and held out.

    Args:
        data: sources, segments, corruption.
        mel: for the samples of a video frame.
        seed: of the run.
        reference_frames: mel frames of the voice that comes with each stretch.

    Raises:
        ShardError, TrainingError: a source cannot be used, or is shorter than the recipe wants.
    """

    def __init__(self, data: SpeechDataConfig, mel: MelConfig, seed: int, reference_frames: int = 0) -> None:
        self.data, self._mel = data, mel
        self._reference = reference_frames * mel.hop_length
        self._readers = open_sources(data.sources, data.window_groups)
        self._segment = data.segment_frames * mel.samples_per_frame
        speech = self._stretches(self._readers, seed)
        self.train = CorruptedSpeech(speech, data, mel.sample_rate)

    def held_out(self, *, clean: bool = False) -> list[CorruptSample]:
        """Stretches for validation, the same in every run; with ``clean``, the encoder hears what is wanted."""
        data = self.data
        if clean:
            none = CorruptConfig(noise=0.0, mask=0.0, shift=0.0)
            data = data.model_copy(update={"corrupt": none, "gain_db": (0.0, 0.0)})
        speech = self._stretches(open_sources([data.validation]), 0)
        heard = CorruptedSpeech(speech, data, self._mel.sample_rate)
        chosen = np.random.default_rng(0).permutation(len(speech))[: data.validation_clips]
        return [heard[SampleKey(0, i, int(sample))] for i, sample in enumerate(chosen)]

    def _stretches(self, readers: list[SpeechRows], seed: int) -> SpeechData:
        return SpeechData(readers, segment_samples=self._segment, seed=seed, reference_samples=self._reference)

    def order(self, run: RunConfig, start: int) -> StepOrder:
        """The mixture's order from step ``start`` on."""
        return MixtureOrder(
            self._readers,
            [source.weight for source in self.data.sources],
            samples_per_epoch=self.data.samples_per_epoch,
            batch_size=run.batch_size,
            seed=run.seed,
            epochs=run.epochs,
            start=start,
            window_groups=self.data.window_groups,
        )

    def card(self) -> list[dict[str, Any]]:
        """What was trained on, for a model's card."""
        return [
            {"shards": Path(source.shards).name, "split": source.split, "recordings": len(reader), "corpora": corpora}
            for source, reader, corpora in zip(self.data.sources, self._readers, self._corpora, strict=True)
        ]

    @cached_property
    def _corpora(self) -> list[dict[str, dict[str, Any]]]:
        return [reader.corpora for reader in self._readers]
