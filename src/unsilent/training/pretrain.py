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
from torch.utils.tensorboard import SummaryWriter

from unsilent.features import MelConfig, log_mel
from unsilent.training.batches import TensorBatch
from unsilent.training.corrupt import CorruptedSpeech, CorruptSample, SpeechMixture
from unsilent.training.losses import band_mask
from unsilent.training.mel_task import MelTask, Metrics
from unsilent.training.order import StepOrder
from unsilent.training.pretrain_recipe import PretrainRecipe
from unsilent.training.references import no_reference

__all__ = ["PretrainTask", "SpeechBatch", "collate_speech", "reference_mels"]


@dataclass(frozen=True)
class SpeechBatch(TensorBatch):
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
    reference: Tensor
    """(B, F, R) log-mels of more of the same voices; R is 0 for a model that is told none."""

    @property
    def latents(self) -> None:
        """What is pre-trained makes its own."""
        return None


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
        reference_mels([item.reference for item in items], mel),
    )


def reference_mels(references: list[NDArray[np.float32]], mel: MelConfig) -> Tensor:
    """Log-mels (B, F, R) of references (R * hop_length,)."""
    samples = torch.from_numpy(np.stack(references))
    return log_mel(samples, mel) if samples.shape[1] else no_reference(mel.n_mels).expand(len(samples), -1, -1)


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
        # Validation hears the same corrupted speech in every run, whatever its seed.
        told = recipe.model.speaker
        self._speech = SpeechMixture(
            recipe.data, recipe.model.mel, recipe.run.seed, told.reference_frames if told else 0
        )
        self._held_out = self._speech.held_out()
        super().__init__(recipe, accelerator)

    def data(self) -> CorruptedSpeech:
        """Speech and what the encoder hears of it."""
        return self._speech.train

    def order(self, start: int) -> StepOrder:
        """The mixture's order from step ``start`` on."""
        return self._speech.order(self.recipe.run, start)

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
        self.save(folder, self._speech.card(), metrics, step)
