"""What a mel is judged by, of whatever it was predicted.

Shapes: B batch, F mel bands, M mel frames.
"""

from __future__ import annotations

from torch import Tensor

from unsilent.features import MelConfig
from unsilent.training.intelligibility import mel_estoi
from unsilent.training.losses import (
    best_lags,
    centre_lags,
    masked_delta_l1,
    masked_l1,
    shift_frames,
    spectral_convergence,
)
from unsilent.training.recipe import LossConfig

__all__ = ["MelObjective"]


class MelObjective:
    """The losses of a recipe on log-mel spectrograms.

    Args:
        weights: of the losses.
        mel: the mel definition.
    """

    def __init__(self, weights: LossConfig, mel: MelConfig) -> None:
        self.weights, self.mel = weights, mel

    def __call__(
        self, predicted: Tensor, target: Tensor, heard: Tensor, bands: Tensor | None = None, *, judged: bool = False
    ) -> dict[str, Tensor]:
        """Every loss by its name.

        Args:
            predicted: (B, F, M).
            target: (B, F, M).
            heard: (B, M), frames of the target that count.
            bands: (B, F), bands of each recording that count; all if not given.
            judged: also tell ``estoi_unmoved``, before any target is moved.
        """
        losses: dict[str, Tensor] = {}
        if judged:
            losses["estoi_unmoved"] = mel_estoi(predicted, target, heard, self.mel).mean()
        if self.weights.lag:
            lags = centre_lags(best_lags(predicted, target, heard, self.weights.lag), alone=judged)
            target, heard = shift_frames(target, heard, lags)
        mask = heard if bands is None else heard[:, None] & bands[:, :, None]
        losses["l1"] = masked_l1(predicted, target, mask)
        losses["spectral_convergence"] = spectral_convergence(predicted, target, mask)
        losses["delta"] = masked_delta_l1(predicted, target, mask)
        if self.weights.estoi:
            losses["estoi"] = 1 - mel_estoi(predicted, target, heard, self.mel).mean()
        return losses

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """Sum of ``losses`` by the recipe's weights; what has no weight does not count."""
        weighted = [getattr(self.weights, name) * losses[name] for name in LossConfig.model_fields if name in losses]
        total: Tensor = sum(weighted[1:], start=weighted[0])
        return total
