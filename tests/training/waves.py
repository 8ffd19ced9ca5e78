"""Recipes of the wave path that train in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.models.small import ENCODER
from tests.training.small import merged

from unsilent.config import validate_recipe
from unsilent.training.wave_recipe import PretrainWaveRecipe, TrainWaveRecipe

DECODER: dict[str, Any] = {"target": "wave", "strides": [5, 4, 4, 12], "widths": [8, 8, 8, 6], "blocks": 1}
SHAPED: dict[str, Any] = {**DECODER, "strides": [2, 2, 240], "widths": [8, 8, 6], "source": {"n_fft": 512}}
TEMPORAL: dict[str, Any] = {"width": 8, "blocks": 1, "heads": 2, "hidden": 12, "kernel": 5, "dropout": 0.1}
SMALL: dict[str, Any] = {
    "name": "tiny",
    "loss": {"resolutions": [[512, 128, 512], [1024, 256, 1024]]},
    "adversary": {
        "begin": 0.5, "segment_frames": 4, "wave_widths": [3, 4], "power_widths": [3, 4],
        "period_widths": [3, 4], "resolution_width": 3,
    },
    "optim": {"lr": 3e-3, "ema": 0.9},
    "run": {"epochs": 2, "batch_size": 2, "threads": 1, "validate_every": 1, "log_every": 1},
}  # fmt: skip


def video_wave_recipe(shards: Path, **changes: Any) -> TrainWaveRecipe:
    """Two epochs of two steps, with augmentation; critics from the middle on."""
    own = {
        "kind": "train-wave",
        "model": {"encoder": ENCODER.model_dump(mode="json"), "temporal": TEMPORAL, "decoder": DECODER},
        "data": {"shards": str(shards), "train": "train", "validation": "held-out", "window": 8},
    }
    return validate_recipe(merged({**SMALL, **own}, changes), TrainWaveRecipe, "memory")


def speech_wave_recipe(shards: Path, **changes: Any) -> PretrainWaveRecipe:
    """Two epochs of two steps on the sound of prepared clips; critics from the middle on."""
    encoder = {"input": "audio", "widths": [2, 3, 4, 5, 6], "kernel": 3, "bottleneck": 4, "out_width": 8}
    own = {
        "kind": "pretrain-wave",
        "model": {"encoder": encoder, "temporal": TEMPORAL, "decoder": DECODER},
        "data": {
            "sources": [{"shards": str(shards), "split": "train"}],
            "validation": {"shards": str(shards), "split": "held-out"},
            "segment_frames": 6,
            "samples_per_epoch": 4,
        },
    }
    return validate_recipe(merged({**SMALL, **own}, changes), PretrainWaveRecipe, "memory")
