"""Mouth crops to one vector a video frame.

Shapes: B batch, T video frames, N valid frames of a batch, S crop side, D width.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from unsilent.models.config import VideoEncoderConfig
from unsilent.nn import GlobalBatchNorm2d, ResidualBlock2d

__all__ = ["VideoEncoder", "centre_crop", "resize_crops"]

# Mean and deviation of grey mouth crops, as fractions of white: our choice, the same for every corpus, so that
# a model never depends on statistics of the data that it was trained on.
CROP_MEAN, CROP_STD = 0.45, 0.2


def resize_crops(crops: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize square grey crops (T, S, S) to (T, size, size), averaging areas; the same in training and synthesis."""
    if crops.shape[1:] == (size, size):
        return crops
    resized = np.empty((len(crops), size, size), np.uint8)
    for frame, crop in enumerate(crops):
        resized[frame] = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return resized


def centre_crop(crops: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Middle ``size`` pixels, both ways, of (T, S, S)."""
    start = (crops.shape[1] - size) // 2
    return crops[:, start : start + size, start : start + size]


class Stem(nn.Module):
    """A 3-D convolution of temporal stride 1, computed as a 2-D one over stacked neighbouring frames.

    With a single input channel the two are the same sum; the 2-D form runs several times faster on a CPU and lets
    padding frames be left out before any batch-norm sees them. The weight is that of ``Conv3d`` with its channel
    axis removed.
    """

    def __init__(self, config: VideoEncoderConfig) -> None:
        super().__init__()
        kernel, stride = config.stem_kernel, config.stem_stride
        self.frames = config.stem_frames
        self.conv = nn.Conv2d(self.frames, config.stem_channels, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = GlobalBatchNorm2d(config.stem_channels)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if config.stem_pool else nn.Identity()

    def forward(self, crops: Tensor, mask: Tensor) -> Tensor:
        """(B, T, S, S) and mask (B, T) to (N, channels, H, W) of the valid frames in order."""
        side = self.frames // 2
        padded = functional.pad(crops * mask[..., None, None].to(crops.dtype), (0, 0, 0, 0, side, side))
        return self.convolve(padded.unfold(1, self.frames, 1).permute(0, 1, 4, 2, 3)[mask])

    def convolve(self, stacked: Tensor) -> Tensor:
        """Neighbouring frames (N, frames, S, S) to (N, channels, H, W)."""
        stacked = stacked.contiguous(memory_format=torch.channels_last)
        pooled: Tensor = self.pool(functional.silu(self.norm(self.conv(stacked))))
        return pooled


class VideoEncoder(nn.Module):
    """Spatio-temporal stem and residual network: thin for ``small``, ResNet-18 for ``paper-s/-m/-l``.

    The receptive field in time is the stem's (5 frames); everything after it sees single frames.
    """

    def __init__(self, config: VideoEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = Stem(config)
        stages: list[nn.Module] = []
        channels = config.stem_channels
        for stage, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            for block in range(depth):
                stride = (2 if stage else config.first_stride) if not block else 1
                stages.append(ResidualBlock2d(channels, width, stride))
                channels = width
        self.stages = nn.Sequential(*stages)
        features = channels * config.map_size**2 if config.pooling == "flatten" else channels
        keep = config.pooling == "mean" and features == config.out_width
        self.project: nn.Module = nn.Identity() if keep else nn.Linear(features, config.out_width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, crops: Tensor, mask: Tensor) -> Tensor:
        """Encode grey crops.

        Args:
            crops: (B, T, S, S), uint8 or float in [0, 255].
            mask: (B, T) bool, False where a shorter clip is padded.

        Returns:
            (B, T, D), zero where padded.
        """
        vectors = self._vectors(self.stem(self.scale(crops), mask))
        out: Tensor = vectors.new_zeros(*mask.shape, vectors.shape[-1])
        out[mask] = vectors
        return out

    @property
    def side(self) -> int:
        """Frames that each frame sees on either side of it."""
        return self.stem.frames // 2

    @staticmethod
    def scale(crops: Tensor) -> Tensor:
        """Grey crops, uint8 or float in [0, 255], to what the stem reads; where there is no frame it reads zero."""
        return (crops.float() / 255.0 - CROP_MEAN) / CROP_STD

    def step(self, scaled: Tensor) -> Tensor:
        """Frames of a stream: scaled crops (T + 2 side, S, S) to the vectors of the inner frames (T, D)."""
        return self._vectors(self.stem.convolve(scaled.unfold(0, self.stem.frames, 1).permute(0, 3, 1, 2)))

    def _vectors(self, maps: Tensor) -> Tensor:
        maps = self.stages(maps)
        flat = maps.flatten(1) if self.config.pooling == "flatten" else maps.mean((2, 3))
        vectors: Tensor = self.dropout(self.project(flat))
        return vectors
