"""Encoder, temporal module, decoder: every model of the method."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unsilent.features import MelConfig
from unsilent.models.audio import AudioEncoder
from unsilent.models.config import MelDecoderConfig, ReconstructorConfig, VideoEncoderConfig
from unsilent.models.decoders import MelDecoder
from unsilent.models.hub import HubModel
from unsilent.models.speaker import SpeakerEncoder
from unsilent.models.video import VideoEncoder
from unsilent.models.wave import WaveDecoder
from unsilent.nn import Conformer
from unsilent.nn.norm import Modality

__all__ = ["Reconstructor", "build_reconstructor"]


class Reconstructor(nn.Module, HubModel):
    """``decoder(temporal(encoder(x)))``; what is handed over between models is handed over by these three names.

    A model with a ``speaker`` encoder is told whose voice to speak with: the embedding stands beside every frame that
    the temporal module reads. Where none is given, the voice is the one that the model learnt to take for unknown ones.
    """

    config: ReconstructorConfig | None = None
    """What `build_reconstructor` was given."""

    def __init__(
        self,
        encoder: nn.Module,
        temporal: nn.Module,
        decoder: nn.Module,
        modality: Modality,
        speaker: SpeakerEncoder | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.temporal, self.decoder, self.speaker = encoder, temporal, decoder, speaker
        self.modality: Modality = modality

    @property
    def mel(self) -> MelConfig:
        """Definition of the log-mel that comes out."""
        mel: MelConfig = self.decoder.mel  # type: ignore[assignment]
        return mel

    def voice_of(self, reference: Tensor) -> Tensor | None:
        """Embedding (B, S) of the voices in log-mels (B, F, M); None for a model that is not told a voice."""
        voice: Tensor | None = None if self.speaker is None else self.speaker(reference)
        return voice

    def latents(self, x: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Input, mask (B, T) and voice (B, S) to what the decoder reads, (B, T, D)."""
        seen: Tensor = self.encoder(x, mask)
        if self.speaker is not None:
            if speaker is None:
                speaker = self.speaker(seen.new_zeros(len(seen), self.mel.n_mels, 0))
            told = speaker.to(seen.dtype)[:, None].expand(-1, seen.shape[1], -1)
            seen = torch.cat([seen, told * mask[:, :, None]], dim=2)
        hidden: Tensor = self.temporal(seen, mask, self.modality)
        return hidden

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Input, mask (B, T) and voice (B, S) to the decoder's target: log-mel (B, F, 4 T) or samples (B, 960 T)."""
        out: Tensor = self.decoder(self.latents(x, mask, speaker), mask, self.modality)
        return out


def build_reconstructor(config: ReconstructorConfig) -> Reconstructor:
    """Build the model that ``config`` describes, with fresh weights."""
    temporal, split = config.temporal, config.split_norm
    told = config.speaker.width if config.speaker else 0
    model = Reconstructor(
        _build_encoder(config),
        Conformer(
            config.encoder.out_width + told,
            temporal.width,
            temporal.blocks,
            temporal.heads,
            temporal.hidden,
            temporal.kernel,
            temporal.dropout,
            split,
            temporal.chunk,
            temporal.history,
        ),
        _build_decoder(config),
        config.encoder.input,
        SpeakerEncoder(config.mel, config.speaker) if config.speaker else None,
    )
    model.config = config
    return model


def _build_encoder(config: ReconstructorConfig) -> nn.Module:
    if isinstance(config.encoder, VideoEncoderConfig):
        return VideoEncoder(config.encoder)
    return AudioEncoder(config.encoder, config.mel.sample_rate, split_norm=config.split_norm)


def _build_decoder(config: ReconstructorConfig) -> nn.Module:
    if isinstance(config.decoder, MelDecoderConfig):
        return MelDecoder(config.temporal.width, config.mel, config.decoder, split_norm=config.split_norm)
    return WaveDecoder(config.temporal.width, config.mel, config.decoder, split_norm=config.split_norm)
