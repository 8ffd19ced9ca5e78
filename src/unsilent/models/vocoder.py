"""Log-mel to waveform: ConvNeXt blocks and an inverse STFT head (Vocos, Siuzdak 2023, arXiv 2306.00814)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import inverse_stft
from unsilent.models.config import VocoderConfig

__all__ = ["Vocoder"]

# exp() of the log-magnitude head is clamped here, so that a wild input cannot make an infinite waveform.
MAX_MAGNITUDE = 1e2


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

    The head predicts the logarithm of the magnitude and the phase of every bin; one inverse STFT makes the waveform.
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
        self.register_buffer("window", torch.hann_window(mel.n_fft), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """Make the waveform of a log-mel spectrogram.

        Args:
            mel: (B, F, M), natural logarithm of amplitudes, as `unsilent.features.log_mel` gives.
            mask: (B, M) bool, False where a shorter item is padded; padding changes nothing before it but the last
                half window, where a clip alone ends in silence too.

        Returns:
            (B, M * hop_length).
        """
        keep = torch.ones_like(mel[:, :1]) if mask is None else mask[:, None].to(mel.dtype)
        # Around zero, and zero at silence: the convolutions' own zero padding then reads as silence.
        x = (mel - self.config.mel.log_floor) / 4 * keep
        x = self.norm_in(self.embed(x).transpose(1, 2)).transpose(1, 2) * keep
        for block in self.blocks:
            x = block(x, keep)
        log_magnitude, phase = self.head(self.norm_out(x.transpose(1, 2))).transpose(1, 2).chunk(2, dim=1)
        magnitude = log_magnitude.exp().clamp(max=MAX_MAGNITUDE) * keep
        spectrum = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())
        return inverse_stft(spectrum, self.config.mel.hop_length, self.window)  # type: ignore[arg-type]
