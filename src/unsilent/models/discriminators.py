"""Discriminators that a vocoder is trained against; never shipped.

Multi-period ones look at every p-th sample (Kong, Kim, Bae 2020, HiFi-GAN, section 2.3), multi-resolution ones at
magnitude spectrograms (Jang et al. 2021, UnivNet, section 2.2). Widths are recipe options: the published ones take
seconds a step on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from unsilent.features import stft_magnitude

__all__ = ["MultiPeriodDiscriminator", "MultiResolutionDiscriminator", "VocoderDiscriminators"]

SLOPE = 0.1
Judgement = tuple[Tensor, list[Tensor]]
"""Score (B, ...) of every patch, and the feature maps on the way to it."""


def _conv(inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> nn.Module:
    padding = (kernel[0] // 2, kernel[1] // 2)
    conv: nn.Module = weight_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding))
    return conv


class _Stack(nn.Module):
    """Convolutions with leaky ReLU that keep every feature map, then a score a patch."""

    def __init__(self, layers: Sequence[nn.Module], last_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.score = _conv(last_width, 1, (3, 1))

    def forward(self, x: Tensor) -> Judgement:
        maps = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE)
            maps.append(x)
        return self.score(x).flatten(1), maps


class MultiPeriodDiscriminator(nn.Module):
    """One stack of convolutions over the waveform folded at each period."""

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128), periods: Sequence[int] = (2, 3, 5, 7, 11)) -> None:
        super().__init__()
        self.periods = tuple(periods)
        self.stacks = nn.ModuleList(
            _Stack(
                [
                    *(_conv(a, b, (5, 1), (3, 1)) for a, b in zip([1, *widths], widths, strict=False)),
                    _conv(widths[-1], widths[-1], (5, 1)),
                ],
                widths[-1],
            )
            for _ in self.periods
        )

    def forward(self, samples: Tensor) -> list[Judgement]:
        """Judge waveforms (B, N), one judgement a period."""
        judgements = []
        for period, stack in zip(self.periods, self.stacks, strict=True):
            padded = functional.pad(samples[:, None], (0, -samples.shape[1] % period), mode="reflect")
            judgements.append(stack(padded.view(len(samples), 1, -1, period)))
        return judgements


class MultiResolutionDiscriminator(nn.Module):
    """One stack of convolutions over the magnitude spectrogram at each resolution."""

    def __init__(self, width: int = 16, sizes: Sequence[int] = (2048, 1024, 512)) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.stacks = nn.ModuleList(
            _Stack(
                [
                    _conv(1, width, (9, 3), (2, 1)),
                    _conv(width, width, (9, 3), (2, 1)),
                    _conv(width, 2 * width, (9, 3), (2, 1)),
                    _conv(2 * width, 2 * width, (3, 3)),
                ],
                2 * width,
            )
            for _ in self.sizes
        )

    def forward(self, samples: Tensor) -> list[Judgement]:
        """Judge waveforms (B, N), one judgement a resolution."""
        judgements = []
        for size, stack in zip(self.sizes, self.stacks, strict=True):
            window = torch.hann_window(size, device=samples.device)
            judgements.append(stack(stft_magnitude(samples, size, size // 4, window).clamp(min=1e-4).log()[:, None]))
        return judgements


class VocoderDiscriminators(nn.Module):
    """All of them."""

    def __init__(self, period_widths: Sequence[int], resolution_width: int) -> None:
        super().__init__()
        self.period = MultiPeriodDiscriminator(period_widths)
        self.resolution = MultiResolutionDiscriminator(resolution_width)

    def forward(self, samples: Tensor) -> list[Judgement]:
        """Judge waveforms (B, N)."""
        return [*self.period(samples), *self.resolution(samples)]
