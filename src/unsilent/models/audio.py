"""Raw waveform to one vector a video frame: the encoder of pre-training on speech alone.

Shapes: B batch, T video frames, N = 960 T samples, C channels, D width, K bands.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import MelConfig, mel_filterbank, stft_magnitude
from unsilent.models.config import AudioEncoderConfig, FilterbankConfig
from unsilent.nn import ModalityBatchNorm, ResidualBlock1d

__all__ = ["AudioEncoder", "Filterbank", "cosine_code"]


class Filterbank(nn.Module):
    """Waveform to the logarithm of learnt bands of its spectrum, each normalised over time.

    The bands begin as those of a mel spectrogram and are learnt with the rest. Convolutions on the waveform itself have
    to find such bands first, which on a small machine they do not. Our choice.
    """

    window: Tensor

    def __init__(self, config: FilterbankConfig, sample_rate: int, *, split_norm: bool = True) -> None:
        super().__init__()
        self.config = config
        mel = MelConfig.model_construct(
            sample_rate=sample_rate, n_fft=config.n_fft, n_mels=config.bands, f_min=0.0, f_max=sample_rate / 2
        )
        # Empty first: a network that is larger than its weights is refused before it fills memory.
        self.bands = nn.Parameter(torch.empty(config.bands, config.n_fft // 2 + 1))
        with torch.no_grad():
            self.bands.copy_(mel_filterbank(mel))
        self.norm = ModalityBatchNorm(config.bands, split=split_norm)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    def forward(self, samples: Tensor, mask: Tensor) -> Tensor:
        """(B, N) and mask (B, N / hop) to (B, K, N / hop), zero where padded; step k is centred on its own samples."""
        hop, n_fft = self.config.hop_length, self.config.n_fft
        side = (n_fft - hop) // 2
        padded = functional.pad(samples, (side, n_fft - hop - side))
        # In float32 also under mixed precision: quiet bands would be lost.
        with torch.autocast(samples.device.type, enabled=False):
            magnitude = stft_magnitude(padded.float(), n_fft, hop, self.window)
            level = torch.log((self.bands.abs() @ magnitude).clamp(min=self.config.floor))
        out: Tensor = self.norm(level, mask, "audio") * mask[:, None].to(level.dtype)
        return out


def cosine_code(bands: int, steps: int, values: int) -> Tensor:
    """Weights (values, bands, steps) of a discrete cosine transform over both, the smoothest patterns first.

    Neighbouring bands and steps are alike; what these patterns find in them is not. A code of them is therefore close
    to that of as many principal components, and, once normalised, no part of it is learnt later than another.
    """
    of_bands, of_steps = _cosines(bands), _cosines(steps)
    # A pattern that turns once within a video frame counts as one that turns so often over all bands.
    turns = values / 4
    order = sorted((step * turns + band, step, band) for step in range(steps) for band in range(bands))[:values]
    return torch.stack([of_bands[band][:, None] * of_steps[step][None] for _, step, band in order])


def _cosines(size: int) -> Tensor:
    """Orthonormal DCT-II, (size, size): patterns in rows."""
    at = (torch.arange(size) + 0.5)[None] * torch.arange(size)[:, None] * math.pi / size
    scale = torch.full((size, 1), math.sqrt(2 / size))
    scale[0] = math.sqrt(1 / size)
    return scale * torch.cos(at)


class AudioEncoder(nn.Module):
    """A 1-D residual network on the raw waveform, in place of the video encoder.

    Every stage is a strided convolution whose kernel is twice its stride, and a residual block; the product of the
    strides is the samples of a video frame. A bottleneck of few values a frame follows, without which copying sound
    would be trivial. The receptive field is bounded: with the default kernel, six frames either way, or seven with a
    `Filterbank` in front, at whose rate two stages of stride 2 begin. A path from the bands straight to the bottleneck,
    which begins as `cosine_code`, then spares the stages to learn what is linear. The layout is our choice.
    """

    def __init__(self, config: AudioEncoderConfig, sample_rate: int = 24_000, *, split_norm: bool = True) -> None:
        super().__init__()
        self.config, front = config, config.filterbank
        self.filterbank = Filterbank(front, sample_rate, split_norm=split_norm) if front else None
        self.down, self.blocks = nn.ModuleList(), nn.ModuleList()
        channels = front.bands if front else 1
        for stride, width in zip(config.strides, config.widths, strict=True):
            self.down.append(nn.Conv1d(channels, width, 2 * stride, stride))
            self.blocks.append(ResidualBlock1d(width, config.kernel, split_norm=split_norm))
            channels = width
        self.squeeze = nn.Linear(channels, config.bottleneck)
        self.norm = ModalityBatchNorm(config.bottleneck, split=split_norm) if config.normalised else None
        self.direct: nn.Conv1d | None = None
        if front is not None:
            steps = math.prod(config.strides)
            self.direct = nn.Conv1d(front.bands, config.bottleneck, steps, steps, bias=False)
            with torch.no_grad():
                self.direct.weight.copy_(cosine_code(front.bands, steps, config.bottleneck))
        self.dropout = nn.Dropout(config.dropout)
        self.project = nn.Linear(config.bottleneck, config.out_width)

    def forward(self, samples: Tensor, mask: Tensor) -> Tensor:
        """Encode waveforms.

        Args:
            samples: (B, N) in [-1, 1], N = 960 T.
            mask: (B, T) bool, False where a shorter item is padded.

        Returns:
            (B, T, D), zero where padded.
        """
        rate = self.config.samples_per_frame
        fine = mask.repeat_interleave(rate, dim=1)
        samples = samples * fine.to(samples.dtype)
        if self.filterbank is not None:
            rate //= self.filterbank.config.hop_length
            y = bands = self.filterbank(samples, mask.repeat_interleave(rate, dim=1))
        else:
            y = samples[:, None]
        for stride, down, block in zip(self.config.strides, self.down, self.blocks, strict=True):
            rate //= stride
            keep = mask.repeat_interleave(rate, dim=1)
            # Half a stride on the left, the rest on the right: output k is centred on its own samples.
            y = functional.silu(down(functional.pad(y, (stride // 2, stride - stride // 2))))
            y = block(y * keep[:, None].to(y.dtype), keep, "audio")
        squeezed = self.squeeze(y.transpose(1, 2))
        if self.direct is not None:
            squeezed = squeezed + self.direct(bands).transpose(1, 2)
        if self.norm is not None:
            squeezed = self.norm(squeezed.transpose(1, 2), mask, "audio").transpose(1, 2)
        out: Tensor = self.project(self.dropout(squeezed)) * mask[..., None].to(y.dtype)
        return out
