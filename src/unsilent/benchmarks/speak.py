"""How long `speak` takes, stage by stage."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from unsilent.config import load_recipe
from unsilent.media import probe
from unsilent.models import Vocoder, build_reconstructor
from unsilent.models.config import VocoderConfig
from unsilent.synthesis import Synthesizer, load
from unsilent.synthesis.files import Spoken, speak_file
from unsilent.training.recipe import TrainRecipe

__all__ = ["bench_speak", "matrix_peak"]

STAGES = ("decode", "face", "model", "vocoder", "mux")


def matrix_peak(size: int = 1536, repeats: int = 5) -> float:
    """Rate of a large float32 matrix product on this machine now, in GFLOP/s (best of ``repeats``)."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e9


def bench_speak(video: Path, model: str, repeats: int = 7, engine: str = "torch") -> dict[str, Any]:
    """Measure whole `speak` calls, from file to file, face tracking and muxing included.

    Args:
        video: a clip; 3 s is what others report.
        model: the shipped model to measure; ``paper-s`` with random weights is measured beside it.
        repeats: warm runs; the median is reported.
        engine: ``onnx`` measures the shipped model on ONNX Runtime as well, run by run beside torch.

    Raises:
        MediaError, FaceError, CheckpointError: the clip or model cannot be used.
    """
    started = time.perf_counter()
    shipped = load(model)
    loading = time.perf_counter() - started
    recipe = load_recipe("paper-s", TrainRecipe)
    large = Synthesizer(build_reconstructor(recipe.model), recipe.model, Vocoder(VocoderConfig()), {"name": "paper-s"})
    voices = {"small": shipped}
    if engine != "torch":
        voices[f"small, {engine}"] = load(model, engine=engine)
    measured = _measure(voices, video, repeats)
    measured["small"]["load_seconds"] = loading
    return {
        "video": {"file": video.name, "seconds": probe(video).duration},
        "threads": torch.get_num_threads(),
        **{name: {"model": shipped.name, "engine": voices[name].engine, **row} for name, row in measured.items()},
        "paper-s": {"model": "random weights", "engine": "torch", **_measure({"": large}, video, repeats)[""]},
        "reference": {"matrix_product_gflops": matrix_peak()},
    }


def _measure(voices: dict[str, Synthesizer], video: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Figures of each voice; they take turns, so that what else the machine does falls on all alike."""
    runs: dict[str, list[Spoken]] = {name: [] for name in voices}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeats + 1):
            for name, voice in voices.items():
                runs[name].append(speak_file(voice, video, Path(folder) / f"spoken{number}.mp4")[0])
    return {name: _figures(done) for name, done in runs.items()}


def _figures(runs: list[Spoken]) -> dict[str, Any]:
    first, warm = runs[0], runs[1:]
    median = statistics.median(run.elapsed for run in warm)
    stages = {name: statistics.median(run.timings.get(name, 0.0) for run in warm) for name in STAGES}
    return {
        "rtf": median / first.seconds,
        "seconds": median,
        "first_seconds": first.elapsed,
        "stages": stages,
        "shares": {name: value / median for name, value in stages.items()},
    }
