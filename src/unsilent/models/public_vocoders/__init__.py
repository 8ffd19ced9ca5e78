"""Vocoders that others have trained and published, for users who have their weights."""

from unsilent.models.public_vocoders.config import (
    PUBLIC_CONFIGS,
    HifiganConfig,
    ParallelWaveganConfig,
    PublicMelConfig,
    mel_differences,
)
from unsilent.models.public_vocoders.vocoder import PublicVocoder

__all__ = [
    "PUBLIC_CONFIGS",
    "HifiganConfig",
    "ParallelWaveganConfig",
    "PublicMelConfig",
    "PublicVocoder",
    "mel_differences",
]
