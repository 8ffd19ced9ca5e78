"""Pre-training on speech alone: sound to log-mel (A2A-MelSpec).

Shapes: B batch, T video frames, N = 960 T samples, F mel bands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter

from unsilent.features import MelConfig, log_mel
from unsilent.training.losses import band_mask
from unsilent.training.mel_task import MelTask, Metrics
from unsilent.training.mixture import MixtureOrder, SpeechData, open_sources
from unsilent.training.order import SampleKey, StepOrder, sample_rng
from unsilent.training.pretrain_recipe import CorruptConfig, PretrainRecipe, SpeechDataConfig

__all__ = ["PretrainTask", "SpeechBatch", "corrupt"]

CORRUPTION = 0x6E6F6973
"""Added to a run's seed for the draws of noise and masks."""


@dataclass(frozen=True)
class SpeechBatch:
    """Stretches of speech of one length."""

    source: Tensor
    """(B, N), what the encoder hears."""
    mel: Tensor
    """(B, F, 4 T) of the clean speech."""
    frames: Tensor
    """(B,) video frames that are real."""
    mel_frames: Tensor
    """(B,) mel frames that count."""
    bands: Tensor
    """(B, F), mel bands below each recording's bandwidth."""

    def to(self, device: torch.device) -> SpeechBatch:
        """The batch on ``device``."""
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        return SpeechBatch(**moved)


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
        return CorruptSample(padded, samples, sample.bandwidth, sample.valid_samples)


def collate_speech(items: list[CorruptSample], mel: MelConfig) -> SpeechBatch:
    """Stack stretches of one length and compute their mels; a frame that is not all speech does not count."""
    valid = torch.tensor([item.valid_samples for item in items])
    bandwidth = torch.tensor([item.bandwidth for item in items], dtype=torch.float32)
    return SpeechBatch(
        torch.from_numpy(np.stack([item.heard for item in items])),
        log_mel(torch.from_numpy(np.stack([item.clean for item in items])), mel),
        (valid / mel.samples_per_frame).ceil().long(),
        valid // mel.hop_length,
        band_mask(bandwidth, mel),
    )


class PretrainTask(MelTask[SpeechBatch]):
    """`unsilent.training.loop.Task` that fits a `Reconstructor` to speech alone.

    Args:
        recipe: what to train.
        accelerator: device, processes, precision.
        on_load: not called: nothing is read ahead.
    """

    def __init__(
        self, recipe: PretrainRecipe, accelerator: Accelerator, on_load: Callable[[], None] | None = None
    ) -> None:
        self.recipe = recipe
        data, mel = recipe.data, recipe.model.mel
        self._readers = open_sources(data.sources, data.window_groups)
        segment = data.segment_frames * mel.samples_per_frame
        speech = SpeechData(self._readers, segment_samples=segment, seed=recipe.run.seed)
        self._train = CorruptedSpeech(speech, data, mel.sample_rate)
        # Validation hears the same corrupted speech in every run, whatever its seed.
        held_out = SpeechData(open_sources([data.validation]), segment_samples=segment, seed=0)
        judged = CorruptedSpeech(held_out, data, mel.sample_rate)
        chosen = np.random.default_rng(0).permutation(len(held_out))[: data.validation_clips]
        self._held_out = [judged[SampleKey(0, i, int(sample))] for i, sample in enumerate(chosen)]
        super().__init__(recipe, accelerator)

    def data(self) -> CorruptedSpeech:
        """Speech and what the encoder hears of it."""
        return self._train

    def order(self, start: int) -> StepOrder:
        """The mixture's order from step ``start`` on."""
        data, run = self.recipe.data, self.recipe.run
        return MixtureOrder(
            self._readers,
            [source.weight for source in data.sources],
            samples_per_epoch=data.samples_per_epoch,
            batch_size=run.batch_size,
            seed=run.seed,
            epochs=run.epochs,
            start=start,
            window_groups=data.window_groups,
        )

    def collate(self, samples: list[CorruptSample]) -> SpeechBatch:
        """Stack, and compute the mels."""
        return collate_speech(samples, self.recipe.model.mel)

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Mean losses over held-out speech, with a picture of one mel."""
        size = self.recipe.run.batch_size
        items = self._held_out
        batches = [self.collate(items[first : first + size]) for first in range(0, len(items), size)]
        return self.judge(batches, writer, step)

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged model as a model folder."""
        sources = [
            {"shards": Path(source.shards).name, "split": source.split, "recordings": len(reader)}
            for source, reader in zip(self.recipe.data.sources, self._readers, strict=True)
        ]
        self.save(folder, sources, metrics, step)
