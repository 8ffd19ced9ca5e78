"""Augmentation of mouth crops, as a pure function of a random generator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unsilent.models.video import centre_crop
from unsilent.training.recipe import AugmentConfig

__all__ = ["augment_crops", "stretch"]

GREY = 115
"""Fill of an erased rectangle: the mean of mouth crops (`unsilent.models.video`)."""


def augment_crops(
    crops: NDArray[np.uint8], size: int, config: AugmentConfig, rng: np.random.Generator, fps: int = 25
) -> NDArray[np.uint8]:
    """Crop, flip, erase, mask in time and change the light, the same way in every frame of the clip.

    Args:
        crops: (T, S, S) grey, resized.
        size: side of the result.
        config: what to do.
        rng: source of every draw. The same generator state gives the same result.
        fps: video frames a second, for the length of the time mask.

    Returns:
        (T, size, size), a copy.
    """
    if config.crop:
        top, left = rng.integers(0, crops.shape[1] - size + 1, 2)
        out = crops[:, top : top + size, left : left + size].copy()
    else:
        out = centre_crop(crops, size).copy()
    if rng.random() < config.flip:
        out = np.ascontiguousarray(out[:, :, ::-1])
    if config.brightness:
        gain, shift = rng.uniform(-config.brightness, config.brightness, 2)
        table = (np.arange(256) - GREY) * (1 + gain) + GREY * (1 + shift)
        out = table.clip(0, 255).astype(np.uint8)[out]
    if rng.random() < config.erase:
        height, width = rng.integers(1, max(2, int(size * config.erase_size) + 1), 2)
        top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
        out[:, top : top + height, left : left + width] = GREY
    longest = int(config.time_mask * fps)
    if longest:
        mean_frame = out.mean(0).astype(np.uint8)
        for start in range(0, len(out), fps):  # one mask a second, as SVTS does
            length = int(rng.integers(0, longest + 1))
            at = start + int(rng.integers(0, max(1, fps - length + 1)))
            out[at : at + length] = mean_frame
    return out


def stretch(values: NDArray[Any], frames: int) -> NDArray[Any]:
    """Play a sequence faster or slower, by interpolation between neighbours: another tempo of speech.

    Args:
        values: (T, ...) of any kind of number.
        frames: length of the result.

    Returns:
        (frames, ...), of the same kind, with the same first and last moment.
    """
    # Middles of the new frames, in units of old ones, so that streams of different rates stay in step.
    at = ((np.arange(frames) + 0.5) * len(values) / frames - 0.5).clip(0, len(values) - 1)
    first = np.minimum(at.astype(int), max(0, len(values) - 2))
    weight = (at - first).astype(np.float32).reshape(-1, *(1,) * (values.ndim - 1))
    after = values[np.minimum(first + 1, len(values) - 1)]
    mixed = values[first] * (1 - weight) + after * weight
    played: NDArray[Any] = (mixed.round() if np.issubdtype(values.dtype, np.integer) else mixed).astype(values.dtype)
    return played
