"""Typed recipes of the wave path: speech, or silent video, to waveform."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from unsilent.config import RecipeModel
from unsilent.models.config import AudioEncoderConfig, ReconstructorConfig, WaveDecoderConfig
from unsilent.training.losses import STFT_RESOLUTIONS
from unsilent.training.pretrain_recipe import SpeechDataConfig
from unsilent.training.recipe import DataConfig, OptimConfig, RunConfig, StartConfig

__all__ = ["AdversaryConfig", "PretrainWaveRecipe", "TrainWaveRecipe", "WaveLossConfig"]

Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
SHORTEST = 2_048
"""Samples under which a segment is shorter than the longest transform of the losses and discriminators."""


class WaveLossConfig(RecipeModel):
    """Weights of the losses on waveforms; their values are our choice."""

    stft: float = Field(1.0, ge=0)
    """Spectral convergence and L1 of log magnitudes, over ``resolutions``."""
    resolutions: tuple[tuple[Positive, Positive, Positive], ...] = Field(STFT_RESOLUTIONS, min_length=1)
    """(n_fft, hop, window) of that loss."""
    mel: float = Field(1.0, ge=0)
    """L1 of log-mels."""
    power: float = Field(0.0, ge=0)
    """L1 of log power spectrograms."""
    mfcc: float = Field(0.0, ge=0)
    """L1 of cepstral coefficients."""
    estoi: float = Field(0.0, ge=0)
    """1 - ESTOI, estimated from the mels."""
    pitch: float = Field(1.0, ge=0)
    """Of a decoder with a source: L1 of the logarithm of its pitch, where the true sound is voiced."""
    adversarial: float = Field(0.1, ge=0)
    feature_matching: float = Field(1.0, ge=0)
    """Of discriminators; critics have none."""
    lag: int = Field(0, ge=0)
    """Largest lag, in mel frames, by which a clip's sound may be moved to where it fits what was made of its picture
    best, against the mean lag of its batch; 0 takes it as it is."""

    @model_validator(mode="after")
    def _check(self) -> WaveLossConfig:
        for n_fft, hop, window in self.resolutions:
            if not hop <= window <= n_fft <= SHORTEST:
                raise ValueError(
                    f"resolutions: hop <= window <= n_fft <= {SHORTEST} must hold, not {n_fft, hop, window}"
                )
        return self


class AdversaryConfig(RecipeModel):
    """What the generated sound is judged by, from when on, and how that learns."""

    kind: Literal["critics", "discriminators"] = "critics"
    """Waveform and power critics with gradient penalty (Mira et al. 2022), or multi-period and multi-resolution
    discriminators with feature matching (HiFi-GAN, UnivNet)."""
    begin: Fraction = 1.0
    """Fraction of all steps without an adversary; 1 is never: on a CPU it costs several times what the decoder does."""
    steps: int = Field(1, ge=1)
    """Steps of the critics for every step of the generator."""
    rate: float = Field(1.0, gt=0)
    """Their learning rate, relative to ``optim.lr``."""
    betas: tuple[Decay, Decay] = (0.5, 0.9)
    penalty: float = Field(10.0, ge=0)
    """Weight of the critics' gradient penalty."""
    segment_frames: int | None = Field(None, ge=4)
    """Judge a random stretch of so many video frames; everything if not given."""
    wave_widths: tuple[Positive, ...] = Field((16, 32, 64, 128, 128), min_length=1)
    """Channels of the waveform critic's layers."""
    power_widths: tuple[Positive, ...] = Field((16, 32, 64, 64), min_length=1)
    """Channels of the power critic's layers."""
    period_widths: tuple[Positive, ...] = Field((16, 32, 64, 128), min_length=1)
    """Channels of the multi-period discriminators (HiFi-GAN: 32, 128, 512, 1024)."""
    resolution_width: int = Field(16, ge=1)
    """Channels of the multi-resolution discriminators (UnivNet: 32)."""


class PretrainWaveRecipe(RecipeModel):
    """Speech to waveform (A2A-WaveGAN)."""

    kind: Literal["pretrain-wave"] = "pretrain-wave"
    name: str
    model: ReconstructorConfig = ReconstructorConfig(encoder=AudioEncoderConfig(), decoder=WaveDecoderConfig())
    data: SpeechDataConfig = SpeechDataConfig()
    loss: WaveLossConfig = WaveLossConfig()
    adversary: AdversaryConfig = AdversaryConfig()
    optim: OptimConfig = OptimConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _check(self) -> PretrainWaveRecipe:
        _check_model(self.model, self.kind, "a2a-wave")
        _check_segment(self.data.segment_frames, self.model, "data.segment_frames")
        _check_segment(self.adversary.segment_frames, self.model, "adversary.segment_frames")
        if self.loss.lag:
            raise ValueError("loss.lag is of video: sound has no lag against itself")
        return self


class TrainWaveRecipe(RecipeModel):
    """Silent video to waveform (V2A-WaveGAN)."""

    kind: Literal["train-wave"] = "train-wave"
    name: str
    model: ReconstructorConfig = ReconstructorConfig(decoder=WaveDecoderConfig())
    data: DataConfig = DataConfig()
    bandwidth: float | None = Field(None, gt=0)
    """Bandwidth of the clips' sound, Hz; all of the spectrum if not given."""
    loss: WaveLossConfig = WaveLossConfig()
    adversary: AdversaryConfig = AdversaryConfig()
    optim: OptimConfig = OptimConfig()
    run: RunConfig = RunConfig()
    start: StartConfig = StartConfig()

    @model_validator(mode="after")
    def _check(self) -> TrainWaveRecipe:
        _check_model(self.model, self.kind, "v2a-wave")
        _check_segment(self.data.window, self.model, "data.window")
        _check_segment(self.adversary.segment_frames, self.model, "adversary.segment_frames")
        if self.data.augment.speed:
            raise ValueError("data.augment.speed changes mels, which a waveform has not: set it to 0")
        if self.start.latents:
            raise ValueError("start.latents is for kind train, towards mels: leave it out")
        return self


def _check_model(model: ReconstructorConfig, kind: str, path: str) -> None:
    if model.path != path:
        encoder, decoder = ("audio" if path[0] == "a" else "video"), path.split("-")[1]
        raise ValueError(
            f"model is {model.path}, kind {kind} makes {path}: set model.encoder.input: {encoder} and "
            f"model.decoder.target: {decoder}"
        )


def _check_segment(frames: int | None, model: ReconstructorConfig, name: str) -> None:
    least = -(-SHORTEST // model.mel.samples_per_frame)
    if frames is not None and frames < least:
        raise ValueError(
            f"{name}: {frames} video frames are shorter than what the losses look at; give at least {least}"
        )
