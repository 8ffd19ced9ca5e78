"""Typed settings of every model. They are stored in the checkpoint and rebuild the model from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from unsilent.config import RecipeModel
from unsilent.features import MelConfig

__all__ = ["ConformerConfig", "MelDecoderConfig", "ReconstructorConfig", "VideoEncoderConfig", "VocoderConfig"]

Positive = Annotated[int, Field(ge=1)]


def _check_odd(kernel: int) -> None:
    if kernel % 2 == 0:
        raise ValueError(f"kernel {kernel} must be odd, or a convolution would change the number of frames")


class VideoEncoderConfig(RecipeModel):
    """A spatio-temporal stem and a residual network on every frame."""

    resize: int = Field(72, ge=16, le=256)
    """Side, in pixels, that the 96x96 mouth crop is resized to before cropping."""
    crop: int = Field(64, ge=16, le=256)
    """Side that the network sees: random in training, the centre at synthesis."""
    stem_channels: int = Field(32, ge=1)
    """Channels after the stem."""
    stem_frames: int = Field(5, ge=1)
    """Video frames under the stem's kernel (odd)."""
    stem_kernel: int = Field(7, ge=1)
    """Pixels under the stem's kernel, both ways (odd)."""
    stem_stride: Literal[2, 4] = 4
    """Spatial stride of the stem."""
    stem_pool: bool = False
    """A 3x3 max-pool of stride 2 after the stem."""
    widths: tuple[Positive, ...] = Field((64, 128), min_length=1)
    """Channels of the residual stages; every stage but the first halves the picture."""
    first_stride: Literal[1, 2] = 2
    """Stride of the first stage."""
    depths: tuple[Positive, ...] = (1, 1)
    """Residual blocks a stage."""
    pooling: Literal["flatten", "mean"] = "flatten"
    """How the last feature map becomes a vector: keep where things are, or average as ResNet does."""
    out_width: int = Field(192, ge=1)
    """Width of the vector for a frame."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """On the vector for a frame."""

    @model_validator(mode="after")
    def _check(self) -> VideoEncoderConfig:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} must not exceed resize {self.resize}")
        if len(self.widths) != len(self.depths):
            raise ValueError("widths and depths must be of the same length")
        if not (self.stem_frames % 2 and self.stem_kernel % 2):
            raise ValueError("stem_frames and stem_kernel must be odd")
        return self

    @property
    def map_size(self) -> int:
        """Side of the last feature map."""
        size = -(-self.crop // self.stem_stride)
        for _ in range(int(self.stem_pool) + self.first_stride + len(self.widths) - 2):
            size = -(-size // 2)
        return size


class ConformerConfig(RecipeModel):
    """The temporal module."""

    width: int = Field(192, ge=2)
    blocks: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    hidden: int = Field(768, ge=1)
    """Width inside the feed-forward modules."""
    kernel: int = Field(31, ge=1)
    """Frames under the depthwise convolution (odd)."""
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> ConformerConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of twice the {self.heads} heads")
        _check_odd(self.kernel)
        return self


class MelDecoderConfig(RecipeModel):
    """Residual convolutions at the mel frame rate."""

    width: int = Field(192, ge=1)
    blocks: int = Field(5, ge=1)
    kernel: int = Field(3, ge=1)
    """Mel frames under a convolution (odd)."""
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> MelDecoderConfig:
        _check_odd(self.kernel)
        return self


class ReconstructorConfig(RecipeModel):
    """Video to log-mel."""

    kind: Literal["v2a-mel"] = "v2a-mel"
    mel: MelConfig = MelConfig()
    encoder: VideoEncoderConfig = VideoEncoderConfig()
    temporal: ConformerConfig = ConformerConfig()
    decoder: MelDecoderConfig = MelDecoderConfig()
    split_norm: bool = True
    """Separate running statistics for audio and video input in every modality batch-norm."""


class VocoderConfig(RecipeModel):
    """ConvNeXt blocks at the mel frame rate and an inverse STFT head (after Vocos, Siuzdak 2023)."""

    kind: Literal["vocoder"] = "vocoder"
    mel: MelConfig = MelConfig()
    width: int = Field(256, ge=1)
    hidden: int = Field(768, ge=1)
    blocks: int = Field(8, ge=1)
    kernel: int = Field(7, ge=1)
    mel_corrections: int = Field(2, ge=0)
    """How often the magnitude is scaled towards the mel it came from; 0 lets a vocoder that was fine-tuned on predicted
    mels depart from them."""
    phase_iterations: int = Field(16, ge=0)
    """Fast Griffin-Lim iterations that find the phases."""

    @model_validator(mode="after")
    def _check(self) -> VocoderConfig:
        _check_odd(self.kernel)
        return self
