"""Typed recipes of pre-training on speech alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from unsilent.config import RecipeModel
from unsilent.models.config import AudioEncoderConfig, ReconstructorConfig
from unsilent.training.recipe import LossConfig, OptimConfig, RunConfig

__all__ = ["CorruptConfig", "PretrainRecipe", "SpeechDataConfig", "SpeechSource"]

Fraction = Annotated[float, Field(ge=0, le=1)]


class SpeechSource(RecipeModel):
    """Prepared speech (`unsilent prepare speech`), or the sound of prepared clips, and its share of an epoch."""

    shards: str
    """Folder of shards."""
    split: str | None = "train"
    """Split of it; everything if null."""
    minutes: float | None = Field(None, gt=0)
    """Use so many minutes of it, chosen at random, the same for every seed; all of it if not given."""
    weight: float = Field(1.0, gt=0)
    """Share of the samples, relative to the other sources."""


class CorruptConfig(RecipeModel):
    """What is done to the encoder's input, never to the target: copying clean sound teaches a decoder little."""

    noise: Fraction = 0.5
    """Probability of added white or pink noise."""
    noise_db: tuple[float, float] = (0.0, 25.0)
    """Range of its signal-to-noise ratio."""
    mask: float = Field(0.2, ge=0)
    """Longest silence, in seconds for every second of speech, that is cut into the input."""
    shift: float = Field(0.0, ge=0)
    """Largest shift in time, in seconds, of the input against the target."""

    @model_validator(mode="after")
    def _check(self) -> CorruptConfig:
        if self.noise_db[0] > self.noise_db[1]:
            raise ValueError("noise_db: the lower bound comes first")
        return self


class SpeechDataConfig(RecipeModel):
    """A mixture of prepared speech."""

    sources: tuple[SpeechSource, ...] = Field((SpeechSource(shards="runs/shards/speech"),), min_length=1)
    validation: SpeechSource = SpeechSource(shards="runs/shards/speech", split="held-out")
    """Speech for validation; its weight means nothing."""
    validation_clips: int = Field(40, ge=1)
    segment_frames: int = Field(50, ge=1)
    """Video frames (1/25 s) of a training segment."""
    samples_per_epoch: int = Field(2000, ge=1)
    """Segments that make an epoch: a mixture has no other end."""
    window_groups: int = Field(8, ge=1)
    """Row groups over which rows are shuffled."""
    gain_db: tuple[float, float] = (0.0, 0.0)
    """Range of a random gain on what is heard and what is wanted alike, so that the decoder knows the level of the
    corpus that it is for; lowered where a peak would pass full scale."""
    reverse: bool = False
    """Play everything backwards: no longer speech, but with its spectrum (arm G of the study)."""
    corrupt: CorruptConfig = CorruptConfig()

    @model_validator(mode="after")
    def _check(self) -> SpeechDataConfig:
        if self.gain_db[0] > self.gain_db[1]:
            raise ValueError("gain_db: the lower bound comes first")
        return self


class PretrainRecipe(RecipeModel):
    """Speech to log-mel (A2A-MelSpec): `unsilent pretrain`."""

    kind: Literal["pretrain"] = "pretrain"
    name: str
    model: ReconstructorConfig = ReconstructorConfig(encoder=AudioEncoderConfig())
    data: SpeechDataConfig = SpeechDataConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _check(self) -> PretrainRecipe:
        if self.model.path != "a2a-mel":
            raise ValueError(f"model is {self.model.path}, kind pretrain makes a2a-mel: set model.encoder.input: audio")
        if self.loss.content or self.loss.lag:
            raise ValueError("loss.content and loss.lag are of video: speech alone has no words and no lag")
        return self
