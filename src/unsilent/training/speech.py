"""Speech for training a vocoder: random segments of log-mel and waveform.

Shapes: F mel bands, M mel frames, N samples.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unsilent.errors import CorpusError, MediaError
from unsilent.features import MelConfig, log_mel
from unsilent.media import read_audio
from unsilent.shards import ClipRow
from unsilent.training.batches import TensorBatch
from unsilent.training.order import SampleKey, sample_rng

__all__ = ["SegmentBatch", "SegmentData", "Utterance", "folder_utterances", "row_utterance"]

log = logging.getLogger(__name__)

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".opus", ".ogg", ".mp3", ".m4a"})
LOUDEST = 0.95
"""Segments are scaled so that a peak may come as close to full scale as this."""


@dataclass(frozen=True)
class Utterance:
    """A recording and its mel."""

    samples: NDArray[np.float32]
    """(M * hop_length,)."""
    mel: Tensor
    """(F, M) float32."""


@dataclass(frozen=True)
class SegmentBatch(TensorBatch):
    """Segments of one length."""

    mel: Tensor
    """(B, F, M)."""
    samples: Tensor
    """(B, M * hop_length)."""


def _utterance(samples: NDArray[np.float32], mel: MelConfig) -> Utterance:
    whole = samples[: len(samples) // mel.hop_length * mel.hop_length]
    return Utterance(whole, log_mel(torch.from_numpy(whole)[None], mel)[0])


def row_utterance(row: ClipRow, mel: MelConfig, predicted: Tensor | None = None) -> Utterance:
    """The sound of a prepared clip with its mel, or with the mel (F, 4 T) that a model predicts for it."""
    utterance = _utterance(row.audio(), mel)
    if predicted is None:
        return utterance
    return Utterance(utterance.samples, predicted[:, : utterance.mel.shape[1]])


def folder_utterances(
    folder: Path, mel: MelConfig, minutes: float | None, shortest: int, seed: int
) -> Iterator[Utterance]:
    """Recordings of a folder in random order, until ``minutes`` are reached.

    Raises:
        CorpusError: there is no audio file.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise CorpusError(f"{folder}: holds no audio file ({', '.join(sorted(AUDIO_SUFFIXES))})")
    seconds = 0.0
    for index in np.random.default_rng(seed).permutation(len(files)):
        if minutes is not None and seconds >= 60 * minutes:
            return
        try:
            samples = read_audio(files[index], mel.sample_rate)
        except MediaError as error:
            log.warning("left out: %s", error)
            continue
        if len(samples) < shortest:
            continue
        seconds += len(samples) / mel.sample_rate
        yield _utterance(samples, mel)


class SegmentData(Dataset[tuple[Tensor, Tensor]]):
    """Random segments of utterances in groups; which, where and how loud is a function of (seed, epoch, position).

    Args:
        groups: utterances; longer ones are drawn more often.
        shares: probability of each group.
        mel: the mel definition.
        segment_frames: mel frames a segment.
        length: segments an epoch.
        seed: of the run.
        gain: draw a random loudness and shift the log-mel by it; not for predicted mels, whose level is as it is.
    """

    def __init__(
        self,
        groups: Sequence[Iterable[Utterance]],
        shares: Sequence[float],
        *,
        mel: MelConfig,
        segment_frames: int,
        length: int,
        seed: int,
        gain: bool = True,
        on_load: Callable[[], None] | None = None,
    ) -> None:
        self.mel, self.segment_frames, self.length, self.seed, self.gain = mel, segment_frames, length, seed, gain
        self.groups: list[list[Utterance]] = []
        for group in groups:
            self.groups.append([])
            for utterance in group:
                if utterance.mel.shape[1] > segment_frames:
                    self.groups[-1].append(utterance)
                if on_load:
                    on_load()
        if not all(self.groups):
            raise CorpusError(f"no recording is longer than a segment of {segment_frames} mel frames; shorten it")
        self.shares = np.array(shares, float) / sum(shares)
        lengths = [np.array([u.mel.shape[1] for u in group], float) for group in self.groups]
        self._odds = [length / length.sum() for length in lengths]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        rng = sample_rng(self.seed, key)
        group = int(rng.choice(len(self.groups), p=self.shares))
        utterance = self.groups[group][int(rng.choice(len(self.groups[group]), p=self._odds[group]))]
        hop = self.mel.hop_length
        first = int(rng.integers(0, utterance.mel.shape[1] - self.segment_frames + 1))
        mel = utterance.mel[:, first : first + self.segment_frames]
        samples = torch.from_numpy(utterance.samples[first * hop : (first + self.segment_frames) * hop])
        if self.gain:
            peak = float(samples.abs().max())
            gain = min(float(np.exp(rng.uniform(-1.5, 1.0))), LOUDEST / max(peak, 1e-3))
            samples, mel = samples * gain, (mel + float(np.log(gain))).clamp(min=self.mel.log_floor)
        return mel, samples


def collate_segments(samples: Sequence[tuple[Tensor, Tensor]]) -> SegmentBatch:
    """Stack segments."""
    return SegmentBatch(torch.stack([mel for mel, _ in samples]), torch.stack([wave for _, wave in samples]))
