"""A voice as one vector, from a stretch of its speech.

Shapes: B batch, F mel bands, M mel frames, S width of the embedding.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import MelConfig
from unsilent.models.config import SpeakerConfig

__all__ = ["SpeakerEncoder"]

RANGE = 9.0
"""Natural-log magnitudes this far under the loudest are taken as silence: about 78 dB."""


class SpeakerEncoder(nn.Module):
    """Convolutions over log-mel, then attentive statistics pooling (Okabe et al. 2018): who speaks, not what or when.

    Learns with the model that it tells the voice to. Its input's level does not matter.

    Args:
        mel: the mel definition.
        config: sizes.
    """

    def __init__(self, mel: MelConfig, config: SpeakerConfig) -> None:
        super().__init__()
        self.config = config
        widths = [mel.n_mels] + [config.hidden] * config.blocks
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, config.kernel, padding=config.kernel // 2) for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden) for _ in self.convs)
        self.attend = nn.Conv1d(config.hidden, config.hidden, 1)
        self.project = nn.Linear(2 * config.hidden, config.width)
        self.unknown = nn.Parameter(functional.normalize(torch.randn(config.width), dim=0))
        """Stands for a voice of which nothing is known."""

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mels (B, F, M) to embeddings (B, S) of length 1; M = 0 gives the unknown voice.

        In training, some voices are left unknown, as the recipe says.
        """
        unknown = functional.normalize(self.unknown, dim=0).expand(len(mel), -1)
        if mel.shape[2] == 0:
            return unknown
        level = mel.amax((1, 2), keepdim=True)
        # Silence is zero: a large constant in all bands would outweigh what voices differ in.
        x = (mel - level + RANGE).clamp(min=0) / RANGE
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = functional.silu(norm(conv(x).transpose(1, 2)).transpose(1, 2))
            x = x + y if x.shape == y.shape else y
        weights = self.attend(x).softmax(dim=2)
        mean = (x * weights).sum(2)
        spread = ((x - mean[:, :, None]).square() * weights).sum(2).clamp(min=1e-6).sqrt()
        known = functional.normalize(self.project(torch.cat([mean, spread], dim=1)), dim=1)
        if not self.training or not self.config.unknown:
            return known
        left_out = torch.rand(len(mel), 1, device=mel.device) < self.config.unknown
        return torch.where(left_out, unknown, known)
