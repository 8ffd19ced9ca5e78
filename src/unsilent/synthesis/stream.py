"""One video on its way to speech, from frames to samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import MediaError
from unsilent.face import MouthFrame, stream_mouth
from unsilent.media import read_video
from unsilent.synthesis.ahead import ahead
from unsilent.synthesis.clock import Clock
from unsilent.synthesis.reference import Voice

if TYPE_CHECKING:
    from unsilent.synthesis.synthesizer import Synthesizer

__all__ = ["STRIDE", "SpeechStream"]

SHORTEST = 5
"""Frames under which a video is refused: the encoder's kernel alone sees as many."""
STRIDE = 2
"""Of a file, the mouth's place is found in every other frame while the face is calm (`benchmarks/stride.py`)."""


class SpeechStream:
    """One video on its way to speech. `pieces` may be iterated once; the counts are final after that."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        video: Path | Iterable[NDArray[np.uint8]],
        face: int | None,
        voice: Voice | None,
        on_frame: Callable[[], None] | None,
    ) -> None:
        self._synthesizer, self._video, self._face, self._on_frame = synthesizer, video, face, on_frame
        self._voice = voice
        self._clock = Clock()
        self.frames = 0
        self.interpolated = 0
        self.confidence = 0.0
        """Sum over the frames in which a face was seen."""

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return self.pieces()

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by stage: decode, face, model, vocoder."""
        return self._clock.seconds

    def pieces(
        self,
        on_mouth: Callable[[MouthFrame], None] = lambda mouth: None,
        on_mel: Callable[[NDArray[np.float32]], None] = lambda mel: None,
    ) -> Iterator[NDArray[np.float32]]:
        """Samples in pieces that follow one another; the callbacks see every mouth and piece of mel.

        Raises:
            MediaError, FaceError: as `Synthesizer.speak`; that a face is in too few frames is known at the end only.
        """
        return self._synthesizer.samples(self._crops(on_mouth), self._clock, on_mel, self._voice)

    def _crops(self, on_mouth: Callable[[MouthFrame], None]) -> Iterator[NDArray[np.uint8]]:
        # Decoding runs beside tracking; what is charged to it is the time that the tracker waits for a frame.
        fps = self._synthesizer.mel_config.frame_rate
        name = str(self._video) if isinstance(self._video, Path) else "the frames"
        frames = ahead(read_video(self._video, fps)) if isinstance(self._video, Path) else self._video
        decoded = self._clock.iterate("decode", frames)
        live = self._synthesizer.streams
        mouths = stream_mouth(decoded, face=self._face, name=name, live=live, stride=STRIDE)
        for mouth in self._clock.iterate("face", mouths):
            self.frames += 1
            self.interpolated += not mouth.valid
            self.confidence += mouth.confidence if mouth.valid else 0.0
            on_mouth(mouth)
            if self._on_frame:
                self._on_frame()
            yield mouth.crop
        if self.frames < SHORTEST:
            raise MediaError(
                f"{name}: only {self.frames} frames ({self.frames / fps:.2f} s at {fps} a second), too short to "
                f"read lips from; give at least {SHORTEST / fps:.1f} s of video"
            )
