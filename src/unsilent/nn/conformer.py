"""Conformer (Gulati et al. 2020) with rotary positions, for sequences of any length.

Shapes: B batch, T time, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.nn.norm import Modality, ModalityBatchNorm
from unsilent.nn.residual import TimeConv1d

__all__ = ["BlockState", "Conformer", "ConformerBlock"]


class BlockState(NamedTuple):
    """What a block of a stream keeps of earlier frames."""

    keys: Tensor
    """(B, heads, up to ``history``, head width), without positions."""
    values: Tensor
    """The same shape."""
    gated: Tensor
    """(B, D, kernel - 1), what the depthwise convolution heard last."""


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


def rotate(x: Tensor, start: int = 0) -> Tensor:
    """Rotary positions (Su et al. 2021) of (B, heads, T, head width), pairs in two halves, from ``start`` on."""
    length, half = x.shape[-2], x.shape[-1] // 2
    rates = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = torch.arange(start, start + length, device=x.device, dtype=torch.float32)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class SelfAttention(nn.Module):
    """Multi-head self-attention; padded keys are never attended to.

    With a ``chunk``, frames attend to those of their own chunk and to ``history`` frames before it, so that a stream
    can be answered chunk by chunk (Zhang et al. 2020, U2); without, to the whole sequence.
    """

    def __init__(self, width: int, heads: int, dropout: float, chunk: int = 0, history: int = 0) -> None:
        super().__init__()
        self.heads, self.chunk, self.history = heads, chunk, history
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = self._project(x)
        seen = mask[:, None, None, :]
        if self.chunk:
            seen = _within_reach(seen, self.chunk, self.history)
        heard = functional.scaled_dot_product_attention(rotate(query), rotate(key), value, attn_mask=seen)
        projected: Tensor = self.dropout(self.project(heard.transpose(1, 2).flatten(2)))
        return projected

    def step(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The next chunk (B, T, D) of a stream, with the keys and values of the frames before it."""
        query, key, value = self._project(x)
        keys, values = torch.cat((keys, key), dim=2), torch.cat((values, value), dim=2)
        # Positions count relative to one another only, so they may start anew at what is kept.
        first = keys.shape[2] - query.shape[2]
        heard = functional.scaled_dot_product_attention(rotate(query, first), rotate(keys), values)
        kept = max(0, keys.shape[2] - self.history)
        return self.project(heard.transpose(1, 2).flatten(2)), keys[:, :, kept:], values[:, :, kept:]

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, time, width = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, time, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        return query, key, value


def _within_reach(seen: Tensor, chunk: int, history: int) -> Tensor:
    """Keys (B, 1, 1, T) that are valid to those that each frame attends to, (B, 1, T, T)."""
    time = torch.arange(seen.shape[-1], device=seen.device)
    start = time // chunk * chunk
    reach = (time[None] >= (start - history)[:, None]) & (time[None] < (start + chunk)[:, None])
    # A frame far behind the end of a shorter clip would attend to nothing, which is no number.
    return (seen & reach) | (time[None] == time[:, None])


class ConvolutionModule(nn.Module):
    """Gated pointwise convolution, depthwise convolution, modality batch-norm, pointwise convolution."""

    def __init__(self, width: int, kernel_size: int, dropout: float, split_norm: bool, *, causal: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = TimeConv1d(width, kernel_size, causal=causal, groups=width)
        self.batch_norm = ModalityBatchNorm(width, split=split_norm)
        self.project = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality) -> Tensor:
        gated = functional.glu(self.gate(self.norm(x)), dim=-1) * mask[..., None].to(x.dtype)
        mixed = self.batch_norm(self.depthwise(gated.transpose(1, 2)), mask, modality)
        projected: Tensor = self.dropout(self.project(functional.silu(mixed).transpose(1, 2)))
        return projected

    def step(self, x: Tensor, before: Tensor, modality: Modality) -> tuple[Tensor, Tensor]:
        """The next frames (B, T, D) of a stream, with what the convolution heard last."""
        gated = functional.glu(self.gate(self.norm(x)), dim=-1).transpose(1, 2)
        mask = x.new_ones(x.shape[:2], dtype=torch.bool)
        mixed = self.batch_norm(self.depthwise(gated, before), mask, modality)
        return self.project(functional.silu(mixed).transpose(1, 2)), self.depthwise.tail(gated, before)


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, layer-norm."""

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        kernel_size: int,
        dropout: float,
        split_norm: bool = True,
        chunk: int = 0,
        history: int = 0,
    ) -> None:
        super().__init__()
        self.before = FeedForward(width, hidden, dropout)
        self.attention = SelfAttention(width, heads, dropout, chunk, history)
        self.convolution = ConvolutionModule(width, kernel_size, dropout, split_norm, causal=chunk > 0)
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

    def step(self, x: Tensor, state: BlockState, modality: Modality) -> tuple[Tensor, BlockState]:
        """The next chunk (B, T, D) of a stream, with what the block has kept of the earlier ones."""
        x = x + 0.5 * self.before(x)
        heard, keys, values = self.attention.step(x, state.keys, state.values)
        x = x + heard
        mixed, gated = self.convolution.step(x, state.gated, modality)
        x = x + mixed
        return self.norm(x + 0.5 * self.after(x)), BlockState(keys, values, gated)

    def silence(self, x: Tensor) -> BlockState:
        """State before the first frame, for input like ``x`` (B, T, D)."""
        heads, width = self.attention.heads, x.shape[2]
        none = x.new_zeros(len(x), heads, 0, width // heads)
        return BlockState(none, none, x.new_zeros(len(x), width, self.convolution.depthwise.past))


class Conformer(nn.Module):
    """Projection to the width, then ``blocks`` conformer blocks; with a ``chunk`` they can `step` through a stream.

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
        chunk: int = 0,
        history: int = 0,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"width {width} must be a multiple of twice the {heads} heads")
        self.embed = nn.Linear(in_width, width)
        self.blocks = nn.ModuleList(
            ConformerBlock(width, heads, hidden, kernel_size, dropout, split_norm, chunk, history)
            for _ in range(blocks)
        )

    def forward(self, x: Tensor, mask: Tensor, modality: Modality = "video") -> Tensor:
        """(B, T, in_width) and mask (B, T) to (B, T, D); padded positions come out zero."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, mask, modality)
        return x * mask[..., None].to(x.dtype)

    def step(
        self, x: Tensor, states: list[BlockState] | None = None, modality: Modality = "video"
    ) -> tuple[Tensor, list[BlockState]]:
        """The next chunk of a stream, in evaluation mode; the same as `forward` gives for it, with ``chunk`` set.

        Args:
            x: (B, T, in_width), T frames of one chunk: all of it, or fewer at the end of the stream.
            states: what the last call gave; None at the beginning.
            modality: whose statistics the batch-norms use.

        Returns:
            (B, T, D), and what to give to the next call.
        """
        x = self.embed(x)
        kept = []
        for number, block in enumerate(self.blocks):
            assert isinstance(block, ConformerBlock)
            x, state = block.step(x, states[number] if states else block.silence(x), modality)
            kept.append(state)
        return x, kept
