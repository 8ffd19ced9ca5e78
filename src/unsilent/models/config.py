"""Typed settings of every model. They are stored in the checkpoint and rebuild the model from it."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from unsilent.config import RecipeModel
from unsilent.features import MelConfig

__all__ = [
    "AudioEncoderConfig",
    "ConformerConfig",
    "MelDecoderConfig",
    "ReconstructorConfig",
    "SourceConfig",
    "SpeakerConfig",
    "VideoEncoderConfig",
    "VocoderConfig",
    "WaveDecoderConfig",
]

Positive = Annotated[int, Field(ge=1)]


def _check_odd(kernel: int) -> None:
    if kernel % 2 == 0:
        raise ValueError(f"kernel {kernel} must be odd, or a convolution would change the number of frames")


class VideoEncoderConfig(RecipeModel):
    """A spatio-temporal stem and a residual network on every frame."""

    input: Literal["video"] = "video"
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


class FilterbankConfig(RecipeModel):
    """Learnt bands of a short-time spectrum, as a first layer on the waveform."""

    bands: int = Field(80, ge=1, le=1024)
    """They begin as triangles on the mel scale."""
    n_fft: int = Field(1024, ge=2, le=65_536, multiple_of=2)
    """Samples of the Hann window."""
    hop_length: int = Field(240, ge=1)
    """Samples a step of the bands."""
    floor: float = Field(1e-5, gt=0)
    """Amplitudes below it are taken for it, before the logarithm."""

    @model_validator(mode="after")
    def _check(self) -> FilterbankConfig:
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length {self.hop_length} must not be larger than n_fft {self.n_fft}")
        return self


class AudioEncoderConfig(RecipeModel):
    """A 1-D residual network on the raw waveform, one vector a video frame."""

    input: Literal["audio"] = "audio"
    filterbank: FilterbankConfig | None = None
    """What stands before the first stage; nothing, if None."""
    strides: tuple[Positive, ...] = Field((5, 4, 4, 4, 3), min_length=1)
    """Strides of the stages; their product, times the filterbank's hop, is the samples of a video frame (960 at 24 kHz
    and 25 fps)."""
    widths: tuple[Positive, ...] = (16, 32, 64, 128, 192)
    """Channels of the stages."""
    kernel: int = Field(5, ge=1)
    """Samples under a residual block's convolutions (odd)."""
    bottleneck: int = Field(32, ge=1)
    """Values a frame that pass on to the rest of the model; the fewer, the less trivial is copying."""
    out_width: int = Field(192, ge=1)
    """Width of the vector for a frame."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the bottleneck."""
    normalised: bool = False
    """Batch-norm on the bottleneck, so that its quieter values are learnt as fast as its louder ones."""

    @model_validator(mode="after")
    def _check(self) -> AudioEncoderConfig:
        if len(self.strides) != len(self.widths):
            raise ValueError("strides and widths must be of the same length")
        _check_odd(self.kernel)
        if self.filterbank and self.bottleneck > (there := self.filterbank.bands * math.prod(self.strides)):
            raise ValueError(f"bottleneck {self.bottleneck} must not be wider than the {there} bands of a video frame")
        return self

    @property
    def samples_per_frame(self) -> int:
        """Samples that become one vector."""
        return math.prod(self.strides) * (self.filterbank.hop_length if self.filterbank else 1)


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
    chunk: int = Field(0, ge=0)
    """Frames that attend to one another; convolutions are then causal: nothing later is heard. 0: all frames."""
    history: int = Field(64, ge=0)
    """With a chunk, frames before it that its frames attend to."""

    @model_validator(mode="after")
    def _check(self) -> ConformerConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of twice the {self.heads} heads")
        _check_odd(self.kernel)
        return self


class SpeakerConfig(RecipeModel):
    """A voice, told to the temporal module beside every frame."""

    width: int = Field(64, ge=1)
    """Width of the embedding."""
    hidden: int = Field(128, ge=1)
    """Channels of the network that makes it of a reference."""
    blocks: int = Field(3, ge=1)
    kernel: int = Field(5, ge=1)
    """Mel frames under a convolution (odd)."""
    reference_frames: int = Field(200, ge=1)
    """Mel frames of a reference in training; at synthesis it may be of any length."""
    unknown: float = Field(0.1, ge=0, le=1)
    """Share of the training samples whose voice is not told, so that the model can do without."""

    @model_validator(mode="after")
    def _check(self) -> SpeakerConfig:
        _check_odd(self.kernel)
        return self


class MelDecoderConfig(RecipeModel):
    """Residual convolutions at the mel frame rate."""

    target: Literal["mel"] = "mel"
    width: int = Field(192, ge=1)
    blocks: int = Field(5, ge=1)
    kernel: int = Field(3, ge=1)
    """Mel frames under a convolution (odd)."""
    dropout: float = Field(0.1, ge=0, lt=1)
    causal: bool = False
    """No convolution hears later frames."""

    @model_validator(mode="after")
    def _check(self) -> MelDecoderConfig:
        _check_odd(self.kernel)
        return self


class SourceConfig(RecipeModel):
    """A train of pulses and a noise, which a decoder shapes, in place of samples that it makes itself."""

    n_fft: int = Field(512, ge=2, le=65_536, multiple_of=2)
    """Samples of the Hann window in which the shape holds."""
    lowest: float = Field(60.0, ge=20)
    """Lowest pitch, Hz."""
    highest: float = Field(500.0, le=2000)
    """Highest pitch, Hz."""

    @model_validator(mode="after")
    def _check(self) -> SourceConfig:
        if not self.lowest < self.highest:
            raise ValueError(f"lowest {self.lowest:g} must be below highest {self.highest:g} Hz")
        return self


class WaveDecoderConfig(RecipeModel):
    """Transposed convolutions with batch-norm from one vector a video frame to its samples."""

    target: Literal["wave"] = "wave"
    strides: tuple[Positive, ...] = Field((5, 4, 4, 12), min_length=1)
    """Factors by which the stages raise the rate; their product is the samples of a video frame."""
    widths: tuple[Positive, ...] = (192, 192, 128, 64)
    """Channels that enter each stage; the last goes straight to samples: channels at 24 kHz are what costs."""
    blocks: int = Field(2, ge=0)
    """Dilated residual blocks a stage, of dilation 1, 3, 9 ..."""
    kernel: int = Field(3, ge=1)
    """Samples under a residual block's convolutions (odd)."""
    source: SourceConfig | None = None
    """What the last stage shapes into sound; it makes the samples itself if None."""

    @model_validator(mode="after")
    def _check(self) -> WaveDecoderConfig:
        if len(self.strides) != len(self.widths):
            raise ValueError("strides and widths must be of the same length")
        _check_odd(self.kernel)
        if self.source and self.strides[-1] > self.source.n_fft // 2:
            raise ValueError(f"the last stride, {self.strides[-1]}, must not exceed half of n_fft {self.source.n_fft}")
        return self

    @property
    def samples_per_frame(self) -> int:
        """Samples that one vector becomes."""
        return math.prod(self.strides)


def _input_of(encoder: Any) -> str:
    return str(encoder.get("input", "video") if isinstance(encoder, dict) else getattr(encoder, "input", None))


def _target_of(decoder: Any) -> str:
    return str(decoder.get("target", "mel") if isinstance(decoder, dict) else getattr(decoder, "target", None))


# Video and mel are what is meant where a recipe or a card does not say.
EncoderConfig = Annotated[
    Annotated[VideoEncoderConfig, Tag("video")] | Annotated[AudioEncoderConfig, Tag("audio")], Discriminator(_input_of)
]
DecoderConfig = Annotated[
    Annotated[MelDecoderConfig, Tag("mel")] | Annotated[WaveDecoderConfig, Tag("wave")], Discriminator(_target_of)
]


class ReconstructorConfig(RecipeModel):
    """Video or audio to log-mel or waveform."""

    kind: Literal["reconstructor"] = "reconstructor"
    mel: MelConfig = MelConfig()
    encoder: EncoderConfig = VideoEncoderConfig()
    temporal: ConformerConfig = ConformerConfig()
    decoder: DecoderConfig = MelDecoderConfig()
    speaker: SpeakerConfig | None = None
    """How the model is told whose voice to speak with; it is not, if null."""
    split_norm: bool = True
    """Separate running statistics for audio and video input in every modality batch-norm."""

    @model_validator(mode="after")
    def _check(self) -> ReconstructorConfig:
        for part in (self.encoder, self.decoder):
            if isinstance(part, AudioEncoderConfig | WaveDecoderConfig):
                given, wanted = part.samples_per_frame, self.mel.samples_per_frame
                if given != wanted:
                    raise ValueError(
                        f"the product of strides {part.strides} is {given}, a video frame is {wanted} samples"
                    )
        return self

    @property
    def streams(self) -> bool:
        """Whether speech can be made while video arrives: no part of the model waits for the end of a clip."""
        return (
            isinstance(self.encoder, VideoEncoderConfig)
            and isinstance(self.decoder, MelDecoderConfig)
            and self.temporal.chunk > 0
            and self.decoder.causal
        )

    @property
    def path(self) -> str:
        """What goes in and what comes out: ``v2a-mel``, ``a2a-mel``, ``v2a-wave`` or ``a2a-wave``."""
        return f"{'v2a' if self.encoder.input == 'video' else 'a2a'}-{self.decoder.target}"


class VocoderConfig(RecipeModel):
    """ConvNeXt blocks at the mel frame rate and an inverse STFT head (after Vocos, Siuzdak 2023)."""

    kind: Literal["vocoder"] = "vocoder"
    mel: MelConfig = MelConfig()
    width: int = Field(256, ge=1)
    hidden: int = Field(768, ge=1)
    blocks: int = Field(8, ge=1)
    kernel: int = Field(7, ge=1)
    mel_corrections: int = Field(2, ge=0, le=100)
    """How often the magnitude is scaled towards the mel it came from; 0 lets a vocoder that was fine-tuned on predicted
    mels depart from them."""
    phase_iterations: int = Field(16, ge=0, le=1000)
    """Fast Griffin-Lim iterations that find the phases."""

    @model_validator(mode="after")
    def _check(self) -> VocoderConfig:
        _check_odd(self.kernel)
        return self
