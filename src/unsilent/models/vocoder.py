"""Log-mel to waveform: ConvNeXt blocks and an inverse STFT head (Vocos, Siuzdak 2023, arXiv 2306.00814)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import inverse_stft
from unsilent.models.config import VocoderConfig

__all__ = ["Vocoder"]

# exp() of the log-magnitude head is clamped here, so that a wild input cannot make an infinite waveform.
MAX_MAGNITUDE = 1e3
MOMENTUM = 0.99
"""Of the fast Griffin-Lim iterations."""


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, layer-norm, two pointwise layers, learnt scale (Liu et al. 2022), over time."""

    def __init__(self, width: int, hidden: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.project = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).transpose(1, 2))
        y = self.project(functional.gelu(self.expand(y))) * self.scale
        out: Tensor = (x + y.transpose(1, 2)) * keep
        return out


class Vocoder(nn.Module):
    """Log-mel (B, F, M) to waveform (B, M * hop_length) in [-1, 1].

    The head predicts the logarithm of the magnitude and the phase of every bin, as Vocos does. A mel spectrogram
    hardly says where in a frame a glottal pulse lies, so a convolutional network alone needs a million steps to make
    phases that agree with one another; here a few iterations of the fast Griffin-Lim algorithm (Perraudin, Balazs,
    Soendergaard 2013) make them agree, which is our addition and lets the vocoder train on a CPU.
    """

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = config
        mel, width = config.mel, config.width
        self.embed = nn.Conv1d(mel.n_mels, width, config.kernel, padding=config.kernel // 2)
        self.norm_in = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(width, config.hidden, config.kernel, 1 / config.blocks) for _ in range(config.blocks)
        )
        self.norm_out = nn.LayerNorm(width)
        self.head = nn.Linear(width, mel.n_fft + 2)
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(mel.n_fft), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def context_frames(self) -> int:
        """Mel frames on either side that the sound of a frame depends on; beyond it nothing changes."""
        config = self.config
        network = (config.blocks + 1) * (config.kernel // 2)
        overlap = -(-config.mel.n_fft // config.mel.hop_length)
        return network + (config.phase_iterations + 1) * overlap

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """Make the waveform of a log-mel spectrogram.

        Args:
            mel: (B, F, M), natural logarithm of amplitudes, as `unsilent.features.log_mel` gives.
            mask: (B, M) bool, False where a shorter item is padded; a padded item sounds as it does alone.

        Returns:
            (B, M * hop_length), zero where padded.
        """
        log_magnitude, phase = self.spectrum(mel, mask)
        samples = self.waveform(log_magnitude, phase, mask, self.config.phase_iterations)
        if mask is None:
            return samples
        return samples * mask.repeat_interleave(self.config.mel.hop_length, dim=1)

    def spectrum(self, mel: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-magnitude and phase, each (B, n_fft // 2 + 1, M), of a log-mel (B, F, M)."""
        keep = torch.ones_like(mel[:, :1]) if mask is None else mask[:, None].to(mel.dtype)
        # Around zero, and zero at silence: the convolutions' own zero padding then reads as silence.
        x = (mel - self.config.mel.log_floor) / 4 * keep
        x = self.norm_in(self.embed(x).transpose(1, 2)).transpose(1, 2) * keep
        for block in self.blocks:
            x = block(x, keep)
        log_magnitude, phase = self.head(self.norm_out(x.transpose(1, 2))).transpose(1, 2).chunk(2, dim=1)
        return log_magnitude, phase

    def waveform(self, log_magnitude: Tensor, phase: Tensor, mask: Tensor | None, iterations: int) -> Tensor:
        """(B, M * hop_length) of a spectrum, after ``iterations`` that make neighbouring phases agree."""
        magnitude = log_magnitude.exp().clamp(max=MAX_MAGNITUDE)
        if mask is not None:
            magnitude = magnitude * mask[:, None].to(magnitude.dtype)
        unit, before = torch.polar(torch.ones_like(phase), phase), None
        hop, n_fft = self.config.mel.hop_length, self.config.mel.n_fft
        side = (n_fft - hop) // 2
        for _ in range(iterations):
            samples = inverse_stft(magnitude * unit, hop, self.window)
            if mask is not None:
                samples = samples * mask.repeat_interleave(hop, dim=1)
            padded = functional.pad(samples, (side, n_fft - hop - side))
            consistent = torch.stft(padded, n_fft, hop, n_fft, self.window, center=False, return_complex=True)
            step = consistent if before is None else consistent - MOMENTUM / (1 + MOMENTUM) * before
            before = consistent
            unit = step / (step.abs() + 1e-7)
        return inverse_stft(magnitude * unit, hop, self.window)
