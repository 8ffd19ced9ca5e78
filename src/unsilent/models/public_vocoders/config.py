"""Settings of vocoders that others have published, and which mels they take."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from unsilent.config import RecipeModel
from unsilent.features import MelConfig

__all__ = ["PUBLIC_CONFIGS", "HifiganConfig", "ParallelWaveganConfig", "PublicMelConfig", "mel_differences"]

Positive = Annotated[int, Field(ge=1)]
_FASTEST_VIDEO = 120


class PublicMelConfig(MelConfig):
    """A mel definition that need not line up with video: public vocoders were not made for it."""

    frame_rate: Literal[0] = 0
    """It belongs to no video frame rate; see `frame_rates`."""

    @model_validator(mode="after")
    def _check(self) -> PublicMelConfig:
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(f"f_min {self.f_min:g} < f_max {self.f_max:g} <= {self.sample_rate / 2:g} Hz must hold")
        if self.win_length > self.n_fft or self.hop_length > self.win_length:
            raise ValueError("hop_length <= win_length <= n_fft must hold")
        return self

    @property
    def frame_rates(self) -> tuple[int, ...]:
        """Whole video frame rates, up to 120 a second, whose frames are a whole number of mel frames."""
        rates = range(1, _FASTEST_VIDEO + 1)
        return tuple(rate for rate in rates if self.sample_rate % (rate * self.hop_length) == 0)


def mel_differences(vocoder: MelConfig, model: MelConfig) -> str:
    """In what a model's mel is not the one that a vocoder takes, with both values named; empty if it can be heard.

    A `PublicMelConfig` is not compared in frame rate, which it has none of, nor in floor: public vocoders were trained
    on floors down to 1e-10, below what 16-bit recordings hold, and a model's higher floor is a mel like any other.
    """
    free = {"frame_rate", "floor"} if isinstance(vocoder, PublicMelConfig) else set()
    names = [name for name in MelConfig.model_fields if name not in free]
    pairs = {name: (getattr(model, name), getattr(vocoder, name)) for name in names}
    return ", ".join(f"{name} {mine:g}, the vocoder's {its:g}" for name, (mine, its) in pairs.items() if mine != its)


class _PublicVocoderConfig(RecipeModel):
    """What all public vocoders have in common."""

    mel: PublicMelConfig
    log_base: Literal["e", "10"]
    """Of the mels that the network was trained on."""
    normalised: bool
    """The network takes (log-mel - mean) / scale, with its training data's statistics for each band."""
    centred: bool
    """Its mel frame m lies at sample m * hop_length (librosa's centring), half a hop before where ours lies."""

    def _check_hop(self, scales: tuple[int, ...]) -> None:
        if math.prod(scales) != self.mel.hop_length:
            raise ValueError(f"the product of {scales} is {math.prod(scales)}, the hop {self.mel.hop_length} samples")


class HifiganConfig(_PublicVocoderConfig):
    """The generator of HiFi-GAN (Kong, Kim, Bae 2020, arXiv 2010.05646); the defaults are V1."""

    kind: Literal["vocoder-hifigan"] = "vocoder-hifigan"
    channels: int = Field(512, ge=2)
    """After the first convolution; every stage halves them."""
    rates: tuple[Positive, ...] = Field((8, 8, 2, 2), min_length=1)
    """Factors by which the stages raise the rate."""
    rate_kernels: tuple[Positive, ...] = (16, 16, 4, 4)
    """Kernels of the transposed convolutions."""
    block_kernels: tuple[Positive, ...] = Field((3, 7, 11), min_length=1)
    """Kernels of the residual blocks of a stage, whose outputs are averaged."""
    block_dilations: tuple[tuple[Positive, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))

    @model_validator(mode="after")
    def _check(self) -> HifiganConfig:
        self._check_hop(self.rates)
        if len(self.rates) != len(self.rate_kernels) or len(self.block_kernels) != len(self.block_dilations):
            raise ValueError("rates and rate_kernels, block_kernels and block_dilations must be of the same lengths")
        if any(kernel < rate for rate, kernel in zip(self.rates, self.rate_kernels, strict=True)):
            raise ValueError(f"rate_kernels {self.rate_kernels} must not be smaller than rates {self.rates}")
        if any(kernel % 2 == 0 for kernel in self.block_kernels):
            raise ValueError(f"block_kernels {self.block_kernels} must be odd")
        if self.channels % 2 ** len(self.rates):
            raise ValueError(f"channels {self.channels} cannot be halved {len(self.rates)} times")
        return self


class ParallelWaveganConfig(_PublicVocoderConfig):
    """The generator of Parallel WaveGAN (Yamamoto, Song, Kim 2020, arXiv 1910.11480) as kan-bayashi published it.

    The defaults are those of LibriTTS v1.
    """

    kind: Literal["vocoder-pwg"] = "vocoder-pwg"
    layers: int = Field(30, ge=1)
    stacks: int = Field(3, ge=1)
    """Cycles of dilation 1, 2, 4 ..."""
    kernel: int = Field(3, ge=1)
    residual_channels: int = Field(64, ge=1)
    gate_channels: int = Field(128, ge=2, multiple_of=2)
    skip_channels: int = Field(64, ge=1)
    context: int = Field(2, ge=0)
    """Mel frames on either side under the first convolution of the condition."""
    rates: tuple[Positive, ...] = Field((4, 5, 3, 5), min_length=1)
    """Factors by which the condition is stretched to the sample rate."""

    @model_validator(mode="after")
    def _check(self) -> ParallelWaveganConfig:
        self._check_hop(self.rates)
        if self.layers % self.stacks:
            raise ValueError(f"layers {self.layers} must be a multiple of stacks {self.stacks}")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} must be odd")
        return self


PUBLIC_CONFIGS: dict[str, type[HifiganConfig] | type[ParallelWaveganConfig]] = {
    "vocoder-hifigan": HifiganConfig,
    "vocoder-pwg": ParallelWaveganConfig,
}
"""Settings by the kind on a card."""
