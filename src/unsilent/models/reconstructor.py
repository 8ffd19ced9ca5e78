"""Encoder, temporal module, decoder: every model of the method."""

from __future__ import annotations

from torch import Tensor, nn

from unsilent.features import MelConfig
from unsilent.models.audio import AudioEncoder
from unsilent.models.config import MelDecoderConfig, ReconstructorConfig, VideoEncoderConfig
from unsilent.models.decoders import MelDecoder
from unsilent.models.video import VideoEncoder
from unsilent.models.wave import WaveDecoder
from unsilent.nn import Conformer
from unsilent.nn.norm import Modality

__all__ = ["Reconstructor", "build_reconstructor"]


class Reconstructor(nn.Module):
    """``decoder(temporal(encoder(x)))``; what is handed over between models is handed over by these three names."""

    def __init__(self, encoder: nn.Module, temporal: nn.Module, decoder: nn.Module, modality: Modality) -> None:
        super().__init__()
        self.encoder, self.temporal, self.decoder = encoder, temporal, decoder
        self.modality: Modality = modality

    @property
    def mel(self) -> MelConfig:
        """Definition of the log-mel that comes out."""
        mel: MelConfig = self.decoder.mel  # type: ignore[assignment]
        return mel

    def latents(self, x: Tensor, mask: Tensor) -> Tensor:
        """Input and mask (B, T) to what the decoder reads, (B, T, D)."""
        hidden: Tensor = self.temporal(self.encoder(x, mask), mask, self.modality)
        return hidden

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Input and mask (B, T) to the decoder's target: log-mel (B, F, 4 T) or samples (B, 960 T)."""
        out: Tensor = self.decoder(self.latents(x, mask), mask, self.modality)
        return out


def build_reconstructor(config: ReconstructorConfig) -> Reconstructor:
    """Build the model that ``config`` describes, with fresh weights."""
    temporal, split = config.temporal, config.split_norm
    return Reconstructor(
        _build_encoder(config),
        Conformer(
            config.encoder.out_width,
            temporal.width,
            temporal.blocks,
            temporal.heads,
            temporal.hidden,
            temporal.kernel,
            temporal.dropout,
            split,
        ),
        _build_decoder(config),
        config.encoder.input,
    )


def _build_encoder(config: ReconstructorConfig) -> nn.Module:
    if isinstance(config.encoder, VideoEncoderConfig):
        return VideoEncoder(config.encoder)
    return AudioEncoder(config.encoder, split_norm=config.split_norm)


def _build_decoder(config: ReconstructorConfig) -> nn.Module:
    if isinstance(config.decoder, MelDecoderConfig):
        return MelDecoder(config.temporal.width, config.mel, config.decoder, split_norm=config.split_norm)
    return WaveDecoder(config.temporal.width, config.mel, config.decoder, split_norm=config.split_norm)
