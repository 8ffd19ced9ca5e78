"""Padding masks."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["length_mask"]


def length_mask(lengths: Tensor, longest: int) -> Tensor:
    """True where a position holds data.

    Args:
        lengths: (B,) integers, positions that hold data.
        longest: positions in the padded batch.

    Returns:
        (B, longest) bool.
    """
    return torch.arange(longest, device=lengths.device)[None] < lengths[:, None]
