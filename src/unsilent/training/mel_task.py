"""What every stage has in common that fits a `Reconstructor` to log-mel spectrograms, of video or of sound.

Shapes: B batch, T video frames, F mel bands, M mel frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from unsilent.config import RecipeModel, dump_recipe
from unsilent.models.config import ReconstructorConfig
from unsilent.models.pretrained import save_model
from unsilent.models.reconstructor import Reconstructor, build_reconstructor
from unsilent.nn import length_mask
from unsilent.training.finetune import Thaw, parameter_groups, start
from unsilent.training.losses import masked_l1
from unsilent.training.objective import MelObjective
from unsilent.training.parallel import ReconstructorWithHead, synchronised
from unsilent.training.plots import mel_figure
from unsilent.training.recipe import LossConfig, OptimConfig, RunConfig, StartConfig
from unsilent.training.reduce import clip_gradients, mean_shares, split_batch

__all__ = ["MelBatch", "MelTask"]

Metrics = dict[str, float]


class MelBatch(Protocol):
    """Inputs with the mels that they should become."""

    @property
    def source(self) -> Tensor:
        """What the encoder reads: crops (B, T, S, S) or samples (B, N)."""

    @property
    def frames(self) -> Tensor:
        """(B,) video frames that are real."""

    @property
    def mel(self) -> Tensor:
        """(B, F, M)."""

    @property
    def mel_frames(self) -> Tensor:
        """(B,) mel frames that count in the loss."""

    @property
    def reference(self) -> Tensor:
        """(B, F, R) log-mels of the speakers' voices; R is 0 for a model that is told none."""

    @property
    def bands(self) -> Tensor | None:
        """(B, F), mel bands that count; all if None."""

    @property
    def latents(self) -> Tensor | None:
        """(B, T, D), what a pre-trained model gives its decoder; None where nothing learns from it."""

    def to(self, device: torch.device) -> Any:
        """The batch on ``device``."""


Batch = TypeVar("Batch", bound=MelBatch)


class MelRecipe(Protocol):
    """What the recipes of these stages share."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> ReconstructorConfig: ...
    @property
    def loss(self) -> LossConfig: ...
    @property
    def optim(self) -> OptimConfig: ...
    @property
    def run(self) -> RunConfig: ...


class MelTask(Generic[Batch]):
    """One optimiser, one forward and one backward pass a step, mels for targets.

    Args:
        recipe: of the stage.
        accelerator: device, processes, precision.
        begin: where the weights come from.
        classes: outputs of a linear head on the latents; 0 for none.
    """

    keep_last = False

    def __init__(
        self, recipe: MelRecipe, accelerator: Accelerator, begin: StartConfig | None = None, classes: int = 0
    ) -> None:
        self.settings, self.accelerator = recipe, accelerator
        begin, config = begin or StartConfig(), recipe.model
        self._objective = MelObjective(recipe.loss, config.mel)
        torch.manual_seed(recipe.run.seed)
        model = build_reconstructor(config)
        model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        start(model, begin)
        if begin.init == "scratch":
            nn.init.constant_(model.decoder.project.bias, config.mel.log_floor / 2)  # type: ignore[union-attr, arg-type]
        modules: dict[str, nn.Module] = {"model": model}
        if classes:
            modules["content"] = nn.Linear(config.temporal.width, classes)
        groups = parameter_groups(nn.ModuleDict(modules), recipe.optim, begin.rates)
        optimizer = torch.optim.AdamW(groups, recipe.optim.lr, recipe.optim.betas, fused=True)
        self._thaw = Thaw(model, begin)
        self.freezes = begin.strategy != "full" or begin.latents > 0
        self._latents, self._regresses = begin.latents, False
        self.modules = nn.ModuleDict(modules).to(accelerator.device)
        self.network: nn.Module = self._whole()
        self.optimizers = {"adamw": optimizer}

    def counts(self, batch: Batch) -> dict[str, float]:
        """How many values each loss of a batch is a mean of."""
        heard, clips = batch.mel_frames, float(len(batch.frames))
        bands = float(self.settings.model.mel.n_mels)
        if batch.bands is not None:
            kept = batch.bands.sum(1)
            values, steps = (heard * kept).sum(), ((heard - 1).clamp(min=0) * kept).sum()
        else:
            values, steps = heard.sum() * bands, (heard - 1).clamp(min=0).sum() * bands
        means = {"l1": float(values), "delta": float(steps), "spectral_convergence": clips, "estoi": clips}
        return {**means, "latents": float(batch.frames.sum())}

    def head_losses(self, scores: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """Losses of the head's output (B, T, classes)."""
        raise NotImplementedError

    def update(self, batch: Batch, step: int, total: int) -> Metrics:
        """One step of AdamW on the weighted sum of the recipe's losses."""
        self._thaw.apply(step, total)
        self._regresses = step < self._latents * total
        device, optimizer = self.accelerator.device, self.optimizers["adamw"]
        optimizer.zero_grad(set_to_none=True)
        parts = split_batch(batch, self.settings.run.accumulate)
        sums: Metrics = {}
        for part, shares in zip(parts, mean_shares([self.counts(each) for each in parts], device), strict=True):
            with synchronised(self.network, last=part is parts[-1]):
                losses = self.losses(part.to(device), shares=shares)
                self.accelerator.backward(losses["loss"])
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.item()
        norm = clip_gradients(self.modules.parameters(), self.settings.optim.clip)
        optimizer.step()
        return {**sums, "gradient_norm": norm}

    def losses(
        self, batch: Batch, *, judged: bool = False, shares: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Losses by name, each times its share, if given, of the mean over all that is learnt from at once."""
        network = self._whole() if judged else self.network
        mask = length_mask(batch.frames, int(batch.mel.shape[2]) // self.settings.model.mel.mels_per_frame)
        heard = length_mask(batch.mel_frames, batch.mel.shape[2])
        decode = judged or not self._regresses
        with self.accelerator.autocast():
            predicted, scores = network(batch.source, mask, batch.reference, decode)
        if decode:
            losses = self._objective(predicted.float(), batch.mel, heard, batch.bands, judged=judged)
        else:
            assert batch.latents is not None
            losses = {"latents": masked_l1(predicted.mT.float(), batch.latents.mT, mask)}
        if scores is not None:
            losses.update(self.head_losses(scores, batch))
        if shares is not None:
            losses = {name: value * shares[name] for name, value in losses.items()}
        losses["loss"] = self._objective.total(losses) if decode else losses["latents"]
        return losses

    def judge(self, batches: Sequence[Batch], writer: SummaryWriter, step: int) -> Metrics:
        """Mean losses over held-out batches, with a picture of the first item's mel."""
        device, sums = self.accelerator.device, dict[str, float]()
        items = sum(len(batch.frames) for batch in batches)
        for batch in batches:
            for name, value in self.losses(batch.to(device), judged=True).items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch.frames) / items
        first = batches[0].to(device)
        mask = length_mask(first.frames, first.mel.shape[2] // self.settings.model.mel.mels_per_frame)
        predicted, _ = self._whole()(first.source, mask, first.reference)
        crops = first.source[0, : int(first.frames[0])].cpu().numpy() if first.source.ndim == 4 else None
        mels = {"true": first.mel[0].cpu().numpy(), "predicted": predicted[0].float().cpu().numpy()}
        writer.add_figure("validation/mel", mel_figure(crops, mels), step)
        return {**sums, "score": sums["loss"]}

    def save(self, folder: Path, trained_on: Any, metrics: Metrics, step: int) -> None:
        """Write the averaged model as a model folder."""
        recipe = self.settings
        assert isinstance(recipe, RecipeModel)
        card = {
            "name": recipe.name,
            "trained_on": trained_on,
            "step": step,
            "metrics": {name: round(value, 5) for name, value in metrics.items()},
            "recipe": dump_recipe(recipe),
        }
        save_model(folder, self.modules["model"], recipe.model, card)

    def _whole(self) -> ReconstructorWithHead:
        """What learns, in one forward pass; the head only where there is one."""
        model: Reconstructor = self.modules["model"]  # type: ignore[assignment]
        return ReconstructorWithHead(model, dict(self.modules.items()).get("content"))
