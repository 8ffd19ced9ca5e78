"""How fast shards of speech stream, and whether memory stays flat while they do."""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import soundfile

from unsilent.benchmarks.reference import matrix_peak
from unsilent.errors import ShardError
from unsilent.shards import ClipSoundReader, SpeechReader, open_speech_shards, shard_files
from unsilent.training.mixture import SAMPLE_RATE, MixtureOrder, SpeechData

__all__ = ["bench_shards", "resident_bytes"]

_MEASUREMENTS: Final = 20
_PLAIN: Final = 0.1
"""Length of the plain loop, as a share of the stream's."""
_WARM: Final = 0.25
"""Share of the time after which memory is first compared: by then every cache is full."""


def resident_bytes() -> int:
    """Resident memory of this process; its highest so far where the system does not tell the present one."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(slots=True)
class _Point:
    seconds: float
    processor_seconds: float
    hours: float
    resident: int


def bench_shards(
    shards: Path,
    *,
    hours: float = 500.0,
    seconds: float = 60.0,
    split: str | None = None,
    segment_frames: int = 50,
    batch_size: int = 16,
    window_groups: int = 16,
    advance: Callable[[float], object] = lambda _: None,
) -> dict[str, Any]:
    """Stream a corpus of ``hours`` through order and decoding, in one process, as training does.

    The corpus is the shards named again and again: what the reader holds, orders and decodes is that of so many
    hours, while the files lie in the system's cache, as they would on a fast disk.

    Args:
        shards: folder of shards, of speech or of clips.
        hours: of speech that the simulated corpus has at least.
        seconds: how long to stream.
        split: split of the shards, or None for everything.
        segment_frames: video frames (1/25 s) of a stretch.
        batch_size: stretches a batch.
        window_groups: row groups that are shuffled together.
        advance: called with the seconds since the last call.

    Returns:
        Size of the corpus, seconds to open it, hours a minute (and a minute of the processor's time, which other
        work on the machine does not change), resident memory when warm and at the end; ``reference``: the rates of a
        plain loop over the same files, whole rows in order, and of a large matrix product.

    Raises:
        ShardError: the shards cannot be used.
    """
    files = shard_files(shards)
    once = open_speech_shards(files, split=split)
    real = float(once.samples.sum()) / SAMPLE_RATE / 3600
    if not real:
        raise ShardError(f"{shards}: holds no speech; prepare some first")
    repeats = max(1, math.ceil(hours / real))
    before, started = resident_bytes(), time.perf_counter()
    rows = open_speech_shards(files * repeats, split=split, cache_groups=window_groups)
    opening = time.perf_counter() - started
    points = _stream(rows, seconds, segment_frames, batch_size, window_groups, advance)
    reference = {"plain_loop": _plain_loop(files, seconds * _PLAIN), "matrix_product_gflops": matrix_peak()}
    corpus = {"shards": shards, "hours": real * repeats, "rows": len(rows), "repeats": repeats, "open_seconds": opening}
    return {**corpus, "resident_before": before, **_summary(points), "reference": reference}


def _plain_loop(files: Sequence[Path], seconds: float) -> dict[str, float]:
    """Rates of reading row groups in order and decoding every sound in full, over and over for some seconds."""
    batches = (
        batch for file in cycle(files) for batch in pq.ParquetFile(file).iter_batches(16, columns=["audio.bytes"])
    )
    samples, took, started, worked = 0, 0.0, time.perf_counter(), time.process_time()
    while took < seconds or not samples:
        for packed in next(batches).column("audio").field("bytes"):
            samples += len(soundfile.read(io.BytesIO(packed.as_py()), dtype="float32")[0])
        took = time.perf_counter() - started
    hours, worked = samples / SAMPLE_RATE / 3600, time.process_time() - worked
    return {"hours_per_minute": 60 * hours / took, "hours_per_processor_minute": 60 * hours / worked}


def _summary(points: list[_Point]) -> dict[str, Any]:
    """Rates over the whole stream, and the memory of its warm part."""
    warm = next(point for point in points if point.seconds >= _WARM * points[-1].seconds)
    last = points[-1]
    return {
        "streamed_hours": last.hours,
        "streamed_seconds": last.seconds,
        "hours_per_minute": 60 * last.hours / last.seconds,
        "hours_per_processor_minute": 60 * last.hours / last.processor_seconds,
        "resident_warm": warm.resident,
        "resident_end": last.resident,
        "resident_growth": max(point.resident for point in points if point.seconds >= warm.seconds) - warm.resident,
        "points": points,
    }


def _stream(
    rows: SpeechReader | ClipSoundReader,
    seconds: float,
    segment_frames: int,
    batch_size: int,
    window_groups: int,
    advance: Callable[[float], object],
) -> list[_Point]:
    data = SpeechData([rows], segment_samples=segment_frames * SAMPLE_RATE // 25, seed=0)
    draws = max(batch_size, len(rows))
    order = MixtureOrder(
        [rows],
        [1.0],
        samples_per_epoch=draws,
        batch_size=batch_size,
        seed=0,
        epochs=1_000_000,
        window_groups=window_groups,
    )
    points: list[_Point] = []
    samples, started, last, worked = 0, time.perf_counter(), 0.0, time.process_time()
    for batch in order:
        samples += sum(data[key].valid_samples for key in batch)
        now = time.perf_counter() - started
        if now >= seconds * (len(points) + 1) / _MEASUREMENTS:
            points.append(_Point(now, time.process_time() - worked, samples / SAMPLE_RATE / 3600, resident_bytes()))
            advance(now - last)
            last = now
        if now >= seconds:
            break
    return points
