"""How fast clips become shards: stage by stage on one core, and on more cores."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from unsilent.corpora import Clip
from unsilent.face import track_mouth
from unsilent.media import read_audio, read_video
from unsilent.prepare import prepare_clip, prepare_corpus
from unsilent.workers import cores, one_thread_each

__all__ = ["bench_prepare"]

RATE = 24_000


def bench_prepare(
    clips: Sequence[Clip], stride: int = 1, advance: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """Prepare clips into folders that are thrown away, with one process and with one a core.

    Args:
        clips: distinct, of one corpus; at least a few a core.
        stride: as for `unsilent.prepare.prepare_clip`.
        advance: called once a clip and round.

    Returns:
        ``stages``: frames a second of decoding alone (the reference), of tracking and cropping alone, and of reading
        the sound, on one core; ``workers``: clips and frames a second by number of processes; ``scaling``: the most
        processes over one.

    Raises:
        CorpusError, MediaError, OutputError: the clips cannot be used.
    """
    with one_thread_each():
        stages, frames = _stages(clips[: max(4, len(clips) // 8)], stride)
    rounds: dict[str, dict[str, float]] = {}
    for workers in sorted({1, cores()}):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            report = prepare_corpus(
                clips,
                Path(folder) / "shards",
                workers=workers,
                prepare=partial(prepare_clip, stride=stride),
                advance=advance,
            )
            seconds = time.perf_counter() - started
        rounds[str(workers)] = {
            "seconds": seconds,
            "clips_per_second": report.written / seconds,
            "frames_per_second": frames * report.written / seconds,
        }
    first, last = (rounds[key]["clips_per_second"] for key in (min(rounds, key=int), max(rounds, key=int)))
    return {"clips": len(clips), "cores": cores(), "stages": stages, "workers": rounds, "scaling": last / first}


def _stages(clips: Sequence[Clip], stride: int) -> tuple[dict[str, float], float]:
    """Frames a second of each stage, as the median over clips, and frames a clip."""
    decode, face, sound, counts = [], [], [], []
    for clip in clips:
        started = time.perf_counter()
        frames = list(read_video(clip.path))
        decoded = time.perf_counter()
        track_mouth(frames, name=str(clip.path), stride=stride)
        tracked = time.perf_counter()
        read_audio(clip.path, RATE)
        heard = time.perf_counter()
        counts.append(len(frames))
        decode.append(len(frames) / (decoded - started))
        face.append(len(frames) / (tracked - decoded))
        sound.append(len(frames) / (heard - tracked))
    medians = {"decode": decode, "face": face, "sound": sound}
    return {name: statistics.median(values) for name, values in medians.items()}, statistics.mean(counts)
