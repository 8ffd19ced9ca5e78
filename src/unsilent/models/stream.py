"""A model of video to mel on crops that are still arriving, chunk by chunk.

Shapes: T video frames, S crop side, F mel bands, E width of a voice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unsilent.models.decoders import MelDecoder
from unsilent.models.reconstructor import Reconstructor
from unsilent.models.video import VideoEncoder
from unsilent.nn import BlockState, Conformer

__all__ = ["ReconstructorStream"]


class ReconstructorStream:
    """Log-mel of crops as they arrive: what the model gives for the whole clip, as soon as it can be known.

    Args:
        model: in evaluation mode, of a configuration that ``streams``.
        voice: (E,), for a model that is told one.

    Raises:
        ValueError: the model waits for the end of a clip.
    """

    def __init__(self, model: Reconstructor, voice: Tensor | None = None) -> None:
        config = model.config
        if config is None or not config.streams:
            raise ValueError("this model waits for the end of a clip; it cannot stream")
        assert isinstance(model.encoder, VideoEncoder)
        self._model, self._encoder, self._chunk = model, model.encoder, config.temporal.chunk
        self.ahead = model.encoder.side
        """Video frames that the encoder waits for after each frame."""
        self._told: Tensor | None = None
        if model.speaker is not None:
            unknown = torch.zeros(1, config.mel.n_mels, 0)
            self._told = model.speaker(unknown) if voice is None else voice[None]
        self._crops: Tensor | None = None
        """Scaled crops that further frames see, of which the first ``2 ahead`` have been encoded or are not there."""
        self._encoded: Tensor | None = None
        """Vectors (T, D) of an incomplete chunk."""
        self._temporal: list[BlockState] | None = None
        self._decoder: list[tuple[Tensor, Tensor]] | None = None

    @torch.inference_mode()
    def push(self, crops: Tensor) -> Tensor:
        """Take the next crops (T, S, S) uint8; give the log-mel (F, M) of all chunks that are complete."""
        scaled = self._encoder.scale(crops)
        before = scaled.new_zeros(self.ahead, *scaled.shape[1:]) if self._crops is None else self._crops
        return self._encode(torch.cat((before, scaled)))

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Give the rest (F, M); call once, after the last `push`."""
        if self._crops is None:
            return self._nothing()
        after = self._crops.new_zeros(self.ahead, *self._crops.shape[1:])
        whole = self._encode(torch.cat((self._crops, after)))
        rest = self._encoded
        return torch.cat((whole, self._make(rest)), dim=1) if rest is not None and len(rest) else whole

    def _nothing(self) -> Tensor:
        return torch.zeros(self._model.mel.n_mels, 0)

    def _encode(self, crops: Tensor) -> Tensor:
        """Encode all frames whose neighbours are there, as they arrive; make the mel of complete chunks."""
        self._crops = crops[max(0, len(crops) - 2 * self.ahead) :]
        if len(crops) <= 2 * self.ahead:
            return self._nothing()
        vectors = self._encoder.step(crops)
        waiting = vectors if self._encoded is None else torch.cat((self._encoded, vectors))
        pieces = [self._nothing()]
        while len(waiting) >= self._chunk:
            pieces.append(self._make(waiting[: self._chunk]))
            waiting = waiting[self._chunk :]
        self._encoded = waiting
        return torch.cat(pieces, dim=1)

    def _make(self, encoded: Tensor) -> Tensor:
        """Log-mel (F, 4 T) of the vectors (T, D) of a chunk."""
        vectors = encoded[None]
        if self._told is not None:
            vectors = torch.cat([vectors, self._told[:, None].expand(-1, len(encoded), -1)], dim=2)
        temporal, decoder = self._model.temporal, self._model.decoder
        assert isinstance(temporal, Conformer)
        assert isinstance(decoder, MelDecoder)
        hidden, self._temporal = temporal.step(vectors, self._temporal, self._model.modality)
        mel, self._decoder = decoder.step(hidden, self._decoder, self._model.modality)
        return mel[0]
