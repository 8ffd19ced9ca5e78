"""Whose voice a training sample is told: stretches of speech of the same speaker.

Shapes: F mel bands, M mel frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["References", "no_reference", "stretch_of"]


class References:
    """For every clip, another one of the same speaker; the clip itself where the speaker has no other.

    Args:
        speakers: of the clips, in their order.
        frames: mel frames of a reference.
    """

    def __init__(self, speakers: Sequence[str], frames: int) -> None:
        self.frames = frames
        numbers: dict[str, list[int]] = {}
        for index, speaker in enumerate(speakers):
            numbers.setdefault(speaker, []).append(index)
        self._others = [numbers[speaker] for speaker in speakers]
        self._places = {index: place for group in numbers.values() for place, index in enumerate(group)}

    def other(self, index: int, rng: np.random.Generator | None) -> int:
        """Number of a clip that lends its voice to clip ``index``: any by ``rng``, or without it the next."""
        group = self._others[index]
        if len(group) == 1:
            return index
        step = 1 if rng is None else int(rng.integers(1, len(group)))
        return group[(self._places[index] + step) % len(group)]

    def reference(self, mel: Tensor, heard: int, rng: np.random.Generator | None) -> Tensor:
        """A stretch (F, ``frames``) of the first ``heard`` frames of a log-mel (F, M)."""
        return stretch_of(mel[:, : max(1, heard)], self.frames, rng)


def stretch_of(mel: Tensor, frames: int, rng: np.random.Generator | None) -> Tensor:
    """``frames`` neighbouring frames of a log-mel (F, M), anywhere by ``rng`` or its middle; repeated if too short."""
    if mel.shape[1] < frames:
        mel = mel.repeat(1, -(-frames // mel.shape[1]))
    spare = mel.shape[1] - frames
    first = spare // 2 if rng is None else int(rng.integers(0, spare + 1))
    return mel[:, first : first + frames]


def no_reference(bands: int) -> Tensor:
    """What stands for the reference (F, 0) of a model that is told no voice."""
    return torch.zeros(bands, 0)
