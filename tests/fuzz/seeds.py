"""Good inputs of every kind that the package reads, small, to be damaged."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tests.media_files import CODECS, click, make_sound, make_video
from tests.models.public_vocoders.published import HIFIGAN, hifigan_state
from tests.models.small import CONFIG, VOCODER, reconstructor
from tests.speech_sounds import save
from tests.training.small import row, train_recipe, vocoder_recipe, write_shards
from tests.training.waves import speech_wave_recipe, video_wave_recipe
from tests.web.serving import Form

from unsilent.config import RECIPES, dump_recipe
from unsilent.models.pretrained import save_model
from unsilent.models.vocoder import Vocoder
from unsilent.shards import ShardWriter, encode_audio
from unsilent.shards.speech import SPEECH
from unsilent.training.checkpoint import Snapshot, write_snapshot

__all__ = ["KINDS", "Seed", "make_seeds"]

SOUNDS = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".ogg": "libopus", ".m4a": "aac"}
ALIGNMENT = "0 14750 sil\n14750 20250 bin\n20250 25000 blue\n25000 28750 at\n28750 34000 f\n34000 42250 two\n42250 51250 now\n51250 74500 sil\n"  # noqa: E501


@dataclass(frozen=True)
class Seed:
    """A good input, a file or a folder, and the name of the entry point that reads it."""

    entry: str
    path: Path


def _media(folder: Path) -> list[Seed]:
    tone = click(0.4, 0.2, 48_000)
    seeds = [
        Seed(
            "media",
            make_video(
                folder / f"clip{suffix}",
                frames=10,
                size=(64, 48),
                sound=None if suffix == ".gif" else tone,
                rotation=90 if suffix in (".mov", ".mp4") else 0,
            ),
        )
        for suffix in CODECS
    ]
    return seeds + [
        Seed("sound", make_sound(folder / f"voice{suffix}", tone, 48_000, codec=codec))
        for suffix, codec in SOUNDS.items()
    ]


def _shards(folder: Path) -> list[Seed]:
    write_shards(folder / "clips", [row(0), row(1, frames=20, split="val"), row(2, text=None)])
    sound = np.asarray(0.1 * np.sin(np.arange(4800) / 20), np.float32)
    with ShardWriter(folder / "speech", layout=SPEECH) as writer:
        for number in range(3):
            writer.write(_speech_row(number, sound))
    return [Seed("clips", folder / "clips"), Seed("speech", folder / "speech"), Seed("foreign", folder / "speech")]


def _speech_row(number: int, sound: Any) -> dict[str, Any]:
    return {
        "id": f"made/r{number}", "corpus": "made", "speaker": f"s{number}", "language": "en", "text": "one two",
        "licence": "CC0", "split": "train", "bandwidth": 8000.0, "ratio": 30.0, "start": 0.0,
        "audio": {"bytes": encode_audio(sound, 24_000), "path": None}, "source_rate": 48_000, "sample_rate": 24_000,
        "samples": len(sound), "source_sha256": "0" * 64,
    }  # fmt: skip


def _recordings(folder: Path) -> list[Seed]:
    """A table, a list and a folder of recordings."""
    for kind in ("table", "list", "plain"):
        for number in range(2):
            save(folder / kind / f"{number}.wav", np.zeros(480, np.float32))
    table = "file\tspeaker\ttext\n0.wav\ta\tone\n1.wav\tb\ttwo\n"
    (folder / "table" / "index.tsv").write_text(table)
    lines = [json.dumps({"file": f"{n}.wav", "speaker": "a", "text": "x"}) for n in range(2)]
    (folder / "list" / "index.jsonl").write_text("\n".join(lines))
    (folder / "plain" / "0.txt").write_text("one two three")
    (folder / "clips" / "anna").mkdir(parents=True)
    (folder / "clips" / "anna" / "hello.mp4").write_bytes(b"x")
    (folder / "clips" / "anna" / "hello.txt").write_text("hello there, anna")
    return [
        Seed("foreign", folder / "table" / "index.tsv"),
        Seed("foreign", folder / "list" / "index.jsonl"),
        Seed("foreign", folder / "plain"),
        Seed("folder", folder / "clips"),
    ]


def _models(folder: Path) -> list[Seed]:
    torch.manual_seed(0)
    save_model(folder / "model", reconstructor(), CONFIG, {"name": "tiny", "metrics": {"score": 1.0}})
    save_model(folder / "vocoder", Vocoder(VOCODER), VOCODER, {"name": "tiny"})
    tensors = {"a.weight": torch.rand(4, 3), "a.count": torch.tensor(3)}
    for step in (1, 2):
        state = {"recipe": {"name": "x", "run": {"seed": 3}}, "best": 0.25}
        write_snapshot(folder / "run", Snapshot(step, tensors, tensors, {"adamw.0.step": torch.ones(1)}, state))
    (folder / "public").mkdir()
    torch.save({"generator": hifigan_state()}, folder / "public" / "generator.pth")
    (folder / "public" / "config.json").write_text(json.dumps(HIFIGAN))
    return [
        Seed("model", folder / "model"),
        Seed("model", folder / "vocoder"),
        Seed("run", folder / "run"),
        Seed("public", folder / "public"),
    ]


def _recipes(folder: Path) -> list[Seed]:
    made = [train_recipe(folder), vocoder_recipe(folder), video_wave_recipe(folder), speech_wave_recipe(folder)]
    seeds = []
    for number, each in enumerate(made):
        path = folder / f"recipe{number}.yaml"
        path.write_text(yaml.safe_dump(dump_recipe(each)))
        seeds.append(Seed("recipe", path))
    for shipped in sorted(path for path in RECIPES.glob("*.yaml") if not path.name.startswith("study")):
        path = folder / shipped.name
        path.write_bytes(shipped.read_bytes())
        seeds.append(Seed("recipe", path))
    return seeds


def _alignments(folder: Path) -> list[Seed]:
    (folder / "one.align").write_text(ALIGNMENT)
    for name in ("s1", "align/s1"):
        (folder / "grid" / name).mkdir(parents=True)
    for clip in ("bbaf2n", "bbaf3s"):
        (folder / "grid" / "s1" / f"{clip}.mpg").write_bytes(b"x")
        (folder / "grid" / "align" / "s1" / f"{clip}.align").write_text(ALIGNMENT)
    return [Seed("align", folder / "one.align"), Seed("grid", folder / "grid")]


def _archives(folder: Path) -> list[Seed]:
    seeds = []
    kinds = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2,
             "lzma": zipfile.ZIP_LZMA}  # fmt: skip
    for name, method in kinds.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w", method) as file:
            for clip in ("bbaf2n", "bbaf3s"):
                file.writestr(f"s1/{clip}.align", ALIGNMENT * 5)
        seeds.append(Seed("archive", folder / f"{name}.zip"))
    return seeds


def _uploads(folder: Path) -> list[Seed]:
    form = Form({"face": "0", "model": "grid"}, {"video": ("a clip.mp4", bytes(range(256)) * 8)}, "b0undary")
    path = folder / "form"
    path.write_bytes(form.kind.encode() + b"\n" + form.body())
    (folder / "plain").write_bytes(b"video/mp4\n" + bytes(range(256)) * 8)
    return [Seed("upload", path), Seed("upload", folder / "plain")]


KINDS: dict[str, Callable[[Path], list[Seed]]] = {
    "media": _media,
    "shards": _shards,
    "recordings": _recordings,
    "models": _models,
    "recipes": _recipes,
    "alignments": _alignments,
    "archives": _archives,
    "uploads": _uploads,
}
"""What makes the good inputs of each kind, in an empty folder."""


def make_seeds(folder: Path) -> dict[str, list[Seed]]:
    """Write good inputs of every kind below ``folder``."""
    seeds = {}
    for kind, make in KINDS.items():
        place = folder / kind
        place.mkdir(parents=True)
        seeds[kind] = make(place)
    return seeds
