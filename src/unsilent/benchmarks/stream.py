"""How late speech is when it is made while video arrives, and what the lateness is made of."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.benchmarks.reference import matrix_peak
from unsilent.face.smoothing import LIVE_LOOK_AHEAD
from unsilent.media import read_video
from unsilent.models.vocoder_stream import AHEAD
from unsilent.synthesis import Synthesizer, load
from unsilent.synthesis.live import LiveSpeech, speak_live

__all__ = ["MODEL", "bench_stream"]

MODEL = "grid-stream"


def bench_stream(video: Path, model: str = MODEL, seconds: float = 12.0) -> dict[str, Any]:
    """Feed a clip's frames at the pace of a camera, over and over, and measure when their sound is there.

    Args:
        video: a clip of someone talking; decoded before the clock starts.
        model: one that streams.
        seconds: how long to feed.

    Returns:
        ``latency``: median, 95th percentile and largest, in seconds from a frame's arrival to the sound that belongs to
        its beginning; ``parts``: what a chunk's first frame waits for; ``busy``: seconds of work a second of video;
        ``matrix_product_gflops``: of a large matrix product in the same run.

    Raises:
        MediaError, FaceError, CheckpointError: clip or model cannot be used.
    """
    voice = load(model)
    frames = list(read_video(video, voice.mel_config.frame_rate))
    count = round(seconds * voice.mel_config.frame_rate)
    # What happens once only (loading, first use) is over before the clock starts.
    for _ in voice.stream(frames):
        pass
    done = speak_live(voice, _paced(frames, count, voice.mel_config.frame_rate), lambda samples: None)
    late = sorted(done.latencies[1:])
    return {
        "video": video.name,
        "model": model,
        "threads": torch.get_num_threads(),
        "seconds": done.seconds,
        "matrix_product_gflops": matrix_peak(),
        "latency": {
            "median": statistics.median(late),
            "p95": late[round(0.95 * (len(late) - 1))],
            "largest": late[-1],
        },
        "parts": _parts(voice, done),
        "busy": sum(spent for name, spent in done.timings.items() if name != "decode") / done.seconds,
        "stages": {name: spent / done.seconds for name, spent in done.timings.items() if name != "decode"},
    }


def _paced(frames: list[NDArray[np.uint8]], count: int, fps: int | float) -> Iterator[NDArray[np.uint8]]:
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begin + number / fps - time.monotonic()))
        yield frames[number % len(frames)]


def _parts(voice: Synthesizer, done: LiveSpeech) -> dict[str, float]:
    """Seconds that the first frame of a chunk waits for, by what it waits for."""
    config, mel, fps = voice.config, voice.mel_config, voice.mel_config.frame_rate
    pieces = max(1, len(done.latencies))
    # The arrival of a chunk's last frame, counted from that of its first.
    return {
        "chunk": (config.temporal.chunk - 1) / fps,
        "stem": config.encoder.stem_frames // 2 / fps,  # type: ignore[union-attr]
        "tracker": LIVE_LOOK_AHEAD / fps,
        "vocoder": AHEAD * mel.hop_length / mel.sample_rate,
        "window": (mel.n_fft - mel.hop_length) // 2 / mel.sample_rate,
        "work": sum(spent for name, spent in done.timings.items() if name != "decode") / pieces,
    }
