"""Training video to log-mel (V2A-MelSpec)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from unsilent.config import dump_recipe
from unsilent.models.pretrained import init_from, save_model
from unsilent.models.reconstructor import build_reconstructor
from unsilent.nn import length_mask
from unsilent.shards import ClipRow, ShardReader
from unsilent.training.clips import NO_LABEL, ClipBatch, ClipData, ClipSample, collate_clips
from unsilent.training.intelligibility import mel_estoi
from unsilent.training.losses import best_lags, masked_delta_l1, masked_l1, shift_frames, spectral_convergence
from unsilent.training.plots import mel_figure
from unsilent.training.recipe import TrainRecipe

__all__ = ["VideoTask"]

log = logging.getLogger(__name__)
Metrics = dict[str, float]


class VideoTask:
    """`unsilent.training.loop.Task` that fits a `Reconstructor` to prepared clips.

    Args:
        recipe: what to train.
        accelerator: device, processes, precision.
        on_load: called after every training clip that is read into memory.
    """

    keep_last = False

    def __init__(
        self, recipe: TrainRecipe, accelerator: Accelerator, on_load: Callable[[], None] | None = None
    ) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        data, config = recipe.data, recipe.model
        train = ShardReader(data.shards, split=data.train)
        held_out = ShardReader(data.shards, split=data.validation)[: data.validation_clips]
        self.vocabulary = _vocabulary(train) if recipe.loss.content else {}
        common: dict[str, Any] = {"mel": config.mel, "encoder": config.encoder, "vocabulary": self.vocabulary}
        self._train = ClipData(
            train, seed=recipe.run.seed, augment=data.augment, window=data.window,
            cache=recipe.run.cache, on_load=on_load, **common
        )  # fmt: skip
        self._held_out = ClipData(held_out, cache=True, **common)
        torch.manual_seed(recipe.run.seed)
        model = build_reconstructor(config)
        model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.init:
            init_from(model, Path(recipe.init))
        else:
            nn.init.constant_(model.decoder.project.bias, config.mel.log_floor / 2)  # type: ignore[union-attr, arg-type]
        modules = {"model": model, "content": nn.Linear(config.temporal.width, len(self.vocabulary) + 1)}
        optim = recipe.optim
        optimizer = torch.optim.AdamW(
            _parameter_groups(nn.ModuleDict(modules), optim.weight_decay), optim.lr, optim.betas, fused=True
        )
        device = accelerator.device
        self.modules = nn.ModuleDict(modules).to(device)
        self.optimizers = {"adamw": optimizer}

    def data(self) -> ClipData:
        """Augmented training clips."""
        return self._train

    def collate(self, samples: list[ClipSample]) -> ClipBatch:
        """Pad to the longest clip."""
        return collate_clips(samples)

    def update(self, batch: ClipBatch, step: int, total: int) -> Metrics:
        """One step of AdamW on the weighted sum of the recipe's losses."""
        losses = self._losses(batch.to(self.accelerator.device))
        optimizer = self.optimizers["adamw"]
        optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(losses["loss"])
        norm = nn.utils.clip_grad_norm_(self.modules.parameters(), self.recipe.optim.clip)
        optimizer.step()
        return {**{name: value.item() for name, value in losses.items()}, "gradient_norm": norm.item()}

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Mean losses over the held-out clips, with a picture of one mel and its crops."""
        batches = _batches(self._held_out, self.recipe.run.batch_size)
        sums: Metrics = {}
        for batch in batches:
            for name, value in self._losses(batch.to(self.accelerator.device), judged=True).items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch.frames) / len(self._held_out)
        first = batches[0].to(self.accelerator.device)
        mask = length_mask(first.frames, first.crops.shape[1])
        predicted = self.modules["model"](first.crops, mask)
        frames = int(first.frames[0])
        figure = mel_figure(
            first.crops[0, :frames].cpu().numpy(),
            {"true": first.mel[0].cpu().numpy(), "predicted": predicted[0].float().cpu().numpy()},
        )
        writer.add_figure("validation/mel", figure, step)
        return {**sums, "score": sums["loss"]}

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged model as a model folder."""
        data = self.recipe.data
        card = {
            "name": self.recipe.name,
            "trained_on": {"shards": Path(data.shards).name, "split": data.train, "clips": len(self._train)},
            "step": step,
            "metrics": {name: round(value, 5) for name, value in metrics.items()},
            "recipe": dump_recipe(self.recipe),
        }
        save_model(folder, self.modules["model"], self.recipe.model, card)

    def _losses(self, batch: ClipBatch, judged: bool = False) -> dict[str, Tensor]:
        weights, model = self.recipe.loss, self.modules["model"]
        mask = length_mask(batch.frames, batch.crops.shape[1])
        heard = length_mask(batch.mel_frames, batch.mel.shape[2])
        with self.accelerator.autocast():
            hidden = model.latents(batch.crops, mask)  # type: ignore[operator]
            predicted = model.decoder(hidden, mask, model.modality)  # type: ignore[operator]
        predicted = predicted.float()
        losses, target, mel = {}, batch.mel, self.recipe.model.mel
        if judged:
            losses["estoi_unmoved"] = mel_estoi(predicted, target, heard, mel).mean()
        if weights.lag:
            target, heard = shift_frames(target, heard, best_lags(predicted, target, heard, weights.lag))
        losses["l1"] = masked_l1(predicted, target, heard)
        losses["spectral_convergence"] = spectral_convergence(predicted, target, heard)
        losses["delta"] = masked_delta_l1(predicted, target, heard)
        if weights.content:
            scores, labels = self.modules["content"](hidden).flatten(0, 1).float(), batch.words.flatten()
            # A mean over no labelled frame would not be a number.
            total = functional.cross_entropy(scores, labels, ignore_index=NO_LABEL, reduction="sum")
            losses["content"] = total / (labels != NO_LABEL).sum().clamp(min=1)
            spoken = labels > 0
            losses["word_accuracy"] = ((scores.argmax(1) == labels) & spoken).sum() / spoken.sum().clamp(min=1)
        if weights.estoi:
            losses["estoi"] = 1 - mel_estoi(predicted, target, heard, mel).mean()
        losses["loss"] = sum(
            (getattr(weights, name) * losses[name] for name in type(weights).model_fields if name in losses),
            start=predicted.new_zeros(()),
        )
        return losses


def _vocabulary(rows: Sequence[ClipRow]) -> dict[str, int]:
    words = sorted({word.word for row in rows for word in row.words if word.word not in ("sil", "sp")})
    return {word: index for index, word in enumerate(words, start=1)}


def _batches(data: ClipData, size: int) -> list[ClipBatch]:
    return [
        collate_clips([data[i] for i in range(first, min(first + size, len(data)))])
        for first in range(0, len(data), size)
    ]


def _parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels; leave biases, normalisation and scales alone."""
    decayed = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in module.parameters() if parameter.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
