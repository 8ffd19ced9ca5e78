"""The waveform decoder.

Shapes: B batch, T video frames, N = 960 T samples, C channels, L positions of a stage.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import MelConfig
from unsilent.models.config import WaveDecoderConfig
from unsilent.models.source import SourceFilter
from unsilent.nn import ModalityBatchNorm
from unsilent.nn.norm import Modality

__all__ = ["WaveDecoder"]

OVERLAP = 4
"""Length of the last transposed convolution's kernel, in strides."""
QUIET = 0.01
"""Standard deviation of that kernel at the start: a loud start costs an adversary-free run its first hundred steps."""


class DilatedBlock(nn.Module):
    """Dilated convolution, batch-norm, SiLU, pointwise convolution, shortcut; padding stays zero."""

    def __init__(self, channels: int, kernel: int, dilation: int, split_norm: bool) -> None:
        super().__init__()
        side = kernel // 2 * dilation
        self.conv = nn.Conv1d(channels, channels, kernel, padding=side, dilation=dilation, bias=False)
        self.norm = ModalityBatchNorm(channels, split=split_norm)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality) -> Tensor:
        """(B, C, L) with zeros where ``mask`` (B, L) is False, to the same."""
        y = self.mix(functional.silu(self.norm(self.conv(x), mask, modality)))
        out: Tensor = (x + y) * mask[:, None].to(x.dtype)
        return out


class Stage(nn.Module):
    """A convolution that may raise the rate, batch-norm, SiLU and dilated blocks of dilation 1, 3, 9 ...

    Args:
        inputs: channels that come in.
        channels: channels that go out.
        stride: factor by which the rate is raised; 1 for a plain convolution.
        config: kernel and number of the blocks.
        split_norm: see `ModalityBatchNorm`.
    """

    def __init__(self, inputs: int, channels: int, stride: int, config: WaveDecoderConfig, split_norm: bool) -> None:
        super().__init__()
        self.stride = stride
        # A kernel of twice the stride covers every position equally often; the surplus is cut evenly.
        self.conv: nn.Module = (
            nn.Conv1d(inputs, channels, 3, padding=1, bias=False)
            if stride == 1
            else nn.ConvTranspose1d(inputs, channels, 2 * stride, stride, bias=False)
        )
        self.norm = ModalityBatchNorm(channels, split=split_norm)
        self.blocks = nn.ModuleList(
            DilatedBlock(channels, config.kernel, 3**i, split_norm) for i in range(config.blocks)
        )

    def forward(self, x: Tensor, mask: Tensor, modality: Modality) -> Tensor:
        """(B, inputs, L / stride) to (B, channels, L), zero where ``mask`` (B, L) is False."""
        y = self.conv(x)
        if self.stride > 1:
            y = y[:, :, self.stride // 2 :][:, :, : mask.shape[1]]
        y = functional.silu(self.norm(y, mask, modality)) * mask[:, None].to(y.dtype)
        for block in self.blocks:
            y = block(y, mask, modality)
        return cast(Tensor, y)


class WaveDecoder(nn.Module):
    """Transposed convolutions with modality batch-norm: one vector a video frame becomes its 960 samples.

    After the decoder of Mira et al. 2022, which the paper's contains batch-norm like. Widths, dilated blocks, the
    even spread of each kernel over its stride, and a last stage that makes the samples itself are our choice: that one
    has neither batch-norm nor blocks, so that nothing but one sum of overlapping kernels runs at the rate of samples,
    where every channel is dear. The receptive field is bounded. With ``config.source`` the last stage shapes harmonics
    and noise instead (`SourceFilter`): loudness and timbre are as local as they were, the phase of a voice follows from
    all of the pitch before it.
    """

    def __init__(self, in_width: int, mel: MelConfig, config: WaveDecoderConfig, *, split_norm: bool = True) -> None:
        super().__init__()
        self.config, self.mel = config, mel
        widths = (in_width, *config.widths)
        self.stages = nn.ModuleList(
            Stage(inputs, channels, stride, config, split_norm)
            for inputs, channels, stride in zip(widths, widths[1:], (1, *config.strides[:-1]), strict=False)
        )
        last = config.strides[-1]
        self.head: nn.ConvTranspose1d | SourceFilter
        if config.source:
            raised = config.samples_per_frame // last
            # Pitch and gains learn from every vector at once, before what lies between has learnt to pass it on.
            side = raised // 2
            self.straight = nn.ConvTranspose1d(in_width, widths[-1], 2 * raised, raised, side, bias=False)
            self.head = SourceFilter(widths[-1], last, mel.sample_rate, config.source)
        else:
            self.head = nn.ConvTranspose1d(widths[-1], 1, OVERLAP * last, last, bias=False)
            nn.init.normal_(self.head.weight, std=QUIET)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality = "video") -> Tensor:
        """(B, T, in_width) and mask (B, T) to samples (B, N) in (-1, 1); padded frames are silent."""
        y, keep = self.features(x, mask, modality)
        if isinstance(self.head, SourceFilter):
            return self.head.sound(self.head(y), keep)
        last = self.config.strides[-1]
        keep = keep.repeat_interleave(last, dim=1)
        first = (OVERLAP - 1) * last // 2
        out: Tensor = torch.tanh(self.head(y)[:, 0, first : first + keep.shape[1]]) * keep.to(y.dtype)
        return out

    def voiced(
        self, x: Tensor, mask: Tensor, pitch: Tensor | None, modality: Modality = "video"
    ) -> tuple[Tensor, Tensor]:
        """Samples with a pitch that is given, and the pitch that `forward` would have taken, to train both apart.

        Args:
            x: (B, T, in_width).
            mask: (B, T).
            pitch: (B, M) Hz, 0 where the decoder's own is to be taken; None takes it throughout.
            modality: see `forward`.

        Returns:
            (B, N) and (B, M), Hz. Of a decoder with ``config.source`` only.
        """
        assert isinstance(self.head, SourceFilter)
        y, keep = self.features(x, mask, modality)
        controls = self.head(y)
        taken = controls.pitch if pitch is None else torch.where(pitch > 0, pitch, controls.pitch)
        return self.head.sound(controls._replace(pitch=taken), keep), controls.pitch

    def features(self, x: Tensor, mask: Tensor, modality: Modality) -> tuple[Tensor, Tensor]:
        """What the head reads, (B, C, L), and its mask (B, L)."""
        keep = mask
        y = x.transpose(1, 2) * mask[:, None].to(x.dtype)
        for stage in self.stages:
            keep = keep.repeat_interleave(cast(Stage, stage).stride, dim=1)
            y = stage(y, keep, modality)
        if self.config.source:
            y = y + self.straight(x.transpose(1, 2) * mask[:, None])[:, :, : y.shape[2]] * keep[:, None]
        return y, keep
