"""Clips and speech as samples for the wave path.

Shapes: B batch, T video frames, S crop side, N = 960 T samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unsilent.features import MelConfig, log_mel
from unsilent.models.config import VideoEncoderConfig
from unsilent.models.video import centre_crop, resize_crops
from unsilent.shards import ClipRow
from unsilent.training.augment import augment_crops
from unsilent.training.batches import TensorBatch
from unsilent.training.clips import check_rates
from unsilent.training.order import SampleKey, sample_rng
from unsilent.training.recipe import AugmentConfig
from unsilent.training.references import References, no_reference

__all__ = ["WaveBatch", "WaveClipData", "WaveSample", "collate_waves", "fit_length"]


@dataclass(frozen=True)
class WaveSample:
    """One recording with what a model makes it of."""

    source: Tensor
    """Crops (T, S, S) uint8, or samples (N,) that may have been corrupted."""
    samples: Tensor
    """(N,) float32; silence after the recording's end."""
    frames: int
    """Video frames that are real; the model sees no others."""
    valid: int
    """Samples before that end."""
    bandwidth: float
    """Hz."""
    reference: Tensor
    """(F, R) log-mel of the same voice elsewhere; R is 0 for a model that is told none."""


@dataclass(frozen=True)
class WaveBatch(TensorBatch):
    """Recordings padded to the longest."""

    source: Tensor
    """(B, T, S, S) or (B, N)."""
    frames: Tensor
    """(B,) video frames that are real."""
    samples: Tensor
    """(B, N)."""
    valid: Tensor
    """(B,) samples that count in the losses."""
    bandwidth: Tensor
    """(B,) Hz."""
    reference: Tensor
    """(B, F, R)."""


def collate_waves(samples: Sequence[WaveSample], samples_per_frame: int) -> WaveBatch:
    """Pad to the longest with black pictures and silence."""
    longest = max(len(sample.samples) for sample in samples)
    first = samples[0].source
    size = longest if first.ndim == 1 else longest // samples_per_frame
    source = torch.zeros(len(samples), size, *first.shape[1:], dtype=first.dtype)
    sound = torch.zeros(len(samples), longest)
    for i, sample in enumerate(samples):
        source[i, : len(sample.source)] = sample.source
        sound[i, : len(sample.samples)] = sample.samples
    frames = torch.tensor([sample.frames for sample in samples])
    valid = torch.tensor([sample.valid for sample in samples])
    bandwidth = torch.tensor([sample.bandwidth for sample in samples], dtype=torch.float32)
    return WaveBatch(source, frames, sound, valid, bandwidth, torch.stack([sample.reference for sample in samples]))


def fit_length(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The first ``length`` samples, with silence for those that there are not."""
    out = np.zeros(length, np.float32)
    out[: len(samples)] = samples[:length]
    return out


class WaveClipData(Dataset[WaveSample]):
    """Prepared clips: crops, augmented by key, with their sound.

    Args:
        rows: the clips.
        mel: rates.
        encoder: crop sizes.
        bandwidth: of the sound, Hz.
        seed: of the run; with a sample's key it determines its augmentation.
        augment: what to do to the crops, or None for the centre crop; its ``speed`` is not used.
        window: with ``augment``, a random stretch of this many video frames instead of the whole clip.
        references: whose voice each clip is told; none if not given.
        cache: keep decoded clips in memory.
        on_load: called after every clip that is loaded into the cache at construction.
    """

    def __init__(
        self,
        rows: Sequence[ClipRow],
        *,
        mel: MelConfig,
        encoder: VideoEncoderConfig,
        bandwidth: float,
        seed: int = 0,
        augment: AugmentConfig | None = None,
        window: int | None = None,
        references: References | None = None,
        cache: bool = True,
        on_load: Callable[[], None] | None = None,
    ) -> None:
        self.rows, self.mel, self.encoder, self.bandwidth = rows, mel, encoder, bandwidth
        self.seed, self.augment, self.window, self.references = seed, augment, window, references
        self._cache: list[tuple[NDArray[np.uint8], NDArray[np.float32], int]] | None = None
        if cache:
            self._cache = []
            for row in rows:
                self._cache.append(self._load(row))
                if on_load:
                    on_load()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: SampleKey | int) -> WaveSample:
        index = key if isinstance(key, int) else key.sample
        crops, sound, valid = self._cache[index] if self._cache is not None else self._load(self.rows[index])
        rng = None
        if self.augment is None or isinstance(key, int):
            crops = centre_crop(crops, self.encoder.crop)
        else:
            rng, rate = sample_rng(self.seed, key), self.mel.samples_per_frame
            if self.window is not None and self.window < len(crops):
                first = int(rng.integers(0, len(crops) - self.window + 1))
                crops = crops[first : first + self.window]
                sound = sound[first * rate : (first + self.window) * rate]
                valid = min(max(valid - first * rate, 0), len(sound))
            crops = augment_crops(crops, self.encoder.crop, self.augment, rng)
        pictures = torch.from_numpy(np.ascontiguousarray(crops))
        reference = self._reference(index, rng)
        return WaveSample(pictures, torch.from_numpy(sound.copy()), len(crops), valid, self.bandwidth, reference)

    def _reference(self, index: int, rng: np.random.Generator | None) -> Tensor:
        if self.references is None:
            return no_reference(self.mel.n_mels)
        other = self.references.other(index, rng)
        _, sound, valid = self._cache[other] if self._cache is not None else self._load(self.rows[other])
        mel = log_mel(torch.from_numpy(sound)[None], self.mel)[0]
        return self.references.reference(mel, valid // self.mel.hop_length, rng)

    def _load(self, row: ClipRow) -> tuple[NDArray[np.uint8], NDArray[np.float32], int]:
        check_rates(row, self.mel)
        length, sound = row.frames * self.mel.samples_per_frame, row.audio()
        return resize_crops(row.crops(), self.encoder.resize), fit_length(sound, length), min(len(sound), length)
