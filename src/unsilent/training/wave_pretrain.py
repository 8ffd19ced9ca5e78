"""Pre-training the wave path on speech alone (A2A-WaveGAN).

Shapes: N = 960 T samples.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter

from unsilent.features import MelConfig
from unsilent.training.corrupt import CorruptedSpeech, CorruptSample, SpeechMixture
from unsilent.training.order import SampleKey, StepOrder
from unsilent.training.pretrain import reference_mels
from unsilent.training.wave import Metrics, WaveTask
from unsilent.training.wave_data import WaveSample
from unsilent.training.wave_recipe import PretrainWaveRecipe

__all__ = ["PretrainWaveTask"]


def _wave_sample(item: CorruptSample, mel: MelConfig) -> WaveSample:
    frames = max(1, -(-item.valid_samples // mel.samples_per_frame))
    heard, clean = (torch.from_numpy(np.array(each, np.float32)) for each in (item.heard, item.clean))
    reference = reference_mels([item.reference], mel)[0]
    return WaveSample(heard, clean, frames, item.valid_samples, item.bandwidth, reference)


class _WaveSpeech(Dataset[WaveSample]):
    """What the encoder hears, with the speech that it is to become."""

    def __init__(self, speech: CorruptedSpeech, mel: MelConfig) -> None:
        self.speech, self.mel = speech, mel

    def __len__(self) -> int:
        return len(self.speech)

    def __getitem__(self, key: SampleKey) -> WaveSample:
        return _wave_sample(self.speech[key], self.mel)


class PretrainWaveTask(WaveTask):
    """`unsilent.training.loop.Task` that fits a `Reconstructor` to speech alone.

    Args:
        recipe: what to train.
        accelerator: device, processes, precision.
        on_load: not called: nothing is read ahead.
    """

    def __init__(
        self, recipe: PretrainWaveRecipe, accelerator: Accelerator, on_load: Callable[[], None] | None = None
    ) -> None:
        self.recipe = recipe
        mel, told = recipe.model.mel, recipe.model.speaker
        self._speech = SpeechMixture(recipe.data, mel, recipe.run.seed, told.reference_frames if told else 0)
        self._train = _WaveSpeech(self._speech.train, mel)
        # Validation copies clean speech, the same stretches in every run, whatever its seed.
        self._held_out = [_wave_sample(item, mel) for item in self._speech.held_out(clean=True)]
        super().__init__(recipe, accelerator)

    def data(self) -> _WaveSpeech:
        """Speech and what the encoder hears of it."""
        return self._train

    def order(self, start: int) -> StepOrder:
        """The mixture's order from step ``start`` on."""
        return self._speech.order(self.recipe.run, start)

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Losses and ESTOI of copies of held-out speech."""
        size = self.recipe.run.batch_size
        batches = [self.collate(self._held_out[i : i + size]) for i in range(0, len(self._held_out), size)]
        return self.judge(batches, writer, step)

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged model as a model folder."""
        self.save(folder, self._speech.card(), metrics, step)
