"""What computes the networks. Everything around them (faces, windows, files) is the same for every engine.

Shapes: T video frames, S crop side, F mel bands, M mel frames, N samples, E width of a voice.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.models.folding import fold_batch_norms
from unsilent.models.public_vocoders import PublicVocoder
from unsilent.models.reconstructor import Reconstructor
from unsilent.models.vocoder import Vocoder

__all__ = ["ENGINES", "Engine", "TorchEngine"]

Array = NDArray[np.float32]
ENGINES = ("torch", "onnx")


class Engine(Protocol):
    """The networks of one model, on one clip at a time."""

    @property
    def name(self) -> str:
        """One of `ENGINES`."""

    @property
    def context_frames(self) -> int | None:
        """Mel frames on either side that the sound of a frame depends on; None where no vocoder is needed."""

    def reconstruct(self, crops: NDArray[np.uint8], voice: Array | None) -> Array:
        """Crops (T, S, S) of the size that the network sees, and a voice (E,), to log-mel (F, 4 T) or samples (N,)."""

    def vocode(self, mel: Array) -> Array:
        """Log-mel (F, M) to samples (N,) in [-1, 1]; called only where there is a vocoder."""

    def voice_of(self, mel: Array) -> Array:
        """Log-mel (F, M) of a recording to the voice in it, (E,); called only where the model has voices.

        Raises:
            CheckpointError: this engine was given no network for it.
        """


class TorchEngine:
    """Runs the models themselves, their batch-norms folded."""

    name = "torch"

    def __init__(self, reconstructor: Reconstructor, vocoder: Vocoder | PublicVocoder | None) -> None:
        self._model = fold_batch_norms(reconstructor.eval())
        self._model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._vocoder = vocoder.eval() if vocoder is not None else None

    @property
    def context_frames(self) -> int | None:
        """See `Engine`."""
        return None if self._vocoder is None else self._vocoder.context_frames

    @torch.inference_mode()
    def reconstruct(self, crops: NDArray[np.uint8], voice: Array | None) -> Array:
        """See `Engine`."""
        mask = torch.ones(1, len(crops), dtype=torch.bool)
        speaker = None if voice is None else torch.from_numpy(voice)[None]
        made: Array = self._model(torch.from_numpy(crops)[None], mask, speaker)[0].numpy()
        return made

    @torch.inference_mode()
    def vocode(self, mel: Array) -> Array:
        """See `Engine`."""
        assert self._vocoder is not None
        made: Array = self._vocoder(torch.from_numpy(mel)[None])[0].clamp(-1, 1).numpy()
        return made

    @torch.inference_mode()
    def voice_of(self, mel: Array) -> Array:
        """See `Engine`."""
        embedding = self._model.voice_of(torch.from_numpy(mel)[None])
        assert embedding is not None
        voice: Array = embedding[0].numpy()
        return voice
