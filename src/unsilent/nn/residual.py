"""Residual convolution blocks in one and two dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.nn.norm import GlobalBatchNorm2d, Modality, ModalityBatchNorm

__all__ = ["ResidualBlock1d", "ResidualBlock2d", "TimeConv1d"]


class TimeConv1d(nn.Conv1d):
    """A convolution over time that keeps its length: centred, or causal, so that no frame hears a later one."""

    def __init__(self, channels: int, kernel_size: int, *, causal: bool, groups: int = 1) -> None:
        side = 0 if causal else kernel_size // 2
        super().__init__(channels, channels, kernel_size, padding=side, groups=groups, bias=False)
        self.past = kernel_size - 1 if causal else 0
        """Earlier frames that a frame hears, if causal."""

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """(B, C, T) to the same; ``before`` (B, C, past) is what came earlier, silence if not given."""
        if not self.past:
            return super().forward(x)
        return super().forward(functional.pad(x, (self.past, 0)) if before is None else torch.cat((before, x), dim=2))

    @torch.no_grad()
    def forget_later(self) -> None:
        """Turn the kernel of a centred convolution into that of a causal one: what heard later frames is left out."""
        kept = self.kernel_size[0] // 2 + 1
        past = self.weight[:, :, :kept].clone()
        self.weight.zero_()
        self.weight[:, :, self.kernel_size[0] - kept :] = past

    def tail(self, x: Tensor, before: Tensor) -> Tensor:
        """What the next piece of a stream needs as ``before``."""
        joined = torch.cat((before, x), dim=2)
        return joined[:, :, joined.shape[2] - self.past :]


class ResidualBlock2d(nn.Module):
    """Two 3x3 convolutions with a shortcut: ResNet's basic block (He et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = GlobalBatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = GlobalBatchNorm2d(out_channels)
        # A block that starts as the identity trains faster (Goyal et al. 2017, section 5.1).
        nn.init.zeros_(self.norm2.weight)
        self.stride = stride
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), GlobalBatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H / stride, W / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        # Pixels are left out here rather than by the 1x1 convolution's stride: with few channels, oneDNN's backward
        # pass of that one writes beyond its memory (uxlfoundation/oneDNN issue 6035).
        kept = x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(kept))


class ResidualBlock1d(nn.Module):
    """Two convolutions over time with modality batch-norm and a shortcut; padding stays zero throughout."""

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        *,
        dropout: float = 0.0,
        split_norm: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = TimeConv1d(channels, kernel_size, causal=causal)
        self.norm1 = ModalityBatchNorm(channels, split=split_norm)
        self.conv2 = TimeConv1d(channels, kernel_size, causal=causal)
        self.norm2 = ModalityBatchNorm(channels, split=split_norm)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality = "video") -> Tensor:
        """(B, C, T) with zeros where ``mask`` (B, T) is False, to the same."""
        keep = mask[:, None].to(x.dtype)
        y = functional.silu(self.norm1(self.conv1(x), mask, modality)) * keep
        y = functional.silu(self.norm2(self.conv2(self.dropout(y)), mask, modality))
        return (x + y) * keep

    def step(self, x: Tensor, state: tuple[Tensor, Tensor], modality: Modality) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The next frames (B, C, T) of a stream, with what the block has kept of the earlier ones; causal only."""
        mask = x.new_ones(len(x), x.shape[2], dtype=torch.bool)
        y = functional.silu(self.norm1(self.conv1(x, state[0]), mask, modality))
        z = functional.silu(self.norm2(self.conv2(y, state[1]), mask, modality))
        return x + z, (self.conv1.tail(x, state[0]), self.conv2.tail(y, state[1]))

    def silence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """State before the first frame, for input like ``x`` (B, C, T)."""
        nothing = x.new_zeros(len(x), x.shape[1], self.conv1.past)
        return nothing, nothing
