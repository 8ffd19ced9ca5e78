"""What a large corpus needs: storage, preparing, training, network and cost. Prints the tables of docs/scale.md.

Measured here: bytes of shards, processor time of preparing and of writing, parameters and floating-point operations.
Estimated: everything about GPUs and prices, by the assumptions that are printed with it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import torch
from torch.utils.flop_counter import FlopCounterMode

from unsilent.benchmarks.drawn import drawn_corpus
from unsilent.config import load_recipe
from unsilent.corpora.registry import open_corpus
from unsilent.models import build_reconstructor
from unsilent.models.config import VideoEncoderConfig
from unsilent.prepare import prepare_clip
from unsilent.shards import ShardReader, ShardWriter, shard_files
from unsilent.training.recipe import TrainRecipe
from unsilent.workers import one_thread_each

RECIPES: Final = ("grid-small", "paper-s", "paper-m", "paper-l")
HOURS: Final = (3_500, 100_000, 1_000_000)
SECONDS: Final = 1.0
"""Length of the clip whose operations are counted; attention grows faster than length, but is a small share."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is not measured here."""

    peak: float = 989e12
    """Operations a second of an H100 in bf16, by its data sheet."""
    utilisation: float = 0.15
    """Share of the peak that training is thought to reach: convolutions of small pictures are far from it."""
    epochs: int = 10
    gpu_hour: float = 3.0
    core_hour: float = 0.04
    gigabyte_month: float = 0.023
    network: float = 10e9 / 8
    """Bytes a second of a machine."""
    gpus: int = 64
    cores: int = 1_000


def bytes_an_hour(folder: Path) -> dict[str, float]:
    """Bytes of an hour of shards of clips: pictures, sound, all with the rest."""
    seconds = pictures = sound = 0.0
    for path in shard_files(folder):
        table = pq.read_table(path, columns=["frames", "fps", "crops", "audio"])
        for row in table.to_pylist():
            seconds += row["frames"] / row["fps"]
            pictures += len(row["crops"])
            sound += len(row["audio"]["bytes"])
    whole = sum(path.stat().st_size for path in shard_files(folder))
    hours = seconds / 3600
    return {"hours": hours, "pictures": pictures / hours, "sound": sound / hours, "all": whole / hours}


def speech_bytes_an_hour(folder: Path) -> dict[str, float]:
    """Bytes of an hour of shards of speech."""
    samples = rate = 0.0
    for path in shard_files(folder):
        table = pq.read_table(path, columns=["samples", "sample_rate"])
        samples += sum(table["samples"].to_pylist())
        rate = table["sample_rate"][0].as_py()
    hours = samples / rate / 3600
    return {"hours": hours, "all": sum(path.stat().st_size for path in shard_files(folder)) / hours}


def preparing(corpus: str, root: Path, number: int) -> float:
    """Processor seconds of a second of video, from a file to a row, on one core; a busy machine changes it little."""
    clips = open_corpus(corpus, root).clips()
    chosen = clips[:: max(1, len(clips) // number)][: number + 1]
    prepare_clip(chosen[0])
    begun, seconds = time.process_time(), 0.0
    for clip in chosen[1:]:
        row = prepare_clip(clip)
        seconds += row["frames"] / row["fps"] if isinstance(row, dict) else 0.0
    return (time.process_time() - begun) / seconds


def writing(folder: Path) -> float:
    """Bytes that one process writes into shards in a second of processor time, as the driver of a cluster does."""
    rows = [_row(clip) for _, clip in zip(range(200), ShardReader(folder), strict=False)]
    with tempfile.TemporaryDirectory() as there:
        begun = time.process_time()
        with ShardWriter(there) as writer:
            writer.write_all(rows)
        return sum(path.stat().st_size for path in Path(there).iterdir()) / (time.process_time() - begun)


def reading(folder: Path) -> float:
    """Processor seconds of unpacking an hour of video with its sound from shards."""
    clips = ShardReader(folder)[:100]
    begun = time.process_time()
    for clip in clips:
        clip.crops()
        clip.audio()
    return (time.process_time() - begun) / sum(clip.frames / clip.fps for clip in clips) * 3600


def _row(clip: Any) -> dict[str, Any]:
    names = ("id", "corpus", "speaker", "split", "text", "fps", "frames", "sample_rate", "samples", "source_sha256")
    return {
        **{name: getattr(clip, name) for name in names},
        "words": [{"word": word.word, "start": word.start, "end": word.end} for word in clip.words],
        "crops": clip.crops_png,
        "audio": {"bytes": clip.audio_flac, "path": None},
        "valid": clip.valid.tolist(),
        "aperture": clip.aperture.tolist(),
    }


def operations(recipe: str) -> tuple[float, float]:
    """Parameters, and operations of training on an hour of video (forward and backward)."""
    config = load_recipe(recipe, TrainRecipe).model
    model = build_reconstructor(config).train()
    assert isinstance(config.encoder, VideoEncoderConfig)
    frames, size = round(SECONDS * 25), config.encoder.crop
    video, mask = torch.rand(1, frames, size, size), torch.ones(1, frames, dtype=torch.bool)
    with FlopCounterMode(display=False) as counter:
        model(video, mask).sum().backward()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, counter.get_total_flops() * 3600 / SECONDS


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    """Print a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=Path("runs/shards/grid"), help="shards of clips")
    parser.add_argument("--speech", type=Path, default=Path("runs/shards/speech"), help="shards of speech")
    parser.add_argument("--corpus", default="grid")
    parser.add_argument("--root", type=Path, help="folder of the corpus; talkers are drawn by default")
    parser.add_argument("--number", type=int, default=20, help="clips to prepare")
    given, assumed = parser.parse_args(), Assumptions()
    torch.set_num_threads(1)
    clips, speech = bytes_an_hour(given.clips), speech_bytes_an_hour(given.speech)
    with one_thread_each(), ExitStack() as stack:
        if given.root is None:
            given.corpus, given.root = "talker", stack.enter_context(drawn_corpus(given.number + 1))
        core = preparing(given.corpus, given.root, given.number)
    write, read = writing(given.clips), reading(given.clips)
    measured = {
        "pictures of an hour of video": f"{clips['pictures'] / 1e6:.0f} MB",
        "sound of an hour of video": f"{clips['sound'] / 1e6:.0f} MB",
        f"shards of an hour of video ({clips['hours']:.2f} h)": f"{clips['all'] / 1e6:.0f} MB",
        f"shards of an hour of speech ({speech['hours']:.2f} h)": f"{speech['all'] / 1e6:.0f} MB",
        f"processor time of preparing an hour of video ({given.corpus})": f"{core:.2f} h",
        "video that a core prepares a day": f"{24 / core:.0f} h",
        "processor time of unpacking an hour of video": f"{read:.1f} s",
        "rows that one process writes into shards": f"{write / 1e6:.0f} MB/s",
    }
    table(["assumed", ""], ([name.replace("_", " "), f"{value:g}"] for name, value in asdict(assumed).items()))
    table(["measured", ""], ([name, value] for name, value in measured.items()))
    counted = {name: operations(name) for name in RECIPES}
    table(
        [
            "recipe",
            "parameters",
            "operations an hour of video",
            "video an hour of GPU",
            "read by a GPU",
            "cores to unpack it",
        ],
        (_recipe(name, *counted[name], clips["all"], read, assumed) for name in RECIPES),
    )
    plans = {hours: _plan(hours, clips["all"], core, write, counted, assumed) for hours in HOURS}
    table(
        ["hours of video", *(f"{hours:,}" for hours in HOURS)],
        ([name, *(plans[hours][name] for hours in HOURS)] for name in plans[HOURS[0]]),
    )


def _recipe(name: str, parameters: float, work: float, size: float, read: float, assumed: Assumptions) -> list[str]:
    rate = assumed.peak * assumed.utilisation / work
    return [
        f"`{name}`",
        f"{parameters / 1e6:.1f} M",
        f"{work / 1e12:.0f} TFLOP",
        f"{rate * 3600:,.0f} h",
        f"{rate * size / 1e6:.0f} MB/s",
        f"{rate * read:.1f}",
    ]


def _plan(
    hours: int,
    size: float,
    core: float,
    write: float,
    counted: dict[str, tuple[float, float]],
    assumed: Assumptions,
) -> dict[str, str]:
    storage, cores = hours * size, hours * core
    plan = {
        "shards": f"{storage / 1e12:.1f} TB, {storage / 256 / 2**20:,.0f} files",
        "a month of storage": f"${storage / 1e9 * assumed.gigabyte_month:,.0f}",
        "preparing, core-days": f"{cores / 24:,.0f}",
        "preparing, cost": f"${cores * assumed.core_hour:,.0f}",
        f"preparing on {assumed.cores:,} cores": _time(cores / assumed.cores),
        "one writer of shards": _time(storage / write / 3600),
        "copying over one machine's network": _time(storage / assumed.network / 3600),
    }
    for name, (_, work) in counted.items():
        days = assumed.epochs * hours * work / (assumed.peak * assumed.utilisation) / 86400
        plan[f"`{name}`, {assumed.epochs} epochs: GPU-days"] = f"{days:,.1f}"
    largest = assumed.epochs * hours * counted["paper-l"][1] / (assumed.peak * assumed.utilisation) / 3600
    plan[f"`paper-l`, {assumed.epochs} epochs: cost"] = f"${largest * assumed.gpu_hour:,.0f}"
    plan[f"`paper-l`, {assumed.epochs} epochs on {assumed.gpus} GPUs"] = _time(largest / assumed.gpus)
    return plan


def _time(hours: float) -> str:
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


if __name__ == "__main__":
    main()
