"""Log-mel to waveform: ConvNeXt blocks and an inverse STFT, after Vocos (Siuzdak 2023, arXiv 2306.00814)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import inverse_stft, mel_filterbank, window_envelope
from unsilent.models.config import VocoderConfig
from unsilent.models.hub import HubModel

__all__ = ["MAX_LOG_MAGNITUDE", "MOMENTUM", "SMALLEST_POWER", "Vocoder", "next_phases", "phase_steps"]

MAX_LOG_MAGNITUDE = 7.0
"""Log-magnitudes are held below this: full scale under the window is 6.2, a wild input must not become infinite."""
MAX_DETAIL = 8.0
MOMENTUM = 0.99
"""Of the fast Griffin-Lim iterations."""
SOFTNESS = 0.3
"""Share of its magnitude under which a bin that overlapping frames hardly agree on loses weight on the way.

Griffin-Lim divides by what the frames agree on. Where that is next to nothing, a phase follows the last bit of a float,
and the iterations spread it, so that no two engines would agree.
"""
SMALLEST_POWER = 1e-14


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


class Vocoder(nn.Module, HubModel):
    """Log-mel (B, F, M) to waveform (B, M * hop_length) in [-1, 1].

    The network predicts magnitudes, and the fast Griffin-Lim algorithm (Perraudin, Balazs, Soendergaard 2013) the
    phases that agree with them, before one last inverse STFT. Vocos predicts phases as well: a mel spectrogram hardly
    says where in a frame a glottal pulse lies, and a network needs long training to make up phases that agree with
    one another; without them it trains on a CPU. That is our choice, as is the form of the magnitude:

        magnitude = spread(mel) * exp(network(mel)), then scaled so that its mel is the given one,

    so that the network has only the fine structure to learn that the mel bands have averaged away.
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
        self.head = nn.Linear(width, mel.n_fft // 2 + 1)
        self.window: Tensor
        self.bank: Tensor
        self.spread: Tensor
        bank = mel_filterbank(mel)
        self.register_buffer("window", torch.hann_window(mel.n_fft), persistent=False)
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("spread", _spread(bank), persistent=False)
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
        samples = self.waveform(self.log_magnitude(mel, mask), mask)
        return samples if mask is None else samples * mask.repeat_interleave(self.config.mel.hop_length, dim=1)

    def log_magnitude(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """Natural logarithm of the STFT's magnitude, (B, n_fft // 2 + 1, M), of a log-mel (B, F, M)."""
        mel = mel.clamp(max=MAX_LOG_MAGNITUDE)
        keep = torch.ones_like(mel[:, :1]) if mask is None else mask[:, None].to(mel.dtype)
        # Around zero, and zero at silence: the convolutions' own zero padding then reads as silence.
        x = (mel - self.config.mel.log_floor) / 4 * keep
        x = self.norm_in(self.embed(x).transpose(1, 2)).transpose(1, 2) * keep
        for block in self.blocks:
            x = block(x, keep)
        detail = self.head(self.norm_out(x.transpose(1, 2))).transpose(1, 2)
        magnitude: Tensor = self.spread @ mel + detail.clamp(-MAX_DETAIL, MAX_DETAIL)
        for _ in range(self.config.mel_corrections):
            heard = torch.log((self.bank @ magnitude.exp()).clamp(min=self.config.mel.floor))
            magnitude = magnitude + self.spread @ (mel - heard)
        return magnitude

    def waveform(self, log_magnitude: Tensor, mask: Tensor | None = None, iterations: int | None = None) -> Tensor:
        """(B, M * hop_length) of a magnitude; gradients reach the magnitude, not what the phases depend on."""
        magnitude = log_magnitude.clamp(max=MAX_LOG_MAGNITUDE).exp()
        if mask is not None:
            magnitude = magnitude * mask[:, None].to(magnitude.dtype)
        rounds = self.config.phase_iterations if iterations is None else iterations
        unit = self._phases(magnitude.detach(), mask, rounds)
        return inverse_stft(magnitude * unit, self.config.mel.hop_length, self.window, mask)

    @torch.no_grad()
    def _phases(self, magnitude: Tensor, mask: Tensor | None, iterations: int) -> Tensor:
        """Unit complex numbers whose phases fit overlapping frames, by fast Griffin-Lim from pulses mid-frame."""
        hop, n_fft = self.config.mel.hop_length, self.config.mel.n_fft
        side = (n_fft - hop) // 2
        # Frame by frame in memory, as the transforms are.
        magnitude = magnitude.transpose(1, 2).contiguous().transpose(1, 2)
        envelope = window_envelope(magnitude.shape[2], hop, self.window, mask)
        unit, before = torch.ones_like(magnitude, dtype=torch.complex64), None
        # Zero phase would put the pulses at the ends of the frames, where the window is zero.
        unit[:, 1::2] = -1
        power = magnitude.square()
        for softness, gain in phase_steps(iterations):
            samples = inverse_stft(magnitude * unit, hop, self.window, mask, envelope)
            if mask is not None:
                samples = samples * mask.repeat_interleave(hop, dim=1)
            padded = functional.pad(samples, (side, n_fft - hop - side))
            consistent = torch.stft(padded, n_fft, hop, n_fft, self.window, center=False, return_complex=True)
            unit = next_phases(consistent, before, power, softness, gain)
            before = consistent
        return unit


def next_phases(consistent: Tensor, before: Tensor | None, power: Tensor, softness: float, gain: float) -> Tensor:
    """One step of fast Griffin-Lim: complex numbers of about unit length from two consistent spectra.

    Args:
        consistent: the transform of the present samples, complex.
        before: that of the step before, None in the first.
        power: squared magnitudes that are wanted.
        softness: see `SOFTNESS`.
        gain: see `phase_steps`.
    """
    step = consistent if before is None else consistent - MOMENTUM / (1 + MOMENTUM) * before
    length = step.real.square() + step.imag.square() + softness**2 * power + SMALLEST_POWER
    return step * (gain * torch.rsqrt(length))


def phase_steps(iterations: int) -> list[tuple[float, float]]:
    """Softness and gain of every iteration; the last is hard, so that phases come out at unit length.

    The gain keeps a bin on which all frames agree at its magnitude in spite of the softness.
    """
    agreed = [1.0] + [1 / (1 + MOMENTUM)] * (iterations - 1)
    soft = [(SOFTNESS, math.sqrt(1 + (SOFTNESS / length) ** 2)) for length in agreed[: iterations - 1]]
    return [*soft, (0.0, 1.0)] if iterations else []


def _spread(bank: Tensor) -> Tensor:
    """Weights (bins, F) that turn log-mels into log-magnitudes: an average of the bands that a bin lies in.

    A band's amplitude is that of a flat spectrum times the filter's sum, which differs from band to band by rounding
    only (unit area), so one constant takes care of it; bins outside all bands follow the nearest one.
    """
    weights = bank.T.clone()
    centres = bank.argmax(dim=1)
    for index in torch.nonzero(weights.sum(1) == 0).flatten():
        weights[index, int((centres - index).abs().argmin())] = 1.0
    return weights / weights.sum(1, keepdim=True)
