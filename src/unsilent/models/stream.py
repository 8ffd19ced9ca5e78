"""A model of video to mel on crops that are still arriving, chunk by chunk.

Shapes: T video frames, S crop side, F mel bands, E width of a voice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unsilent.models.config import VideoEncoderConfig
from unsilent.models.decoders import MelDecoder
from unsilent.models.reconstructor import Reconstructor
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
        assert isinstance(config.encoder, VideoEncoderConfig)
        self._model, self._chunk = model, config.temporal.chunk
        self.ahead = config.encoder.stem_frames // 2
        """Video frames that the encoder waits for after each chunk."""
        self._told: Tensor | None = None
        if model.speaker is not None:
            unknown = torch.zeros(1, config.mel.n_mels, 0)
            self._told = model.speaker(unknown) if voice is None else voice[None]
        self._crops: Tensor | None = None
        self._made = 0
        """Frames of the crops that are held and have been made."""
        self._temporal: list[BlockState] | None = None
        self._decoder: list[tuple[Tensor, Tensor]] | None = None

    @torch.inference_mode()
    def push(self, crops: Tensor) -> Tensor:
        """Take the next crops (T, S, S) uint8; give the log-mel (F, M) of all chunks that are complete."""
        self._crops = crops if self._crops is None else torch.cat((self._crops, crops))
        pieces = [self._nothing()]
        while len(self._crops) - self._made >= self._chunk + self.ahead:
            pieces.append(self._make(self._chunk))
        return torch.cat(pieces, dim=1)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Give the rest (F, M); call once, after the last `push`."""
        pieces = [self._nothing()]
        while self._crops is not None and self._made < len(self._crops):
            pieces.append(self._make(min(self._chunk, len(self._crops) - self._made)))
        return torch.cat(pieces, dim=1)

    def _nothing(self) -> Tensor:
        return torch.zeros(self._model.mel.n_mels, 0)

    def _make(self, frames: int) -> Tensor:
        """Log-mel (F, 4 T) of the next ``frames`` crops, which see their neighbours on either side."""
        assert self._crops is not None
        first = max(0, self._made - self.ahead)
        seen = self._crops[first : self._made + frames + self.ahead]
        encoded = self._model.encoder(seen[None], torch.ones(1, len(seen), dtype=torch.bool))
        encoded = encoded[:, self._made - first :][:, :frames]
        if self._told is not None:
            encoded = torch.cat([encoded, self._told[:, None].expand(-1, frames, -1)], dim=2)
        temporal, decoder = self._model.temporal, self._model.decoder
        assert isinstance(temporal, Conformer)
        assert isinstance(decoder, MelDecoder)
        hidden, self._temporal = temporal.step(encoded, self._temporal, self._model.modality)
        mel, self._decoder = decoder.step(hidden, self._decoder, self._model.modality)
        self._made += frames
        drop = max(0, self._made - self.ahead)
        self._crops, self._made = self._crops[drop:], self._made - drop
        return mel[0]
