"""Harmonics and noise that a decoder shapes into speech: a source and a filter, in the frequency domain.

Shapes: B batch, C channels, M frames of ``hop_length`` samples, N = M * hop_length samples, K bins.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.features import inverse_stft
from unsilent.models.config import SourceConfig

__all__ = ["Controls", "SourceFilter", "harmonics"]

QUIET = -5.0
"""Natural logarithm of both gains at the start; a speaking voice has about -3 in its strongest bins."""
LOUDEST = 4.0
NOISE_SECONDS = 4
"""After so long the noise repeats itself: one stretch of it is kept, the same for every engine."""


class Controls(NamedTuple):
    """What shapes the source."""

    pitch: Tensor
    """(B, M) Hz."""
    harmonic: Tensor
    """(B, K, M), natural logarithm of the gain of the harmonics."""
    noise: Tensor
    """(B, K, M), natural logarithm of the gain of the noise."""


class SourceFilter(nn.Module):
    """Vectors at the rate of ``hop_length`` to samples: pitch, and the spectra of a voice and of a breath.

    A network that is to make samples of features without phase has to invent the phases of every harmonic, frame for
    frame in step. Here a train of pulses and a noise, both of a flat spectrum, bring
    their phases along, and what is learnt is smooth (after the harmonic-plus-noise model, Stylianou 2001; DDSP, Engel
    et al. 2020; neural source-filter models, Wang et al. 2020). That the pitch is learnt apart, from the
    autocorrelation of the true sound, is our choice, as is the filter's form: gains on the bins of a short-time
    transform.
    """

    def __init__(self, in_width: int, hop_length: int, sample_rate: int, config: SourceConfig) -> None:
        super().__init__()
        self.config, self.hop_length, self.sample_rate = config, hop_length, sample_rate
        self.bins = config.n_fft // 2 + 1
        self.gains = nn.Conv1d(in_width, 2 * self.bins, 1)
        self.voice = nn.Conv1d(in_width, 1, 1)
        for layer in (self.gains, self.voice):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.window: Tensor
        self.breath: Tensor
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        generator = torch.Generator().manual_seed(0)
        breath = torch.randn(NOISE_SECONDS * sample_rate, generator=generator)
        self.register_buffer("breath", breath, persistent=False)

    def forward(self, x: Tensor) -> Controls:
        """(B, C, M) to what it says about the sound."""
        harmonic, noise = (self.gains(x) + QUIET).clamp(max=LOUDEST).split(self.bins, dim=1)
        low, high = math.log(self.config.lowest), math.log(self.config.highest)
        pitch = torch.exp(low + (high - low) * torch.sigmoid(self.voice(x)[:, 0].float()))
        return Controls(pitch, harmonic, noise)

    def sound(self, controls: Controls, mask: Tensor) -> Tensor:
        """Samples (B, N) in (-1, 1) of controls and a mask (B, M), False where there is no frame.

        Gradients reach the gains, not the pitch.
        """
        voice, breath = (self._spectrum(each) for each in self.excitation(controls.pitch, mask))
        spectrum = voice * controls.harmonic.float().exp() + breath * controls.noise.float().exp()
        samples: Tensor = torch.tanh(inverse_stft(spectrum, self.hop_length, self.window, mask))
        return samples

    @torch.no_grad()
    def excitation(self, pitch: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Harmonics and noise (B, N) of pitch and mask (B, M), before they are shaped."""
        # The last pitch holds on where an item is padded, as it does where it is not.
        there = torch.arange(mask.shape[1], device=mask.device)[None].minimum(mask.sum(1, keepdim=True) - 1)
        pulses = harmonics(pitch.gather(1, there.clamp(min=0)), self.hop_length, self.sample_rate)
        keep = mask.repeat_interleave(self.hop_length, dim=1)
        return pulses * keep, self._noise(pulses) * keep

    def _noise(self, like: Tensor) -> Tensor:
        """Noise (B, N); in training from a random place on, so that none of it is learnt by heart."""
        places = torch.arange(like.shape[1], device=like.device)[None]
        if self.training:
            places = places + torch.randint(len(self.breath), (len(like), 1), device=like.device)
        return self.breath[places % len(self.breath)].expand_as(like)

    def _spectrum(self, samples: Tensor) -> Tensor:
        """(B, N) to (B, K, M) complex, the frames that `inverse_stft` takes."""
        hop, n_fft = self.hop_length, self.config.n_fft
        side = (n_fft - hop) // 2
        padded = functional.pad(samples, (side, n_fft - hop - side))
        return torch.stft(padded, n_fft, hop, n_fft, self.window, center=False, return_complex=True)


def harmonics(pitch: Tensor, hop_length: int, sample_rate: int) -> Tensor:
    """All cosines at multiples of a pitch up to half the sample rate, with a root mean square of one.

    Args:
        pitch: (B, M) Hz, at the middle of every frame; between them it is a straight line.
        hop_length: samples a frame.
        sample_rate: Hz.

    Returns:
        (B, M * hop_length); the sum of a geometric series, sum_k cos(k a) = (sin((K + 1/2) a) / sin(a / 2) - 1) / 2.
    """
    along = functional.interpolate(pitch[:, None].float(), scale_factor=float(hop_length), mode="linear")[:, 0]
    most = sample_rate / 2 / along.clamp(min=1.0)
    count = torch.floor(most)
    # In double precision: the hundredth harmonic of a turn that is off by one in a million is heard by nobody, but
    # engines that add up in another order would be told apart.
    turns = torch.cumsum(along.double() / sample_rate, dim=1)
    half = math.pi * (turns - torch.round(turns)).float()
    # At a whole turn both sines vanish; a little beside it the quotient is as large as it gets.
    half = half.masked_fill(half.abs() < 1e-4, 1e-4)
    total = (torch.sin((2 * count + 1) * half) / torch.sin(half) - 1) / 2
    # The highest comes and goes by degrees, or a glide would click.
    total = total + (most - count) * torch.cos(2 * (count + 1) * half)
    return total * torch.rsqrt(most / 2)
