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

from unsilent.training.mixture import MixtureOrder, SpeechData, open_sources
from unsilent.training.order import SampleKey, StepOrder
from unsilent.training.pretrain import CorruptedSpeech, CorruptSample
from unsilent.training.pretrain_recipe import CorruptConfig, SpeechDataConfig
from unsilent.training.wave import Metrics, WaveTask
from unsilent.training.wave_data import WaveSample
from unsilent.training.wave_recipe import PretrainWaveRecipe

__all__ = ["PretrainWaveTask"]


class _WaveSpeech(Dataset[WaveSample]):
    """What the encoder hears, with the speech that it is to become."""

    def __init__(self, speech: CorruptedSpeech, samples_per_frame: int) -> None:
        self.speech, self.samples_per_frame = speech, samples_per_frame

    def __len__(self) -> int:
        return len(self.speech)

    def __getitem__(self, key: SampleKey) -> WaveSample:
        item: CorruptSample = self.speech[key]
        frames = max(1, -(-item.valid_samples // self.samples_per_frame))
        heard, clean = (torch.from_numpy(np.array(each, np.float32)) for each in (item.heard, item.clean))
        return WaveSample(heard, clean, frames, item.valid_samples, item.bandwidth)


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
        data, mel = recipe.data, recipe.model.mel
        self._readers = open_sources(data.sources, data.window_groups)
        segment = data.segment_frames * mel.samples_per_frame
        speech = SpeechData(self._readers, segment_samples=segment, seed=recipe.run.seed)
        self._train = self._speech(speech, data)
        held_out = SpeechData(open_sources([data.validation]), segment_samples=segment, seed=0)
        # Validation copies clean speech, the same stretches in every run, whatever its seed.
        none = CorruptConfig(noise=0.0, mask=0.0, shift=0.0)
        clean = data.model_copy(update={"corrupt": none, "gain_db": (0.0, 0.0)})
        judged = self._speech(held_out, clean)
        chosen = np.random.default_rng(0).permutation(len(held_out))[: data.validation_clips]
        self._held_out = [judged[SampleKey(0, i, int(sample))] for i, sample in enumerate(chosen)]
        super().__init__(recipe, accelerator)

    def _speech(self, speech: SpeechData, config: SpeechDataConfig) -> _WaveSpeech:
        mel = self.recipe.model.mel
        return _WaveSpeech(CorruptedSpeech(speech, config, mel.sample_rate), mel.samples_per_frame)

    def data(self) -> _WaveSpeech:
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

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Losses and ESTOI of copies of held-out speech."""
        size = self.recipe.run.batch_size
        batches = [self.collate(self._held_out[i : i + size]) for i in range(0, len(self._held_out), size)]
        return self.judge(batches, writer, step)

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged model as a model folder."""
        sources = [
            {"shards": Path(source.shards).name, "split": source.split, "recordings": len(reader)}
            for source, reader in zip(self.recipe.data.sources, self._readers, strict=True)
        ]
        self.save(folder, sources, metrics, step)
