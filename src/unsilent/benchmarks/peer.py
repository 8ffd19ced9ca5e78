"""A peer's pipeline as plain PyTorch would have it, to be timed beside ours.

Written as such code is commonly written: the default memory layout, no folded normalisation, one clip as one batch.
Sizes are SVTS-S's (Mira et al. 2022, arXiv 2205.02058: 3-D stem, ResNet-18, six conformer blocks of width 256) and the
published vocoders'; weights are random. No face is looked for, which is in the peer's favour.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import MelConfig
from unsilent.media import read_video, write_audio
from unsilent.models.public_vocoders import HifiganConfig, ParallelWaveganConfig, PublicMelConfig, PublicVocoder

__all__ = ["PEER_VOCODERS", "Peer"]

_WIDTH, _BLOCKS, _HEADS, _HIDDEN, _KERNEL = 256, 6, 4, 2048, 31
_CROP = 88
_MEL = MelConfig()


def _hifigan() -> HifiganConfig:
    # V1's widths and kernels; its rates are made to fit 24 kHz and a hop of 240 samples.
    return HifiganConfig(
        mel=_mel(), log_base="e", normalised=False, centred=False, rates=(5, 4, 4, 3), rate_kernels=(11, 8, 8, 7)
    )


def _parallel_wavegan() -> ParallelWaveganConfig:
    return ParallelWaveganConfig(mel=_mel(), log_base="10", normalised=True, centred=True, rates=(4, 5, 3, 4))


def _mel() -> PublicMelConfig:
    return PublicMelConfig(**{**_MEL.model_dump(), "frame_rate": 0})


PEER_VOCODERS: dict[str, Callable[[], HifiganConfig | ParallelWaveganConfig]] = {
    "HiFi-GAN V1": _hifigan,
    "Parallel WaveGAN": _parallel_wavegan,
}
"""Vocoders that peers use, by name, in the sizes that were published."""


class Peer:
    """Video file to sound file with a vocoder of `PEER_VOCODERS`."""

    def __init__(self, vocoder: str) -> None:
        self.network = _Network().eval()
        self.vocoder = PublicVocoder(PEER_VOCODERS[vocoder]()).eval()

    @property
    def parameters(self) -> int:
        """Weights of network and vocoder."""
        return sum(p.numel() for part in (self.network, self.vocoder) for p in part.parameters())

    @torch.inference_mode()
    def speak(self, video: Path, output: Path) -> dict[str, float]:
        """Write the sound of ``video`` and return the seconds of each stage and of the ``whole``."""
        marks = [time.perf_counter()]
        crops = np.stack([_centre(frame) for frame in read_video(video)])
        marks.append(time.perf_counter())
        mel = self.network(torch.from_numpy(crops)[None].float() / 255)
        marks.append(time.perf_counter())
        sound = self.vocoder(mel)[0]
        marks.append(time.perf_counter())
        write_audio(output, sound.clamp(-1, 1).numpy(), _MEL.sample_rate)
        marks.append(time.perf_counter())
        lengths = (end - start for start, end in itertools.pairwise(marks))
        stages = dict(zip(("decode", "model", "vocoder", "mux"), lengths, strict=True))
        return {"whole": marks[-1] - marks[0], **stages}


def _centre(frame: Any) -> Any:
    """(crop, crop) grey picture from the middle of a frame, where a peer would have found the mouth."""
    side = min(_CROP, *frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    grey = frame[top : top + side, left : left + side].mean(axis=2, dtype=np.float32)
    return np.pad(grey, ((0, _CROP - side), (0, _CROP - side)))


class _Network(nn.Module):
    """Crops (1, T, 88, 88) to log-mel (1, F, 4 T)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, 64, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
        widths = (64, 64, 128, 256, 512)
        pairs = list(itertools.pairwise(widths))
        self.trunk = nn.Sequential(
            *(
                _Residual(into if i == 0 else out, out, 2 if i == 0 and out > 64 else 1)
                for into, out in pairs
                for i in (0, 1)
            )
        )
        self.project = nn.Linear(512, _WIDTH)
        self.blocks = nn.Sequential(*(_Conformer() for _ in range(_BLOCKS)))
        self.head = nn.Linear(_WIDTH, _MEL.n_mels * _MEL.mels_per_frame)

    def forward(self, crops: Tensor) -> Tensor:
        stem = self.stem(crops[:, None])
        batch, channels, frames, height, width = stem.shape
        pictures = stem.transpose(1, 2).reshape(batch * frames, channels, height, width)
        features = self.trunk(pictures).mean(dim=(2, 3)).view(batch, frames, -1)
        mel = self.head(self.blocks(self.project(features)))
        found: Tensor = mel.view(batch, -1, _MEL.n_mels).transpose(1, 2)
        return found


class _Residual(nn.Module):
    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        same = into == out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(nn.Conv2d(into, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


class _Conformer(nn.Module):
    """A block of Gulati et al. 2020 (arXiv 2005.08100), with absolute positions left to the front end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (_feed_forward() for _ in range(2))
        self.before_attention, self.before_convolution, self.last = (nn.LayerNorm(_WIDTH) for _ in range(3))
        self.attention = nn.MultiheadAttention(_WIDTH, _HEADS, batch_first=True)
        self.convolution = nn.Sequential(
            nn.Conv1d(_WIDTH, 2 * _WIDTH, 1), nn.GLU(dim=1),
            nn.Conv1d(_WIDTH, _WIDTH, _KERNEL, padding=_KERNEL // 2, groups=_WIDTH), nn.BatchNorm1d(_WIDTH), nn.SiLU(),
            nn.Conv1d(_WIDTH, _WIDTH, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.first(x)
        query = self.before_attention(x)
        x = x + self.attention(query, query, query, need_weights=False)[0]
        x = x + self.convolution(self.before_convolution(x).transpose(1, 2)).transpose(1, 2)
        normed: Tensor = self.last(x + 0.5 * self.second(x))
        return normed


def _feed_forward() -> nn.Module:
    return nn.Sequential(nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, _WIDTH))
