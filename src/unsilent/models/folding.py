"""Folding batch-norm into the convolution before it, for synthesis: same output, fewer passes over memory."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from unsilent.nn.norm import Modality, ModalityBatchNorm

__all__ = ["fold_batch_norms"]

PAIRS = (("conv", "norm"), ("conv1", "norm1"), ("conv2", "norm2"), ("depthwise", "batch_norm"))
"""Names under which a convolution and its batch-norm stand side by side in our modules."""
Module = TypeVar("Module", bound=nn.Module)


class _Passed(nn.Module):
    """Stands where a batch-norm was; takes its arguments and leaves the tensor as it is."""

    def forward(self, x: Tensor, mask: Tensor | None = None, modality: Modality = "video") -> Tensor:
        return x


@torch.no_grad()
def fold_batch_norms(model: Module, modality: Modality = "video") -> Module:
    """A copy of a model in evaluation mode whose batch-norms are part of its convolutions.

    Args:
        model: in evaluation mode; left as it is.
        modality: whose running statistics are folded in; the copy is right for this modality alone.
    """
    folded = copy.deepcopy(model)
    for module in list(folded.modules()):
        for conv_name, norm_name in PAIRS:
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, _Passed())
            elif isinstance(conv, nn.Conv1d) and isinstance(norm, ModalityBatchNorm):
                _fold_modality(conv, norm, modality)
                setattr(module, norm_name, _Passed())
        if isinstance(module, nn.Sequential) and len(module) == 2 and isinstance(module[1], nn.BatchNorm2d):
            conv = module[0]
            assert isinstance(conv, nn.Conv2d)
            module[0] = fuse_conv_bn_eval(conv, module[1])
            module[1] = _Passed()
    return folded


def _fold_modality(conv: nn.Conv1d, norm: ModalityBatchNorm, modality: Modality) -> None:
    name = modality if norm.split else "video"
    mean, var = getattr(norm, f"{name}_mean"), getattr(norm, f"{name}_var")
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, mean, var, norm.eps, norm.weight, norm.bias)
