"""Critics of the adversarial loss after Mira et al. 2022; never shipped.

One judges the waveform, one its power spectrogram, both as Wasserstein critics with gradient penalty (Gulrajani et al.
2017). They hold no batch-norm: the penalty is of each sample's own gradient. Layers and widths are our choice.

Shapes: B batch, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import stft_magnitude

__all__ = ["Critics", "PowerCritic", "WaveCritic", "gradient_penalty"]

SLOPE = 0.2
QUIETEST = 1e-6
"""Power below which the spectrogram's logarithm is flat."""


class WaveCritic(nn.Module):
    """Strided 1-D convolutions on the waveform; the score is the mean over time.

    Args:
        widths: channels of the layers; the first is ``strides[0]`` times slower than sound, and so on.
        strides: of the layers; each kernel is six strides long, and one sample more.
    """

    def __init__(
        self, widths: Sequence[int] = (16, 32, 64, 128, 128), strides: Sequence[int] = (4, 4, 4, 4, 2)
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(inputs, outputs, 6 * stride + 1, stride, padding=3 * stride)
            for inputs, outputs, stride in zip([1, *widths], widths, strides, strict=False)
        )
        self.score = nn.Conv1d(widths[-1], 1, 3, padding=1)

    def forward(self, samples: Tensor) -> Tensor:
        """Score (B,) of waveforms (B, N)."""
        y = samples[:, None]
        for layer in self.layers:
            y = functional.leaky_relu(layer(y), SLOPE)
        score: Tensor = self.score(y).mean((1, 2))
        return score


class PowerCritic(nn.Module):
    """2-D convolutions on the log power spectrogram; the score is the mean over time and frequency.

    Args:
        widths: channels of the layers, each of which halves time and frequency.
        n_fft: points of the Fourier transform, under a Hann window as long.
        hop_length: samples a frame.
    """

    window: Tensor

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 64), n_fft: int = 512, hop_length: int = 128) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 5, 2, padding=2) for inputs, outputs in zip([1, *widths], widths, strict=False)
        )
        self.score = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, samples: Tensor) -> Tensor:
        """Score (B,) of waveforms (B, N), N >= n_fft."""
        magnitude = stft_magnitude(samples, self.n_fft, self.hop_length, self.window)
        y = magnitude.square().clamp(min=QUIETEST).log()[:, None]
        for layer in self.layers:
            y = functional.leaky_relu(layer(y), SLOPE)
        score: Tensor = self.score(y).mean((1, 2, 3))
        return score


class Critics(nn.Module):
    """Both.

    Args:
        wave_widths: see `WaveCritic`.
        power_widths: see `PowerCritic`.
    """

    def __init__(self, wave_widths: Sequence[int], power_widths: Sequence[int]) -> None:
        super().__init__()
        strides = [4 if layer < 4 else 2 for layer in range(len(wave_widths))]
        self.wave, self.power = WaveCritic(wave_widths, strides), PowerCritic(power_widths)

    def forward(self, samples: Tensor) -> Tensor:
        """Scores (B, 2) of waveforms (B, N): that of the waveform, that of its power."""
        return torch.stack((self.wave(samples), self.power(samples)), 1)

    def penalty(self, real: Tensor, made: Tensor, along: Tensor) -> Tensor:
        """Sum of both critics' `gradient_penalty`."""
        return gradient_penalty(self.wave, real, made, along) + gradient_penalty(self.power, real, made, along)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, along: Tensor) -> Tensor:
    """Mean of (norm of the score's gradient - 1)^2 at points between real and generated waveforms.

    Computed in float32 whatever autocast is in force: half precision has too few digits for a gradient of a gradient.

    Args:
        critic: (B, N) to scores (B,), each of its own sample alone; with a second derivative, not compiled or sharded.
        real: (B, N).
        made: (B, N).
        along: (B,) in [0, 1], where on the line from ``made`` to ``real`` each point lies.
    """
    with torch.autocast(real.device.type, enabled=False):
        points = torch.lerp(made.detach().float(), real.detach().float(), along.float()[:, None]).requires_grad_()
        score = critic(points).sum()
        (gradient,) = torch.autograd.grad(score, points, create_graph=True)
        # The root is smoothed: where a critic is flat, the gradient of a plain norm is not a number.
        norm = (gradient.square().sum(1) + 1e-12).sqrt()
        penalty: Tensor = (norm - 1).square().mean()
    return penalty
