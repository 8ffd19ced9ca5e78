"""Public generators behind the interface of `unsilent.models.vocoder.Vocoder`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unsilent.models.public_vocoders.config import HifiganConfig, ParallelWaveganConfig
from unsilent.models.public_vocoders.hifigan import HifiganGenerator
from unsilent.models.public_vocoders.parallel_wavegan import ParallelWaveganGenerator

__all__ = ["PublicVocoder"]


class PublicVocoder(nn.Module):
    """Log-mel (B, F, M) as `unsilent.features.log_mel` gives it to waveform (B, M * hop_length).

    Base of the logarithm, statistics of the bands and the place of a frame in time are the published network's own
    and are translated here.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: HifiganConfig | ParallelWaveganConfig) -> None:
        super().__init__()
        self.config = config
        self.generator: HifiganGenerator | ParallelWaveganGenerator
        if isinstance(config, HifiganConfig):
            self.generator = HifiganGenerator(config)
        else:
            self.generator = ParallelWaveganGenerator(config)
        if config.normalised:
            self.register_buffer("mean", torch.zeros(config.mel.n_mels))
            self.register_buffer("scale", torch.ones(config.mel.n_mels))

    @property
    def context_frames(self) -> int:
        """Mel frames on either side that the sound of a frame depends on; beyond it nothing changes."""
        return self.generator.context_frames + int(self.config.centred)

    def own_scale(self, mel: Tensor) -> Tensor:
        """The network's own log-mel of a natural one, (B, F, M)."""
        if self.config.log_base == "10":
            mel = mel / math.log(10)
        return (mel - self.mean[:, None]) / self.scale[:, None] if self.config.normalised else mel

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """Make the waveform of a natural log-mel.

        Args:
            mel: (B, F, M), natural logarithm of amplitudes.
            mask: (B, M) bool, False where a shorter item is padded; a padded item sounds as it does alone.

        Returns:
            (B, M * hop_length), about -1 to 1, zero where padded.
        """
        if mask is None:
            return self._waveform(self.own_scale(mel))
        hop = self.config.mel.hop_length
        out = mel.new_zeros(len(mel), mel.shape[2] * hop)
        for item, length in enumerate(mask.sum(1).tolist()):
            if length:
                out[item, : length * hop] = self._waveform(self.own_scale(mel[item : item + 1, :, :length]))[0]
        return out

    def _waveform(self, own: Tensor) -> Tensor:
        if not self.config.centred:
            return self._generate(own)
        # Our frame m lies half a hop after where the network believes it to be: what it makes is that much early.
        hop, frames = self.config.mel.hop_length, own.shape[2]
        longer = self._generate(torch.cat((own[:, :, :1], own), dim=2))
        return longer[:, hop // 2 : hop // 2 + frames * hop]

    def _generate(self, own: Tensor) -> Tensor:
        generator = self.generator
        out: Tensor = generator(own) if isinstance(generator, HifiganGenerator) else generator.speak(own)
        return out
