"""Scores of a finished run, clip by clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from unsilent.evaluation.metrics import estoi, estoi_aligned
from unsilent.shards import ShardReader
from unsilent.synthesis import load

__all__ = ["ClipScores", "score_run"]


@dataclass(frozen=True)
class ClipScores:
    """One value a clip, in the order of the split."""

    estoi: list[float]
    estoi_aligned: list[float]
    """After the generated speech is moved to where it fits the real one best."""


def score_run(model: Path, shards: str, split: str) -> ClipScores:
    """ESTOI of a model's speech, of mels through the shipped vocoder, over a split.

    Args:
        model: model folder.
        shards: prepared clips.
        split: of them.
    """
    voice = load(model)
    plain, moved = [], []
    for row in ShardReader(shards, split=split):
        real = row.audio()
        with torch.inference_mode():
            made = voice.speak_crops(row.crops()).samples
        plain.append(estoi(real, made))
        moved.append(estoi_aligned(real, made))
    return ClipScores(plain, moved)
