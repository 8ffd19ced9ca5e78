"""What moves besides the mouth: the head, the lids, the brows."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker.head import BLINK_LEVELS

__all__ = ["blinks", "brow_raises", "sway"]

_BLINK: Final = (1, 3, 3, 2, 1)
"""Levels of the lids over the frames of one blink."""


def sway(rng: np.random.Generator, frames: int, fps: float, periods: tuple[float, float]) -> NDArray[np.float64]:
    """A slow random movement (frames,) about 0, of deviation about 1: five sines of random phase and period, s."""
    times = np.arange(frames) / fps
    rates = 1 / rng.uniform(*periods, 5)
    weights = rng.uniform(0.4, 1.0, 5)
    waves = np.sin(2 * np.pi * (rates * times[:, None] + rng.random(5))) @ weights
    return np.asarray(waves * np.sqrt(2) / np.sqrt((weights**2).sum()))


def blinks(rng: np.random.Generator, frames: int, fps: float) -> NDArray[np.int64]:
    """Index into :data:`BLINK_LEVELS` for each frame; a blink every few seconds."""
    levels = np.zeros(frames, np.int64)
    at = int(rng.uniform(0.2, 3.5) * fps)
    while at < frames:
        shut = np.array(_BLINK[: frames - at])
        levels[at : at + len(shut)] = np.minimum(shut, len(BLINK_LEVELS) - 1)
        at += int(rng.uniform(1.6, 5.0) * fps)
    return levels


def brow_raises(rng: np.random.Generator, frames: int, fps: float) -> NDArray[np.float64]:
    """How far the brows are raised in each frame, in units: mostly not, now and then for half a second."""
    raised = np.zeros(frames)
    times = np.arange(frames) / fps
    for _ in range(rng.poisson(frames / fps / 3)):
        centre, height = rng.uniform(0, frames / fps), rng.uniform(1.0, 3.5)
        raised += height * np.exp(-0.5 * ((times - centre) / rng.uniform(0.12, 0.3)) ** 2)
    return np.minimum(raised, 4.5)
