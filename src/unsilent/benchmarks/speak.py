"""How long `speak` takes, stage by stage."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from unsilent.benchmarks.peer import PEER_VOCODERS, Peer
from unsilent.benchmarks.reference import matrix_peak
from unsilent.config import load_recipe
from unsilent.marks import timed_parts
from unsilent.media import probe, read_video
from unsilent.models import Vocoder, build_reconstructor
from unsilent.models.config import VocoderConfig
from unsilent.synthesis import Synthesizer, load
from unsilent.synthesis.files import Spoken, speak_file
from unsilent.training.recipe import TrainRecipe

__all__ = ["bench_speak"]

STAGES = ("decode", "face", "crop", "encoder", "decoder", "model", "vocoder", "mux", "rest")
"""``model`` is what of the network is neither encoder (with temporal module) nor decoder: preparing the crops, and the
whole network where an engine does not tell its halves apart. ``rest`` is what no stage is charged for."""
COLD = 3
"""Most runs of the cold command."""


def bench_speak(video: Path, model: str, repeats: int = 7, engine: str = "torch") -> dict[str, Any]:
    """Measure whole `speak` calls, from file to file, face tracking and muxing included.

    Beside them, in turn: a peer's pipeline in plain PyTorch, random weights, with each of `PEER_VOCODERS`; a loop that
    only decodes the video; and the largest rate of a matrix product.

    Args:
        video: a clip; 3 s is what others report.
        model: the shipped model to measure; ``paper-s`` with random weights is measured beside it.
        repeats: warm runs; the median one is reported, so that its stages add up to it.
        engine: ``onnx`` measures the shipped model on ONNX Runtime as well, run by run beside torch.

    Returns:
        By name of the network: ``rtf``; ``seconds`` and ``stages`` of the median warm run; ``first_seconds``; and
        ``cold_seconds``, of the shipped model, from starting `unsilent speak` to its end, the system's file cache warm.

    Raises:
        MediaError, FaceError, CheckpointError: the clip or model cannot be used.
    """
    started = time.perf_counter()
    shipped = load(model)
    loading = time.perf_counter() - started
    recipe = load_recipe("paper-s", TrainRecipe)
    large = Synthesizer(build_reconstructor(recipe.model), recipe.model, Vocoder(VocoderConfig()), {"name": "paper-s"})
    voices = {"small": shipped, "paper-s": large}
    if engine != "torch":
        voices[f"small, {engine}"] = load(model, engine=engine)
    names = {name: "random weights" if voice is large else shipped.name for name, voice in voices.items()}
    peers = {name: Peer(name) for name in PEER_VOCODERS}
    seconds = probe(video).duration
    measured, reference = _measure(voices, peers, video, repeats)
    measured["small"]["load_seconds"] = loading
    for name, voice in voices.items():
        if voice is not large:
            measured[name]["cold_seconds"] = _cold(video, model, voice.engine, min(repeats, COLD))
    return {
        "video": {"file": video.name, "seconds": seconds},
        "threads": torch.get_num_threads(),
        **{name: {"model": names[name], "engine": voices[name].engine, **row} for name, row in measured.items()},
        "reference": {"matrix_product_gflops": matrix_peak(), **reference},
    }


def _measure(
    voices: dict[str, Synthesizer], peers: dict[str, Peer], video: Path, repeats: int
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Figures of each voice and of the references; all take turns, so that what else the machine does falls on all."""
    runs: dict[str, list[tuple[Spoken, dict[str, float]]]] = {name: [] for name in voices}
    others: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
    decoding: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeats + 1):
            for name, voice in voices.items():
                with timed_parts() as parts:
                    done, _ = speak_file(voice, video, Path(folder) / f"spoken{number}.mp4")
                runs[name].append((done, parts))
            for name, peer in peers.items():
                others[name].append(peer.speak(video, Path(folder) / f"peer{number}.wav"))
            decoding.append(_seconds(lambda: sum(1 for _ in read_video(video))))
    figures = {name: _voice_figures(done) for name, done in runs.items()}
    length = runs["small"][0][0].seconds
    reference = {
        name: _peer_figures(done, length) | {"parameters": peers[name].parameters} for name, done in others.items()
    }
    return figures, {"decode_seconds": statistics.median(decoding[1:]), "peers": reference}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _cold(video: Path, model: str, engine: str, repeats: int) -> float:
    """Median seconds of the whole command, in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--output", str(Path(folder) / "spoken.mp4"), "--model", model, "--engine", engine, "--quiet"]
        command = [sys.executable, "-m", "unsilent", "speak", str(video), *options]
        run = partial(subprocess.run, command, check=True, capture_output=True)
        return statistics.median(_seconds(run) for _ in range(repeats))


def _peer_figures(runs: list[dict[str, float]], length: float) -> dict[str, Any]:
    warm = [run["whole"] for run in runs[1:]]
    middle = dict(runs[1 + warm.index(statistics.median_low(warm))])
    return _figures(middle.pop("whole"), middle, length, runs[0]["whole"])


def _voice_figures(runs: list[tuple[Spoken, dict[str, float]]]) -> dict[str, Any]:
    first, *warm = (run.elapsed for run, _ in runs)
    run, parts = runs[1 + warm.index(statistics.median_low(warm))]
    stages = {**run.timings, **parts}
    stages["face"] -= parts["crop"]
    stages["model"] -= parts.get("encoder", 0.0) + parts.get("decoder", 0.0)
    return _figures(run.elapsed, stages, run.seconds, first)


def _figures(whole: float, stages: dict[str, float], length: float, first: float) -> dict[str, Any]:
    """Figures of a run of ``whole`` seconds that made ``length`` seconds of speech; the ``first`` run took so long."""
    told = {"rest": whole - sum(stages.values()), **stages}
    found = {name: told.get(name, 0.0) for name in STAGES}
    return {
        "rtf": whole / length,
        "seconds": whole,
        "first_seconds": first,
        "stages": found,
        "shares": {name: value / whole for name, value in found.items()},
    }
