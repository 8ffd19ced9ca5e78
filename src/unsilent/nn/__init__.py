"""Small, pure building blocks: masks, normalisation, residual convolutions, the conformer."""

from unsilent.nn.conformer import BlockState, Conformer, ConformerBlock
from unsilent.nn.masks import length_mask
from unsilent.nn.norm import GlobalBatchNorm2d, ModalityBatchNorm
from unsilent.nn.residual import ResidualBlock1d, ResidualBlock2d

__all__ = [
    "BlockState",
    "Conformer",
    "ConformerBlock",
    "GlobalBatchNorm2d",
    "ModalityBatchNorm",
    "ResidualBlock1d",
    "ResidualBlock2d",
    "length_mask",
]
