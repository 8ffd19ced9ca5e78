"""Conformer (Gulati et al. 2020) with rotary positions, for sequences of any length.

Shapes: B batch, T time, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.nn.norm import Modality, ModalityBatchNorm

__all__ = ["Conformer", "ConformerBlock"]


class FeedForward(nn.Module):
    """Layer-norm, expansion, SiLU, projection."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.project = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(functional.silu(self.expand(self.norm(x))))
        projected: Tensor = self.dropout(self.project(hidden))
        return projected


def rotate(x: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021) of (B, heads, T, head width), pairs in two halves."""
    length, half = x.shape[-2], x.shape[-1] // 2
    rates = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = torch.arange(length, device=x.device, dtype=torch.float32)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the whole sequence; padded keys are never attended to."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, time, width = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, time, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        heard = functional.scaled_dot_product_attention(
            rotate(query), rotate(key), value, attn_mask=mask[:, None, None, :]
        )
        projected: Tensor = self.dropout(self.project(heard.transpose(1, 2).reshape(batch, time, width)))
        return projected


class ConvolutionModule(nn.Module):
    """Gated pointwise convolution, depthwise convolution, modality batch-norm, pointwise convolution."""

    def __init__(self, width: int, kernel_size: int, dropout: float, split_norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2, groups=width, bias=False)
        self.batch_norm = ModalityBatchNorm(width, split=split_norm)
        self.project = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality) -> Tensor:
        gated = functional.glu(self.gate(self.norm(x)), dim=-1) * mask[..., None].to(x.dtype)
        mixed = self.batch_norm(self.depthwise(gated.transpose(1, 2)), mask, modality)
        projected: Tensor = self.dropout(self.project(functional.silu(mixed).transpose(1, 2)))
        return projected


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, layer-norm."""

    def __init__(
        self, width: int, heads: int, hidden: int, kernel_size: int, dropout: float, split_norm: bool = True
    ) -> None:
        super().__init__()
        self.before = FeedForward(width, hidden, dropout)
        self.attention = SelfAttention(width, heads, dropout)
        self.convolution = ConvolutionModule(width, kernel_size, dropout, split_norm)
        self.after = FeedForward(width, hidden, dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality = "video") -> Tensor:
        """(B, T, D) and mask (B, T) to (B, T, D)."""
        x = x + 0.5 * self.before(x)
        x = x + self.attention(x, mask)
        x = x + self.convolution(x, mask, modality)
        x = x + 0.5 * self.after(x)
        normalised: Tensor = self.norm(x)
        return normalised


class Conformer(nn.Module):
    """Projection to the width, then ``blocks`` conformer blocks.

    Rotary positions need no table, so any length works; the published SVTS uses relative positions of Transformer-XL,
    which adds D^2 + D parameters a block (`docs/models.md` compares the counts).
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        blocks: int,
        heads: int,
        hidden: int,
        kernel_size: int,
        dropout: float = 0.1,
        split_norm: bool = True,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"width {width} must be a multiple of twice the {heads} heads")
        self.embed = nn.Linear(in_width, width)
        self.blocks = nn.ModuleList(
            ConformerBlock(width, heads, hidden, kernel_size, dropout, split_norm) for _ in range(blocks)
        )

    def forward(self, x: Tensor, mask: Tensor, modality: Modality = "video") -> Tensor:
        """(B, T, in_width) and mask (B, T) to (B, T, D); padded positions come out zero."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, mask, modality)
        return x * mask[..., None].to(x.dtype)
