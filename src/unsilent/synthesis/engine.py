"""What computes the networks. Everything around them (faces, windows, files) is the same for every engine.

Shapes: T video frames, S crop side, F mel bands, M mel frames, N samples, E width of a voice.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.errors import CheckpointError
from unsilent.marks import part
from unsilent.models.folding import fold_batch_norms
from unsilent.models.public_vocoders import PublicVocoder
from unsilent.models.reconstructor import Reconstructor
from unsilent.models.stream import ReconstructorStream
from unsilent.models.vocoder import Vocoder
from unsilent.models.vocoder_stream import VocoderStream

__all__ = ["ENGINES", "Engine", "EngineStream", "TorchEngine"]

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

    def stream(self, voice: Array | None) -> EngineStream:
        """A model that streams, and its vocoder, on a clip that is still arriving, with a voice (E,).

        Raises:
            CheckpointError: this engine, or the vocoder, cannot.
        """


class EngineStream(Protocol):
    """One clip, as it arrives; what is made is the same however it is cut."""

    def reconstruct(self, crops: NDArray[np.uint8]) -> Array:
        """The next crops (T, S, S) to what can be known of the log-mel (F, M) by now."""

    def finish(self) -> Array:
        """The rest of the log-mel (F, M); no more crops come."""

    def vocode(self, mel: Array, *, last: bool) -> Array:
        """The next log-mel (F, M) to the samples (N,) in [-1, 1] that are final by now; the rest too if ``last``."""


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
        # The model's own forward pass, with a mark between its halves.
        with part("encoder"):
            hidden = self._model.latents(torch.from_numpy(crops)[None], mask, speaker)
        with part("decoder"):
            made: Array = self._model.decoder(hidden, mask, self._model.modality)[0].numpy()
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

    def stream(self, voice: Array | None) -> EngineStream:
        """See `Engine`."""
        if not isinstance(self._vocoder, Vocoder):
            raise CheckpointError("the vocoder waits for the end of a clip; put unsilent's own into vocoder/")
        return _TorchStream(self._model, self._vocoder, voice)


class _TorchStream:
    """See `EngineStream`."""

    def __init__(self, model: Reconstructor, vocoder: Vocoder, voice: Array | None) -> None:
        self._mel = ReconstructorStream(model, None if voice is None else torch.from_numpy(voice))
        config = model.config
        assert config is not None
        self._sound = VocoderStream(vocoder, config.temporal.chunk * config.mel.mels_per_frame)

    def reconstruct(self, crops: NDArray[np.uint8]) -> Array:
        made: Array = self._mel.push(torch.from_numpy(crops)).numpy()
        return made

    def finish(self) -> Array:
        made: Array = self._mel.finish().numpy()
        return made

    def vocode(self, mel: Array, *, last: bool) -> Array:
        samples = self._sound.push(torch.from_numpy(mel))
        made: Array = (torch.cat((samples, self._sound.finish())) if last else samples).numpy()
        return made
