"""Video files in, spoken files out: names, long clips with flat memory, many files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unsilent.errors import MediaError, OutputError
from unsilent.files import check_place, is_url, list_files, local_copy, url_of, written
from unsilent.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES, mux_speech, probe, write_audio
from unsilent.synthesis.reference import Voice
from unsilent.synthesis.speech import Speech
from unsilent.synthesis.stream import SpeechStream
from unsilent.synthesis.synthesizer import Synthesizer

__all__ = ["Spoken", "find_videos", "output_path", "speak_file"]

LONG_SECONDS = 120.0
"""Clips longer than this are spoken piece by piece into a temporary file, so that memory stays flat."""
SPOKEN = ".spoken"


@dataclass(frozen=True)
class Spoken:
    """What `speak_file` did."""

    video: str
    output: str
    seconds: float
    """Length of the speech."""
    elapsed: float
    """Wall-clock seconds from opening the video to closing the result."""
    frames: int
    interpolated: int
    """Frames without a face, whose mouth was interpolated."""
    confidence: float
    """Mean belief of the face network, 0 to 1."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by stage."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe, with the real-time factor."""
        return {**asdict(self), "rtf": self.elapsed / self.seconds if self.seconds else None}


def find_videos(inputs: Sequence[Path]) -> list[Path]:
    """Files as given, and the videos of folders in order of name, spoken ones left out; URLs likewise.

    Raises:
        MediaError: a folder holds no video.
    """
    found: list[Path] = []
    for path in inputs:
        url = url_of(path)
        if path.suffix.lower() in READ_SUFFIXES if url else not path.is_dir():
            found.append(path)
            continue
        there = [Path(file.url) for file in list_files(url, below=False)] if url else path.iterdir()
        inside = sorted(
            file for file in there
            if file.suffix.lower() in READ_SUFFIXES and not file.stem.endswith(SPOKEN)
        )  # fmt: skip
        if not inside:
            raise MediaError(f"{url or path}: holds no video ({' '.join(sorted(READ_SUFFIXES))}); name another folder")
        found += inside
    return found


READ_SUFFIXES = frozenset(
    {*VIDEO_SUFFIXES, ".mpg", ".mpeg", ".gif", ".3gp", ".flv", ".m2ts", ".mts", ".ogv", ".ts", ".wmv"}
)


def output_path(video: Path, output: Path | None, *, audio_only: bool, many: bool) -> Path:
    """Where the speech of ``video`` goes.

    Args:
        video: the input.
        output: what the user gave: a file, a folder, or nothing (then a file here, named after the video).
        audio_only: sound instead of video.
        many: several videos are spoken, so ``output`` must be a folder.

    Raises:
        OutputError: ``output`` is the input itself, one file for several videos, or at a place where nothing can be
            written.
    """
    suffix = ".wav" if audio_only else video.suffix.lower() if video.suffix.lower() in VIDEO_SUFFIXES else ".mp4"
    name = f"{video.stem}{SPOKEN}{suffix}"
    known = {*VIDEO_SUFFIXES, *AUDIO_SUFFIXES}
    if output is None:
        target = Path(name)
    elif output.is_dir() or (many and output.suffix.lower() not in known) or str(output).endswith("/"):
        target = output / name
    elif many:
        raise OutputError(f"{output}: is one file for several videos; name a folder")
    else:
        target = output
    if target.suffix.lower() not in known:
        raise OutputError(f"{target}: no video or audio format has this suffix; use one of {' '.join(sorted(known))}")
    if audio_only and target.suffix.lower() not in AUDIO_SUFFIXES:
        raise OutputError(f"{target}: is no audio file; with --audio-only use one of {' '.join(AUDIO_SUFFIXES)}")
    if target.exists() and video.exists() and target.samefile(video):
        raise OutputError(f"{target}: is the input itself; name another output")
    if not is_url(target):
        check_place(target)
    return target


def speak_file(
    synthesizer: Synthesizer,
    video: Path,
    output: Path,
    *,
    face: int | None = None,
    voice: str | Path | Voice | None = None,
    on_frame: Callable[[], None] | None = None,
) -> tuple[Spoken, Speech | None]:
    """Speak one video into ``output``, a video or audio file by its suffix. Arguments as `Synthesizer.speak`.

    Either may be a URL: the video is fetched, and the output put there when it is complete.

    Returns:
        What was done, and the speech itself unless the clip is long.

    Raises:
        MediaError, FaceError, OutputError: nothing is written then.
    """
    if is_url(video) or is_url(output):
        with local_copy(video) as here, written(output) as there:
            done, speech = speak_file(synthesizer, here, there, face=face, voice=voice, on_frame=on_frame)
        return replace(done, video=url_of(video) or str(video), output=url_of(output) or str(output)), speech
    started = time.perf_counter()
    info = probe(video)
    if not info.has_video:
        raise MediaError(f"{video}: holds sound but no video; give a video of someone talking")
    if info.duration > LONG_SECONDS:
        stream = synthesizer.stream(video, face=face, voice=voice, on_frame=on_frame)
        return _speak_long(stream, video, output, synthesizer.sample_rate, started), None
    speech = synthesizer.speak(video, face=face, voice=voice, on_frame=on_frame)
    before_mux = time.perf_counter()
    speech.save(output)
    now = time.perf_counter()
    assert speech.mouth is not None
    timings = {**speech.timings, "mux": now - before_mux}
    confidence = float(speech.mouth.confidence[speech.mouth.valid].mean())
    done = Spoken(
        str(video), str(output), speech.seconds, now - started, len(speech.mouth), speech.mouth.interpolated,
        confidence, timings,
    )  # fmt: skip
    return done, speech


def _speak_long(stream: SpeechStream, video: Path, output: Path, sample_rate: int, started: float) -> Spoken:
    """Pieces of speech go to a temporary file of raw samples, which the muxer reads through a memory map."""
    with tempfile.TemporaryDirectory(prefix="unsilent-") as folder:
        raw = Path(folder) / "samples.f32"
        try:
            with open(raw, "wb") as handle:
                for piece in stream.pieces():
                    handle.write(np.ascontiguousarray(piece, dtype=np.float32).tobytes())
        except OSError as error:
            raise OutputError(f"{raw}: cannot be written ({error.strerror}); make room for temporary files") from error
        samples = np.memmap(raw, dtype=np.float32, mode="r")
        before_mux = time.perf_counter()
        if output.suffix.lower() in AUDIO_SUFFIXES:
            write_audio(output, samples, sample_rate)
        else:
            mux_speech(video, samples, sample_rate, output)
        now = time.perf_counter()
        seconds = len(samples) / sample_rate
        del samples  # Windows cannot remove a file that is still mapped
    timings = {**stream.timings, "mux": now - before_mux}
    confidence = stream.confidence / max(1, stream.frames - stream.interpolated)
    return Spoken(
        str(video), str(output), seconds, now - started, stream.frames, stream.interpolated, confidence, timings
    )
