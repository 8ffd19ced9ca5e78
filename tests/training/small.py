"""Shards of made-up clips in which picture and sound say the same, and recipes that train on them in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests.models.small import CONFIG

from unsilent.config import validate_recipe
from unsilent.models import ReconstructorConfig, build_reconstructor
from unsilent.models.config import AudioEncoderConfig
from unsilent.models.pretrained import save_model
from unsilent.shards import ClipRow, ShardReader, ShardWriter, encode_audio, encode_crops
from unsilent.training.recipe import TrainRecipe, VocoderRecipe

STATES = 3
DROPPING: dict[str, Any] = {"dropout": 0.1}
MODEL = ReconstructorConfig(
    encoder=CONFIG.encoder.model_copy(update=DROPPING),
    temporal=CONFIG.temporal.model_copy(update=DROPPING),
    decoder=CONFIG.decoder.model_copy(update=DROPPING),
)


def states_of(number: int, frames: int) -> NDArray[np.int64]:
    """Which of three things is seen and heard in every frame; each lasts four frames."""
    rng = np.random.default_rng((7, number))
    return np.asarray(rng.integers(0, STATES, -(-frames // 4)).repeat(4)[:frames])


def crops_of(states: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A bright bar whose height in the picture is the state."""
    crops = np.full((len(states), 96, 96), 60, np.uint8)
    for frame, state in enumerate(states):
        crops[frame, 20 + 20 * int(state) : 36 + 20 * int(state), 20:76] = 220
    return crops


def sound_of(states: NDArray[np.int64]) -> NDArray[np.float32]:
    """A tone whose pitch is the state, with a little noise."""
    pitch = np.array([300.0, 1200.0, 4000.0])[states].repeat(960)
    noise = np.random.default_rng(0).normal(0, 0.002, len(pitch))
    return np.asarray(0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / 24_000) + noise, np.float32)


def row(number: int, *, frames: int = 12, split: str = "train", short_by: int = 0, **changes: Any) -> dict[str, Any]:
    """One clip as a row of a shard; its sound ends ``short_by`` samples early."""
    states = states_of(number, frames)
    sound = sound_of(states)[: frames * 960 - short_by]
    words: list[dict[str, Any]] = [
        {"word": f"word{states[first]}", "start": first / 25, "end": min(first + 4, frames) / 25}
        for first in range(0, frames, 4)
    ]
    return {
        "id": f"s1/clip{number:03d}",
        "corpus": "made-up",
        "speaker": "s1",
        "split": split,
        "text": " ".join(word["word"] for word in words),
        "words": words,
        "fps": 25.0,
        "frames": frames,
        "crops": encode_crops(crops_of(states)),
        "audio": {"bytes": encode_audio(sound, 24_000), "path": None},
        "sample_rate": 24_000,
        "samples": len(sound),
        "valid": [True] * frames,
        "aperture": [0.5] * frames,
        "source_sha256": "0" * 64,
        **changes,
    }


def write_shards(folder: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    """Five clips to train on, of different lengths and one with its sound short, and two to validate on."""
    if rows is None:
        train = [row(number, frames=12 + number) for number in range(4)] + [row(4, short_by=529)]
        rows = train + [row(number, split="held-out", frames=9 + number) for number in (5, 6)]
    with ShardWriter(folder) as writer:
        for each in rows:
            writer.write(each)
    return folder


def read_rows(folder: Path, rows: list[dict[str, Any]]) -> list[ClipRow]:
    """Rows as training reads them."""
    return list(ShardReader(write_shards(folder, rows)))


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, section by section."""
    out = dict(base)
    for key, value in over.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def train_recipe(shards: Path, **changes: Any) -> TrainRecipe:
    """Two epochs of two steps, with dropout, augmentation and every loss."""
    base: dict[str, Any] = {
        "name": "tiny",
        "model": MODEL.model_dump(mode="json"),
        "data": {"shards": str(shards), "train": "train", "validation": "held-out", "window": 10},
        "loss": {"delta": 0.5, "content": 0.3},
        "optim": {"lr": 3e-3, "ema": 0.9},
        "run": {"epochs": 2, "batch_size": 2, "threads": 1, "validate_every": 1, "log_every": 1},
    }
    return validate_recipe(merged(base, changes), TrainRecipe, "memory")


def save_listener(folder: Path, model: ReconstructorConfig) -> ReconstructorConfig:
    """Keep a model that hears instead of seeing what ``model`` sees, with fresh weights."""
    encoder = AudioEncoderConfig(widths=(2, 3, 4, 5, 6), bottleneck=4, out_width=model.encoder.out_width)
    config = model.model_copy(update={"encoder": encoder})
    torch.manual_seed(1)
    save_model(folder, build_reconstructor(config), config, {}, dtype=torch.float32)
    return config


def vocoder_recipe(shards: Path, **changes: Any) -> VocoderRecipe:
    """Two epochs of two steps, discriminators from the middle on."""
    base: dict[str, Any] = {
        "name": "tiny",
        "kind": "vocoder",
        "model": {"width": 16, "hidden": 24, "blocks": 2, "kernel": 3, "phase_iterations": 1},
        "data": {"shards": str(shards), "split": "train", "validation": "held-out", "segment_frames": 16},
        "loss": {"adversarial_from": 0.5},
        "optim": {"lr": 3e-3, "betas": [0.8, 0.99], "ema": 0.9},
        "run": {"epochs": 2, "batch_size": 2, "threads": 1, "validate_every": 1, "log_every": 1},
        "steps_per_epoch": 2,
        "phase_iterations": 1,
        "period_widths": [4, 4],
        "resolution_width": 4,
    }
    return validate_recipe(merged(base, changes), VocoderRecipe, "memory")
