"""``unsilent speak --live``: from a camera or a pipe to sound, while it happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unsilent.cli.common import console, emit_json, progress
from unsilent.errors import CheckpointError, OutputError

if TYPE_CHECKING:
    from unsilent.synthesis.live import Sink

__all__ = ["LIVE_MODEL", "speak_arriving"]

PIPE = "-"
LIVE_MODEL = "grid-stream"
"""Speaks where no model is named."""


def speak_arriving(
    sources: list[Path], output: Path | None, model: str, face: int | None, voice: Path | None, json_to: str | None
) -> None:
    """Speak one camera or pipe into a WAV file, or into standard output, until it ends or Ctrl-C.

    Raises:
        OutputError: there is more than one source, or the output is no WAV file.
        CheckpointError: the model waits for the end of a clip.
        MediaError, FaceError: the source gives no usable picture; what came before is kept.
    """
    if len(sources) != 1:
        raise OutputError("--live speaks one camera or pipe at a time; name one")
    if output is not None and str(output) != PIPE and output.suffix.lower() != ".wav":
        raise OutputError(f"{output}: live speech is written as WAV; name a .wav file, or - for standard output")
    if str(output) == PIPE and json_to == "-":
        raise OutputError("--json: sound goes to standard output already; name a file")
    from unsilent.media.live import read_live
    from unsilent.synthesis import load
    from unsilent.synthesis.live import speak_live

    synthesizer = load(model)
    if not synthesizer.streams:
        raise CheckpointError(
            f"{model}: waits for the end of a clip and cannot speak live; choose a model that streams, as {LIVE_MODEL}"
        )
    told = synthesizer.voice_of(voice) if voice is not None else None
    frames = read_live(str(sources[0]), synthesizer.mel_config.frame_rate)
    with _sink(output, synthesizer.sample_rate) as sink, progress("Live; Ctrl-C ends it", unit="frames") as task:
        done = speak_live(synthesizer, frames, sink, face=face, voice=told, on_frame=task.advance)
    late = f", at most {1000 * done.latency:.0f} ms late" if len(done.latencies) > 1 else ""
    console.print(f"{done.seconds:.1f} s of speech from {done.frames} frames{late}")
    what = vars(done) | {"failure": str(done.failure) if done.failure else None}
    emit_json({"model": synthesizer.name, "output": output or Path("live.wav"), **what}, json_to)
    if done.failure is not None:
        raise done.failure


@contextmanager
def _sink(output: Path | None, sample_rate: int) -> Iterator[Sink]:
    from unsilent.synthesis.live import pcm_stream, wave_file

    if str(output) == PIPE:
        yield pcm_stream(sys.stdout.buffer, sample_rate)
        return
    with wave_file(output or Path("live.wav"), sample_rate) as sink:
        yield sink
