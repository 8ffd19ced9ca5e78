"""What judges generated sound in training, and what either side learns from that.

Shapes: B batch, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from unsilent.models.critics import Critics
from unsilent.models.discriminators import VocoderDiscriminators
from unsilent.training.wave_recipe import AdversaryConfig

__all__ = ["Adversary"]


class Adversary(nn.Module):
    """Critics with gradient penalty, or discriminators with feature matching.

    Args:
        config: which, and of what size.
    """

    def __init__(self, config: AdversaryConfig) -> None:
        super().__init__()
        self.config = config
        self.judge: nn.Module = (
            Critics(config.wave_widths, config.power_widths)
            if config.kind == "critics"
            else VocoderDiscriminators(config.period_widths, config.resolution_width)
        )

    def own_loss(self, real: Tensor, made: Tensor) -> Tensor:
        """What the adversary learns from: waveforms (B, N) of which the second is not to be learnt from."""
        made = made.detach()
        if isinstance(self.judge, Critics):
            distance = (self.judge(made) - self.judge(real)).mean(0).sum()
            along = torch.rand(len(real), device=real.device)
            loss: Tensor = distance + self.config.penalty * self.judge.penalty(real, made, along)
            return loss
        losses = [
            (1 - truth).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
            for (truth, _), (fake, _) in zip(self.judge(real), self.judge(made), strict=True)
        ]
        return torch.stack(losses).mean()

    def losses(self, real: Tensor, made: Tensor) -> dict[str, Tensor]:
        """What the generator learns from: ``adversarial``, and ``feature_matching`` where there are features."""
        with self._still():
            if isinstance(self.judge, Critics):
                return {"adversarial": -self.judge(made).mean(0).sum()}
            with torch.no_grad():
                targets = self.judge(real)
            judgements = self.judge(made)
        distances = [
            (mine - theirs).abs().mean()
            for (_, maps), (_, wanted) in zip(judgements, targets, strict=True)
            for mine, theirs in zip(maps, wanted, strict=True)
        ]
        adversarial = torch.stack([(1 - score).clamp(min=0).mean() for score, _ in judgements]).mean()
        return {"adversarial": adversarial, "feature_matching": torch.stack(distances).mean()}

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Gradients pass through the adversary without staying in it."""
        self.judge.requires_grad_(False)
        try:
            yield
        finally:
            self.judge.requires_grad_(True)
