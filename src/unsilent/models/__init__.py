"""The models of the method and their settings."""

from unsilent.models.config import (
    ConformerConfig,
    MelDecoderConfig,
    ReconstructorConfig,
    VideoEncoderConfig,
    VocoderConfig,
)
from unsilent.models.decoders import MelDecoder
from unsilent.models.reconstructor import Reconstructor, build_reconstructor
from unsilent.models.video import VideoEncoder
from unsilent.models.vocoder import Vocoder

__all__ = [
    "ConformerConfig",
    "MelDecoder",
    "MelDecoderConfig",
    "Reconstructor",
    "ReconstructorConfig",
    "VideoEncoder",
    "VideoEncoderConfig",
    "Vocoder",
    "VocoderConfig",
    "build_reconstructor",
]
