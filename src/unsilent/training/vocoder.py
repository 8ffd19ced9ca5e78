"""Training the vocoder: reconstruction losses first, discriminators later."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from unsilent.config import dump_recipe
from unsilent.errors import CheckpointError, RecipeError
from unsilent.features import log_mel, stft_magnitude
from unsilent.models.discriminators import VocoderDiscriminators
from unsilent.models.pretrained import init_from, load_reconstructor, save_model
from unsilent.models.video import centre_crop, resize_crops
from unsilent.models.vocoder import Vocoder
from unsilent.shards import ClipRow, ShardReader
from unsilent.training.clips import check_rates
from unsilent.training.losses import STFT_RESOLUTIONS, multi_resolution_stft
from unsilent.training.plots import mel_figure
from unsilent.training.recipe import VocoderRecipe
from unsilent.training.reduce import average_gradients, clip_gradients
from unsilent.training.speech import (
    SegmentBatch,
    SegmentData,
    Utterance,
    collate_segments,
    folder_utterances,
    row_utterance,
)

__all__ = ["VocoderTask"]

Metrics = dict[str, float]
QUIETEST = 1e-3
"""Magnitude of a bin below which nothing is heard, nor learnt."""
EDGE = 2
"""Mel frames at either end of a segment that the losses skip: the vocoder lacks their context."""


class VocoderTask:
    """`unsilent.training.loop.Task` that fits a `Vocoder` to speech.

    Args:
        recipe: what to train.
        accelerator: device, processes, precision.
        on_load: called after every recording that is read into memory.
    """

    def __init__(
        self, recipe: VocoderRecipe, accelerator: Accelerator, on_load: Callable[[], None] | None = None
    ) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        _check_segment(recipe)
        data, mel = recipe.data, recipe.model.mel
        groups: list[Iterator[Utterance]] = []
        shares = []
        self._held_out: list[Utterance] = []
        if data.shards is not None:
            groups.append(_row_utterances(recipe, data.split))
            shares.append(data.shards_share if data.folders else 1.0)
            self._held_out = list(_row_utterances(recipe, data.validation, data.validation_clips))
        for folder in data.folders:
            groups.append(
                folder_utterances(
                    Path(folder), mel, data.minutes_per_folder, data.segment_frames * mel.hop_length, recipe.run.seed
                )
            )
            shares.append((1 - data.shards_share if data.shards is not None else 1.0) / len(data.folders))
        self._train = SegmentData(
            groups,
            shares,
            mel=mel,
            segment_frames=data.segment_frames,
            length=recipe.steps_per_epoch * recipe.run.batch_size,
            seed=recipe.run.seed,
            gain=data.predicted is None,
            on_load=on_load,
        )
        if not self._held_out:
            self._held_out = [group[0] for group in self._train.groups]
        torch.manual_seed(recipe.run.seed)
        model = Vocoder(recipe.model)
        if recipe.source:
            init_from(model, Path(recipe.source))
        critics = VocoderDiscriminators(recipe.period_widths, recipe.resolution_width)
        self.modules = nn.ModuleDict({"model": model, "critics": critics}).to(accelerator.device)
        optim = recipe.optim
        self.optimizers = {
            name: torch.optim.AdamW(
                self.modules[name].parameters(), optim.lr, optim.betas, weight_decay=optim.weight_decay, fused=True
            )
            for name in ("model", "critics")
        }
        self.keep_last = recipe.loss.adversarial_from < 1

    def data(self) -> SegmentData:
        """Random segments."""
        return self._train

    def collate(self, samples: list[tuple[Tensor, Tensor]]) -> SegmentBatch:
        """Stack segments."""
        return collate_segments(samples)

    def update(self, batch: SegmentBatch, step: int, total: int) -> Metrics:
        """One step of the vocoder, after one of the discriminators once it is their turn."""
        weights, hop = self.recipe.loss, self.recipe.model.mel.hop_length
        model: Vocoder = self.modules["model"]  # type: ignore[assignment]
        there = batch.to(self.accelerator.device)
        true, log_magnitude = there.samples, model.log_magnitude(there.mel)
        losses = self._magnitude(log_magnitude, true)
        metrics: Metrics = {}
        if step >= weights.adversarial_from * total:
            inner = slice(EDGE * hop, (batch.mel.shape[2] - EDGE) * hop)
            made = model.waveform(log_magnitude, iterations=self.recipe.phase_iterations)[:, inner]
            metrics["critics"] = self._update_critics(true[:, inner], made.detach())
            losses |= self._adversarial(true[:, inner], made)
        losses["loss"] = sum((getattr(weights, name) * value for name, value in losses.items()), true.new_zeros(()))
        norm = self._step("model", losses["loss"])
        return {**{name: value.item() for name, value in losses.items()}, "gradient_norm": norm, **metrics}

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Reconstruction losses over held-out recordings, one of which can be heard."""
        sums: Metrics = {}
        model, config = self.modules["model"], self.recipe.model.mel
        for number, utterance in enumerate(self._held_out):
            made = model(utterance.mel[None].to(self.accelerator.device))
            true = torch.from_numpy(utterance.samples).to(made)[None, : made.shape[1]]
            for name, value in self._reconstruction(made, true).items():
                sums[name] = sums.get(name, 0.0) + value.item() / len(self._held_out)
            if number == 0:
                writer.add_audio("validation/made", made[0].cpu().clamp(-1, 1), step, config.sample_rate)
                mels = {"true": log_mel(true, config)[0], "made": log_mel(made, config)[0]}
                writer.add_figure(
                    "validation/mel", mel_figure(None, {name: mel.cpu().numpy() for name, mel in mels.items()}), step
                )
        return {**sums, "score": sums["mel"] + sums["stft"]}

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged vocoder as a model folder."""
        data = self.recipe.data
        trained_on = {
            "shards": Path(data.shards).name if data.shards else None,
            "split": data.split,
            "folders": [Path(folder).name for folder in data.folders],
            "recordings": [len(group) for group in self._train.groups],
        }
        card = {
            "name": self.recipe.name,
            "trained_on": trained_on,
            "step": step,
            "metrics": {name: round(value, 5) for name, value in metrics.items()},
            "recipe": dump_recipe(self.recipe),
        }
        save_model(folder, self.modules["model"], self.recipe.model, card)

    def _reconstruction(self, made: Tensor, true: Tensor) -> dict[str, Tensor]:
        config = self.recipe.model.mel
        return {
            "mel": (log_mel(made, config) - log_mel(true, config)).abs().mean(),
            "stft": multi_resolution_stft(made, true),
        }

    def _magnitude(self, log_magnitude: Tensor, samples: Tensor) -> dict[str, Tensor]:
        """Distance of log-magnitudes (B, bins, M) from the recording's, all but the edges."""
        mel = self.recipe.model.mel
        side = (mel.n_fft - mel.hop_length) // 2
        padded = nn.functional.pad(samples, (side, mel.n_fft - mel.hop_length - side))
        window = torch.hann_window(mel.n_fft, device=samples.device)
        true = stft_magnitude(padded, mel.n_fft, mel.hop_length, window)[..., EDGE:-EDGE]
        made = log_magnitude[..., EDGE:-EDGE]
        difference = made.clamp(min=math.log(QUIETEST)) - true.clamp(min=QUIETEST).log()
        distance = (made.exp() - true).flatten(1).norm(dim=1) / true.flatten(1).norm(dim=1).clamp(min=1e-2)
        return {"magnitude": difference.abs().mean(), "convergence": distance.mean()}

    def _adversarial(self, true: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Hinge loss and feature matching, averaged over discriminators."""
        critics = self.modules["critics"].requires_grad_(False)
        with torch.no_grad():
            targets = critics(true)
        judgements = critics(made)
        critics.requires_grad_(True)
        adversarial = torch.stack([(1 - score).clamp(min=0).mean() for score, _ in judgements]).mean()
        distances = [
            (mine - theirs).abs().mean()
            for (_, maps), (_, wanted) in zip(judgements, targets, strict=True)
            for mine, theirs in zip(maps, wanted, strict=True)
        ]
        return {"adversarial": adversarial, "feature_matching": torch.stack(distances).mean()}

    def _update_critics(self, true: Tensor, made: Tensor) -> float:
        critics = self.modules["critics"]
        losses = [
            (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
            for (real, _), (fake, _) in zip(critics(true), critics(made), strict=True)
        ]
        loss = torch.stack(losses).mean()
        self._step("critics", loss)
        return loss.item()

    def _step(self, name: str, loss: Tensor) -> float:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        average_gradients(self.modules[name].parameters())
        norm = clip_gradients(self.modules[name].parameters(), self.recipe.optim.clip)
        optimizer.step()
        return norm


def _check_segment(recipe: VocoderRecipe) -> None:
    hop, longest = recipe.model.mel.hop_length, max(size for size, _, _ in STFT_RESOLUTIONS)
    least = 2 * EDGE + -(-longest // hop)
    if recipe.data.segment_frames < least:
        raise RecipeError(
            f"data.segment_frames: {recipe.data.segment_frames} mel frames are fewer than the losses look at; "
            f"give at least {least}"
        )


def _row_utterances(recipe: VocoderRecipe, split: str | None, limit: int | None = None) -> Iterator[Utterance]:
    """Recordings of the shards that hold a segment, with predicted mels where the recipe asks for them."""
    data = recipe.data
    assert data.shards is not None
    rows = ShardReader(data.shards, split=split)
    predictor = load_reconstructor(Path(data.predicted))[0] if data.predicted else None
    if predictor is not None and predictor.mel != recipe.model.mel:
        raise CheckpointError(f"{data.predicted}: its mel ({predictor.mel}) is not the recipe's ({recipe.model.mel})")
    for index in range(len(rows) if limit is None else min(limit, len(rows))):
        row = rows[index]
        check_rates(row, recipe.model.mel)
        if row.samples < (data.segment_frames + 1) * recipe.model.mel.hop_length:
            continue
        predicted = _predict(predictor, row) if predictor is not None else None
        yield row_utterance(row, recipe.model.mel, predicted)


@torch.inference_mode()
def _predict(model: Any, row: ClipRow) -> Tensor:
    """Log-mel (F, 4 T) that a video-to-mel model makes of a clip's crops."""
    encoder = model.encoder.config
    crops = centre_crop(resize_crops(row.crops(), encoder.resize), encoder.crop)
    mel: Tensor = model(torch.from_numpy(crops.copy())[None], torch.ones(1, len(crops), dtype=torch.bool))[0]
    return mel.clone()
