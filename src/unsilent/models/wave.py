"""The waveform decoder.

Shapes: B batch, T video frames, N = 960 T samples, C channels.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import MelConfig
from unsilent.models.config import WaveDecoderConfig
from unsilent.nn import ModalityBatchNorm
from unsilent.nn.norm import Modality

__all__ = ["WaveDecoder"]


class DilatedBlock(nn.Module):
    """Dilated convolution, batch-norm, SiLU, pointwise convolution, shortcut; padding stays zero."""

    def __init__(self, channels: int, kernel: int, dilation: int, split_norm: bool) -> None:
        super().__init__()
        side = kernel // 2 * dilation
        self.conv = nn.Conv1d(channels, channels, kernel, padding=side, dilation=dilation, bias=False)
        self.norm = ModalityBatchNorm(channels, split=split_norm)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality) -> Tensor:
        """(B, C, N) with zeros where ``mask`` (B, N) is False, to the same."""
        y = self.mix(functional.silu(self.norm(self.conv(x), mask, modality)))
        out: Tensor = (x + y) * mask[:, None].to(x.dtype)
        return out


class WaveDecoder(nn.Module):
    """Transposed convolutions with modality batch-norm: one vector a video frame becomes its 960 samples.

    After the decoder of Mira et al. 2022, which the paper's contains batch-norm like; widths, dilated blocks and the
    even spread of each kernel over its stride are our choice. The receptive field is bounded.
    """

    def __init__(self, in_width: int, mel: MelConfig, config: WaveDecoderConfig, *, split_norm: bool = True) -> None:
        super().__init__()
        self.config, self.mel = config, mel
        self.embed = nn.Conv1d(in_width, config.widths[0], 3, padding=1)
        self.up, self.norms, self.blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = config.widths[0]
        for stride, width in zip(config.strides, config.widths, strict=True):
            # A kernel of twice the stride covers every sample equally often; the surplus is cut evenly.
            self.up.append(nn.ConvTranspose1d(channels, width, 2 * stride, stride, bias=False))
            self.norms.append(ModalityBatchNorm(width, split=split_norm))
            self.blocks.append(
                nn.ModuleList(DilatedBlock(width, config.kernel, 3**i, split_norm) for i in range(config.blocks))
            )
            channels = width
        self.project = nn.Conv1d(channels, 1, 7, padding=3)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality = "video") -> Tensor:
        """(B, T, in_width) and mask (B, T) to samples (B, N) in (-1, 1); padded frames are silent."""
        keep = mask
        y = self.embed(x.transpose(1, 2) * mask[:, None].to(x.dtype)) * mask[:, None].to(x.dtype)
        for stride, up, norm, blocks in zip(self.config.strides, self.up, self.norms, self.blocks, strict=True):
            keep = keep.repeat_interleave(stride, dim=1)
            start = stride // 2
            y = up(y)[:, :, start : start + keep.shape[1]]
            y = functional.silu(norm(y, keep, modality)) * keep[:, None].to(y.dtype)
            for block in cast(nn.ModuleList, blocks):
                y = block(y, keep, modality)
        out: Tensor = torch.tanh(self.project(y)[:, 0]) * keep.to(y.dtype)
        return out
