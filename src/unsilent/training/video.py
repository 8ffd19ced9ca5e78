"""Training video to log-mel (V2A-MelSpec)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from unsilent.shards import ClipRow, ShardReader
from unsilent.training.clips import (
    NO_LABEL,
    ClipBatch,
    ClipData,
    ClipSample,
    clip_order,
    collate_clips,
    open_clips,
)
from unsilent.training.finetune import listener
from unsilent.training.mel_task import MelTask, Metrics
from unsilent.training.order import BatchOrder
from unsilent.training.recipe import TrainRecipe
from unsilent.training.references import References

__all__ = ["VideoTask"]


class VideoTask(MelTask[ClipBatch]):
    """`unsilent.training.loop.Task` that fits a `Reconstructor` to prepared clips.

    Args:
        recipe: what to train.
        accelerator: device, processes, precision.
        on_load: called after every training clip that is read into memory.
    """

    def __init__(
        self, recipe: TrainRecipe, accelerator: Accelerator, on_load: Callable[[], None] | None = None
    ) -> None:
        self.recipe = recipe
        data, config = recipe.data, recipe.model
        train = self._rows = open_clips(data, recipe.run, config)
        held_out = ShardReader(data.shards, split=data.validation)[: data.validation_clips]
        self.vocabulary = _vocabulary(train) if recipe.loss.content else {}
        told, begin = config.speaker, recipe.start
        common: dict[str, Any] = {"mel": config.mel, "encoder": config.encoder, "vocabulary": self.vocabulary}
        self._train = ClipData(
            train, seed=recipe.run.seed, augment=data.augment, window=data.window,
            references=References(train.speakers, told.reference_frames) if told else None,
            listen=listener(begin.source) if begin.source and begin.latents else None,
            cache=recipe.run.cache, on_load=on_load, **common
        )  # fmt: skip
        others = References([row.speaker for row in held_out], told.reference_frames) if told else None
        self._held_out = ClipData(held_out, references=others, cache=True, **common)
        super().__init__(recipe, accelerator, begin, len(self.vocabulary) + 1 if self.vocabulary else 0)

    def data(self) -> ClipData:
        """Augmented training clips."""
        return self._train

    def order(self, start: int) -> BatchOrder:
        """Batches from step ``start`` on."""
        return clip_order(self._rows, self.recipe.run, start)

    def collate(self, samples: list[ClipSample]) -> ClipBatch:
        """Pad to the longest clip."""
        return collate_clips(samples)

    def counts(self, batch: ClipBatch) -> dict[str, float]:
        """How many values each loss of a batch is a mean of."""
        labelled, spoken = (batch.words != NO_LABEL).sum(), (batch.words > 0).sum()
        return {**super().counts(batch), "content": float(labelled), "word_accuracy": float(spoken)}

    def head_losses(self, scores: Tensor, batch: ClipBatch) -> Mapping[str, Tensor]:
        """Cross-entropy of the word spoken in every frame, (B, T, words)."""
        scores, labels = scores.flatten(0, 1).float(), batch.words.flatten()
        # A mean over no labelled frame would not be a number.
        total = functional.cross_entropy(scores, labels, ignore_index=NO_LABEL, reduction="sum")
        spoken = labels > 0
        return {
            "content": total / (labels != NO_LABEL).sum().clamp(min=1),
            "word_accuracy": ((scores.argmax(1) == labels) & spoken).sum() / spoken.sum().clamp(min=1),
        }

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Mean losses over the held-out clips, with a picture of one mel and its crops."""
        return self.judge(_batches(self._held_out, self.recipe.run.batch_size), writer, step)

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged model as a model folder."""
        data = self.recipe.data
        trained_on = {"shards": Path(data.shards).name, "split": data.train, "clips": len(self._train)}
        self.save(folder, trained_on, metrics, step)


def _vocabulary(rows: Sequence[ClipRow]) -> dict[str, int]:
    words = sorted({word.word for row in rows for word in row.words if word.word not in ("sil", "sp")})
    return {word: index for index, word in enumerate(words, start=1)}


def _batches(data: ClipData, size: int) -> list[ClipBatch]:
    return [
        collate_clips([data[i] for i in range(first, min(first + size, len(data)))])
        for first in range(0, len(data), size)
    ]
