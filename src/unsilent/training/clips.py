"""Prepared clips as training samples.

Shapes: B batch, T video frames, S crop side, F mel bands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unsilent.corpora.base import Word
from unsilent.errors import RecipeError, ShardError
from unsilent.features import MelConfig, log_mel
from unsilent.models.config import ReconstructorConfig, VideoEncoderConfig
from unsilent.models.video import centre_crop, resize_crops
from unsilent.shards import ClipRow, ShardReader
from unsilent.training.augment import augment_crops, stretch
from unsilent.training.batches import TensorBatch
from unsilent.training.mixture import WINDOW_GROUPS, StreamOrder
from unsilent.training.order import BatchOrder, SampleKey, sample_rng
from unsilent.training.recipe import AugmentConfig, DataConfig, RunConfig
from unsilent.training.references import References, no_reference
from unsilent.training.subset import choose_minutes

__all__ = [
    "NO_LABEL",
    "ClipBatch",
    "ClipData",
    "check_rates",
    "clip_order",
    "collate_clips",
    "open_clips",
    "word_labels",
]

NO_LABEL = -100
"""Label of a frame of which nothing is known; `torch.nn.functional.cross_entropy` ignores it."""


@dataclass(frozen=True)
class ClipSample:
    """One clip, ready for a model."""

    crops: Tensor
    """(T, S, S) uint8."""
    mel: Tensor
    """(F, 4 T) float32; silence where the recording has ended."""
    mel_frames: int
    """Mel frames that the recording fills."""
    words: Tensor
    """(T,) int64, index of the word in every frame, 0 for none, `NO_LABEL` where unknown."""
    reference: Tensor
    """(F, R) log-mel of the same speaker in another clip; R is 0 for a model that is told no voice."""
    latents: Tensor
    """(T, D), what a pre-trained model makes of the clip's sound for its decoder; D is 0 where that is not wanted."""


@dataclass(frozen=True)
class ClipBatch(TensorBatch):
    """Clips padded to the longest."""

    crops: Tensor
    """(B, T, S, S) uint8."""
    frames: Tensor
    """(B,) video frames that are real."""
    mel: Tensor
    """(B, F, 4 T)."""
    mel_frames: Tensor
    """(B,) mel frames that count in the loss."""
    words: Tensor
    """(B, T)."""
    reference: Tensor
    """(B, F, R)."""
    latents: Tensor
    """(B, T, D)."""

    @property
    def source(self) -> Tensor:
        """What the encoder reads."""
        return self.crops

    @property
    def bands(self) -> None:
        """All mel bands of a clip count."""
        return None


def open_clips(data: DataConfig, run: RunConfig, model: ReconstructorConfig) -> ShardReader:
    """The clips that a recipe trains on; of ``minutes``, clips chosen at random, the same in every run.

    Raises:
        ShardError: the shards cannot be used.
        RecipeError: more clips are to be kept in memory than the machine has.
    """
    rows = ShardReader(data.shards, split=data.train, cache_groups=2 if run.cache else WINDOW_GROUPS)
    if data.minutes is not None:
        rows = rows.take(choose_minutes(rows.frames / model.mel.frame_rate, data.minutes))
    if run.cache and isinstance(model.encoder, VideoEncoderConfig):
        wanted = int(rows.frames.sum()) * (model.encoder.resize**2 + 4 * model.mel.samples_per_frame)
        memory = _memory()
        if memory and wanted > memory:
            raise RecipeError(
                f"run.cache: keeping {len(rows)} clips would take {wanted / 1e9:.0f} GB of the {memory / 1e9:.0f} GB "
                "that there are; give --set run.cache=false, and processes to read them: --set run.workers=8"
            )
    return rows


def _memory() -> int | None:
    """Bytes of memory of this machine, None where they cannot be asked for."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def clip_order(rows: ShardReader, run: RunConfig, start: int) -> BatchOrder:
    """Batches of clips from step ``start`` on.

    Clips that are not kept in memory are shuffled within a window of row groups: a wholly random one would cost the
    reading of its whole row group.
    """
    near = None if run.cache else StreamOrder(rows.group_sizes, run.seed)
    return BatchOrder(len(rows), run.batch_size, run.seed, run.epochs, start, near)


def word_labels(words: Sequence[Word], frames: int, vocabulary: dict[str, int], fps: float = 25.0) -> Tensor:
    """Word spoken in the middle of every frame: (T,) int64, 0 where none is, `NO_LABEL` if no word times exist."""
    if not words:
        return torch.full((frames,), NO_LABEL)
    labels = torch.zeros(frames, dtype=torch.long)
    for word in words:
        first, last = (max(0, round(time * fps)) for time in (word.start, word.end))
        labels[first:last] = vocabulary.get(word.word, 0)
    return labels


class _Clip(NamedTuple):
    """A clip as it is kept: crops (T, S, S), mel (F, 4 T), and words and latents a frame."""

    crops: NDArray[np.uint8]
    mel: Tensor
    mel_frames: int
    words: Tensor
    latents: Tensor


class ClipData(Dataset[ClipSample]):
    """Clips of shards, decoded, augmented by key, with mel and word labels.

    Args:
        rows: the clips.
        mel: the mel definition.
        encoder: crop sizes.
        seed: of the run; with a sample's key it determines its augmentation.
        augment: what to do to the crops, or None for the centre crop.
        vocabulary: index of every word, from 1.
        window: with ``augment``, a random stretch of this many video frames instead of the whole clip.
        references: whose voice each clip is told; none if not given.
        listen: makes latents (1, T, D) of a clip's sound (1, N); none are made if not given.
        cache: keep decoded clips in memory.
        on_load: called after every clip that is loaded into the cache at construction.
    """

    def __init__(
        self,
        rows: Sequence[ClipRow],
        *,
        mel: MelConfig,
        encoder: VideoEncoderConfig,
        seed: int = 0,
        augment: AugmentConfig | None = None,
        vocabulary: dict[str, int] | None = None,
        window: int | None = None,
        references: References | None = None,
        listen: Callable[[Tensor], Tensor] | None = None,
        cache: bool = True,
        on_load: Callable[[], None] | None = None,
    ) -> None:
        self.rows, self.mel, self.encoder, self.seed, self.augment = rows, mel, encoder, seed, augment
        self.vocabulary, self.window, self.references = vocabulary or {}, window, references
        self._listen = listen
        self._cache: list[_Clip] | None = None
        if cache:
            self._cache = []
            for row in rows:
                self._cache.append(self._load(row))
                if on_load:
                    on_load()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: SampleKey | int) -> ClipSample:
        index = key if isinstance(key, int) else key.sample
        clip, rng = self._clip(index), None
        if self.augment is None or isinstance(key, int):
            crops = centre_crop(clip.crops, self.encoder.crop)
        else:
            rng = sample_rng(self.seed, key)
            clip = self._stretch_of(clip, self.augment.speed, rng)
            crops = augment_crops(clip.crops, self.encoder.crop, self.augment, rng)
        pictures = torch.from_numpy(np.ascontiguousarray(crops))
        return ClipSample(pictures, clip.mel, clip.mel_frames, clip.words, self._reference(index, rng), clip.latents)

    def _clip(self, index: int) -> _Clip:
        return self._cache[index] if self._cache is not None else self._load(self.rows[index])

    def _reference(self, index: int, rng: np.random.Generator | None) -> Tensor:
        if self.references is None:
            return no_reference(self.mel.n_mels)
        other = self.references.other(index, rng)
        clip = self._clip(other)
        return self.references.reference(clip.mel, clip.mel_frames, rng)

    def _stretch_of(self, clip: _Clip, speed: float, rng: np.random.Generator) -> _Clip:
        """A random window of a clip at a random tempo; the whole clip where it is no longer than the window."""
        crops, mel, mel_frames, words, latents = clip
        tempo = float(rng.uniform(1 - speed, 1 + speed)) if speed else 1.0
        ratio = mel.shape[1] // len(crops)
        frames = len(crops) if self.window is None else min(len(crops), round(self.window * tempo))
        if frames < len(crops):
            first = int(rng.integers(0, len(crops) - frames + 1))
            shown = slice(first, first + frames)
            crops, words, latents = crops[shown], words[shown], latents[shown]
            mel = mel[:, first * ratio : (first + frames) * ratio]
            mel_frames = min(max(mel_frames - first * ratio, 0), mel.shape[1])
        wanted = frames if not speed else max(1, round(frames / tempo))
        if wanted == frames:
            return _Clip(crops, mel, mel_frames, words, latents)
        # The word of a frame is that of the moment it shows: labels are not mixed.
        nearest = ((torch.arange(wanted) + 0.5) * frames / wanted).long()
        mel_frames = mel_frames * wanted // frames
        played = torch.from_numpy(stretch(mel.T.numpy(), wanted * ratio)).T
        latents = torch.from_numpy(stretch(latents.numpy(), wanted))
        return _Clip(stretch(crops, wanted), played, mel_frames, words[nearest], latents)

    def _load(self, row: ClipRow) -> _Clip:
        check_rates(row, self.mel)
        crops = resize_crops(row.crops(), self.encoder.resize)
        audio = torch.from_numpy(row.audio())
        # GRID's sound ends 529 samples early: the rest is silence that the loss never looks at.
        real = min(len(audio), row.frames * self.mel.samples_per_frame)
        padded = torch.zeros(1, row.frames * self.mel.samples_per_frame)
        padded[0, :real] = audio[:real]
        mel = log_mel(padded, self.mel)[0]
        words = word_labels(row.words, row.frames, self.vocabulary, row.fps)
        latents = torch.zeros(row.frames, 0) if self._listen is None else self._listen(padded)[0]
        return _Clip(crops, mel, real // self.mel.hop_length, words, latents)


def check_rates(row: ClipRow, mel: MelConfig) -> None:
    """Refuse a clip whose sound or pictures are at other rates than the model's.

    Raises:
        ShardError: they are.
    """
    if (row.sample_rate, row.fps) != (mel.sample_rate, mel.frame_rate):
        raise ShardError(
            f"{row.shard}: clip {row.id} is at {row.sample_rate} Hz and {row.fps:g} frames a second, the recipe's "
            f"mel at {mel.sample_rate} Hz and {mel.frame_rate}; prepare the corpus again or change model.mel"
        )


def collate_clips(samples: Sequence[ClipSample]) -> ClipBatch:
    """Pad clips to the longest of them: crops and mel with zeros, labels with `NO_LABEL`."""
    frames = torch.tensor([len(sample.crops) for sample in samples])
    longest = int(frames.max())
    first = samples[0]
    mels_per_frame = first.mel.shape[1] // len(first.crops)
    crops = torch.zeros(len(samples), longest, *first.crops.shape[1:], dtype=torch.uint8)
    mel = torch.zeros(len(samples), first.mel.shape[0], longest * mels_per_frame)
    words = torch.full((len(samples), longest), NO_LABEL)
    latents = torch.zeros(len(samples), longest, first.latents.shape[1])
    for i, sample in enumerate(samples):
        crops[i, : len(sample.crops)] = sample.crops
        mel[i, :, : sample.mel.shape[1]] = sample.mel
        words[i, : len(sample.words)] = sample.words
        latents[i, : len(sample.latents)] = sample.latents
    heard = torch.tensor([sample.mel_frames for sample in samples])
    reference = torch.stack([sample.reference for sample in samples])
    return ClipBatch(crops, frames, mel, heard, words, reference, latents)
