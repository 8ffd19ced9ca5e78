"""Speaking while video arrives: how late each sound is, and a sink that takes sound as it comes."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from unsilent.errors import UnsilentError
from unsilent.files import atomic_path
from unsilent.media import SYNTHETIC_TAG
from unsilent.synthesis.synthesizer import Synthesizer

__all__ = ["LiveSpeech", "Sink", "pcm_stream", "speak_live", "wave_file"]

Samples = NDArray[np.float32]


Sink: TypeAlias = Callable[[Samples], object]
"""Takes samples (n,) in [-1, 1] in order."""


@dataclass
class LiveSpeech:
    """What `speak_live` did."""

    frames: int = 0
    seconds: float = 0.0
    """Of speech."""
    latencies: list[float] = field(default_factory=list)
    """For every piece of sound, seconds from the arrival of the frame that its first sample belongs to."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by stage; ``decode`` includes waiting for the camera."""
    failure: UnsilentError | None = None
    """What ended it after speech had begun: the camera went away, or the face."""

    @property
    def latency(self) -> float:
        """The largest of `latencies` but for the first piece, which waits for a face to be found; NaN without."""
        return max(self.latencies[1:], default=float("nan"))


def speak_live(
    synthesizer: Synthesizer,
    frames: Iterable[NDArray[np.uint8]],
    sink: Sink,
    *,
    face: int | None = None,
    voice: NDArray[np.float32] | None = None,
    on_frame: Callable[[], None] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> LiveSpeech:
    """Speak frames as they arrive, to their end or to Ctrl-C; what had not been heard then is left out.

    Args:
        synthesizer: one that `streams`.
        frames: RGB (H, W, 3) at its frame rate.
        sink: gets the speech piece by piece.
        face: as `Synthesizer.stream`.
        voice: what `Synthesizer.voice_of` gave.
        on_frame: called after every frame that the tracker has seen.
        now: the clock.

    Raises:
        CheckpointError, MediaError, FaceError: as `Synthesizer.stream`, before any speech; later ones are the result's
            ``failure``, and what came before has gone into the sink.
    """
    done, arrivals = LiveSpeech(), list[float]()

    def noted() -> Iterator[NDArray[np.uint8]]:
        for frame in frames:
            arrivals.append(now())
            yield frame

    stream = synthesizer.stream(noted(), face=face, voice=voice, on_frame=on_frame)
    made = 0
    try:
        for piece in stream:
            sink(piece)
            frame = min(made // synthesizer.mel_config.samples_per_frame, len(arrivals) - 1)
            done.latencies.append(now() - arrivals[frame])
            made += len(piece)
    except KeyboardInterrupt:
        pass
    except UnsilentError as error:
        if not made:
            raise
        done.failure = error
    done.frames, done.seconds, done.timings = len(arrivals), made / synthesizer.sample_rate, dict(stream.timings)
    return done


@contextmanager
def wave_file(path: Path, sample_rate: int) -> Iterator[Sink]:
    """A WAV file, 16 bit, that is whole or not there; tagged as synthetic.

    Raises:
        OutputError: it cannot be written.
    """
    with (
        atomic_path(path) as temporary,
        soundfile.SoundFile(str(temporary), "w", sample_rate, 1, "PCM_16", format="WAV") as sound,
    ):
        sound.comment = SYNTHETIC_TAG
        yield sound.write


def pcm_stream(pipe: BinaryIO, sample_rate: int) -> Sink:
    """WAV into a pipe, 16 bit, of a length that is not known yet; tagged as synthetic."""
    text = SYNTHETIC_TAG.encode() + b"\0"
    comment = b"ICMT" + struct.pack("<I", len(text)) + text + b"\0" * (len(text) % 2)
    about = b"LIST" + struct.pack("<I", 4 + len(comment)) + b"INFO" + comment
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    unknown = b"\xff\xff\xff\xff"
    pipe.write(b"RIFF" + unknown + b"WAVE" + form + about + b"data" + unknown)

    def write(samples: Samples) -> None:
        pipe.write((samples.clip(-1, 1) * 32_767).round().astype("<i2").tobytes())
        pipe.flush()

    return write
