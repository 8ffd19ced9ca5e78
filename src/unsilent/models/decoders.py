"""Decoders: what pre-training on speech hands over to a video-to-speech model."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from unsilent.features import MelConfig
from unsilent.models.config import MelDecoderConfig
from unsilent.nn import ResidualBlock1d
from unsilent.nn.norm import Modality

__all__ = ["MelDecoder"]


class MelDecoder(nn.Module):
    """Temporal vectors at 25 fps to a log-mel spectrogram at 100 Hz.

    Every vector is projected to as many vectors as it has mel frames, which keeps time in order; residual
    convolutions with modality batch-norm follow, then a projection to the mel bands.
    """

    def __init__(self, in_width: int, mel: MelConfig, config: MelDecoderConfig, *, split_norm: bool = True) -> None:
        super().__init__()
        self.config, self.mel = config, mel
        self.expand = nn.Linear(in_width, mel.mels_per_frame * config.width)
        self.blocks = nn.ModuleList(
            ResidualBlock1d(
                config.width, config.kernel, dropout=config.dropout, split_norm=split_norm, causal=config.causal
            )
            for _ in range(config.blocks)
        )
        self.project = nn.Conv1d(config.width, mel.n_mels, 1)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality = "video") -> Tensor:
        """(B, T, in_width) and mask (B, T) to log-mel (B, F, 4 T); padded frames hold ``mel.log_floor``."""
        batch, time, _ = x.shape
        fine = mask.repeat_interleave(self.mel.mels_per_frame, dim=1)
        keep = fine[:, None].to(x.dtype)
        y = self.expand(x).view(batch, time * self.mel.mels_per_frame, self.config.width).transpose(1, 2) * keep
        for block in self.blocks:
            y = block(y, fine, modality)
        out: Tensor = self.project(y) * keep + self.mel.log_floor * (1 - keep)
        return out

    def step(
        self,
        x: Tensor,
        states: Sequence[tuple[Tensor, Tensor]] | None = None,
        modality: Modality = "video",
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The next vectors (B, T, in_width) of a stream to log-mel (B, F, 4 T), and what to give to the next call.

        A causal decoder in evaluation mode only; the same as `forward` gives for them.
        """
        batch, time, _ = x.shape
        y = self.expand(x).view(batch, time * self.mel.mels_per_frame, self.config.width).transpose(1, 2)
        kept = []
        for number, block in enumerate(self.blocks):
            assert isinstance(block, ResidualBlock1d)
            y, state = block.step(y, states[number] if states else block.silence(y), modality)
            kept.append(state)
        return self.project(y), kept
