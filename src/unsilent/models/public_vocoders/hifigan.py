"""HiFi-GAN's generator, with the published names, so that published weights fit.

Shapes: B batch, F mel bands, M mel frames, C channels, N samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.models.public_vocoders.config import HifiganConfig

__all__ = ["HifiganGenerator"]

SLOPE = 0.1
"""Of the leaky rectifiers; the last one has torch's default, .01, in the authors' code."""
EDGE_KERNEL = 7
"""Of the first and the last convolution."""


class ResBlock(nn.Module):
    """Pairs of a dilated and a plain convolution, each with a shortcut (the paper's "ResBlock1")."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        side = kernel // 2
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=side * dilation) for dilation in dilations
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, padding=side) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) to the same."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = plain(functional.leaky_relu(dilated(functional.leaky_relu(x, SLOPE)), SLOPE)) + x
        return x


class HifiganGenerator(nn.Module):
    """Log-mel (B, F, M) to waveform (B, M * hop_length) in [-1, 1]."""

    def __init__(self, config: HifiganConfig) -> None:
        super().__init__()
        self.config = config
        channels, side = config.channels, EDGE_KERNEL // 2
        self.conv_pre = nn.Conv1d(config.mel.n_mels, channels, EDGE_KERNEL, padding=side)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(config.rates, config.rate_kernels, strict=True):
            surplus = kernel - rate
            # Where the surplus is odd, kan-bayashi's generator cuts the larger half in front; the authors' has none.
            self.ups.append(
                nn.ConvTranspose1d(
                    channels, channels // 2, kernel, rate, padding=-(-surplus // 2), output_padding=surplus % 2
                )
            )
            channels //= 2
            for size, dilations in zip(config.block_kernels, config.block_dilations, strict=True):
                self.resblocks.append(ResBlock(channels, size, dilations))
        self.conv_post = nn.Conv1d(channels, 1, EDGE_KERNEL, padding=side)

    @property
    def context_frames(self) -> int:
        """Mel frames on either side that the sound of a frame depends on."""
        config, reach, rate = self.config, float(EDGE_KERNEL // 2), 1
        blocks = max(
            kernel // 2 * (sum(dilations) + len(dilations))
            for kernel, dilations in zip(config.block_kernels, config.block_dilations, strict=True)
        )
        for factor, kernel in zip(config.rates, config.rate_kernels, strict=True):
            reach += kernel / factor / rate
            rate *= factor
            reach += blocks / rate
        return math.ceil(reach + EDGE_KERNEL // 2 / rate) + 1

    def forward(self, mel: Tensor) -> Tensor:
        """Make the waveform of a log-mel in the network's own scale."""
        x, each = self.conv_pre(mel), len(self.config.block_kernels)
        for stage, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, SLOPE))
            blocks = self.resblocks[stage * each : (stage + 1) * each]
            total = blocks[0](x)
            for block in blocks[1:]:
                total = total + block(x)
            x = total / each
        return torch.tanh(self.conv_post(functional.leaky_relu(x)))[:, 0]
