"""A disk that is full: one clear line, what was there stays, and the same command goes on once there is room.

The kernel refuses every write beyond a size, as it does on a full disk, to commands that run in a process of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.face.conftest import portrait, talking_video
from tests.speech_sounds import save, speech
from tests.training.small import train_recipe, write_shards

__all__ = ["portrait", "talking_video"]

pytest.importorskip("resource", reason="the platform cannot limit the size of files")

COMMAND = """
import resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from unsilent.cli import main
sys.exit(main(sys.argv[2:]))
"""


def run(limit: int, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The command with room for ``limit`` bytes a file; 0 for as many as it likes."""
    command = [sys.executable, "-c", COMMAND, str(limit), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250, cwd=folder)


def check_refusal(done: subprocess.CompletedProcess[str], named: str) -> None:
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.strip().splitlines() if not line.startswith("resuming ")]
    assert len(lines) == 1, done.stderr
    assert lines[-1].startswith("error: ")
    assert named in lines[-1]
    assert "File too large" in lines[-1]


def test_preparing_speech(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"voices/{number}.wav", speech(-0.4, 2.0, -0.4, seed=number))
    command = ["prepare", "speech", "voices", "out", "--workers", "0", "--hold-out", "none", "-q"]
    check_refusal(run(20_000, command, tmp_path), "out")
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert run(0, command, tmp_path).returncode == 0
    assert list((tmp_path / "out").glob("*.parquet"))


def test_training_keeps_its_checkpoints(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards")
    recipe = tmp_path / "recipe.json"
    recipe.write_text(train_recipe(Path("shards"), run={"checkpoint_minutes": 0}).model_dump_json())
    command = ["train", "recipe.json", "-o", "run", "-q"]
    check_refusal(run(30_000, command, tmp_path), "step-0000000")
    assert not list((tmp_path / "run" / "checkpoints").glob("*.partial"))
    assert run(0, command, tmp_path).returncode == 0
    assert (tmp_path / "run" / "best" / "card.json").is_file()


def test_training_that_cannot_note_its_steps(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards")
    recipe = tmp_path / "recipe.json"
    recipe.write_text(train_recipe(Path("shards"), run={"checkpoint_minutes": 0}).model_dump_json())
    assert run(0, ["train", "recipe.json", "-o", "straight", "-q"], tmp_path).returncode == 0
    # The history is the first file to reach the limit, within its second line.
    room, folder = 5_000_000, tmp_path / "run"
    folder.mkdir()
    line = json.dumps({"step": 0, "time": 0, "group": "train", "loss": 0}) + "\n"
    first = (tmp_path / "straight" / "history.jsonl").read_text().splitlines()[0]
    (folder / "history.jsonl").write_text("\n" * (room - len(line) - len(first) - 50) + line)
    command = ["train", "recipe.json", "-o", "run", "-q"]
    check_refusal(run(room, command, tmp_path), "run/history.jsonl")
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000001"]
    assert not (folder / "history.jsonl").read_text().endswith("\n")
    assert run(0, command, tmp_path).returncode == 0
    steps = [json.loads(text)["step"] for text in (folder / "history.jsonl").read_text().split("\n") if text]
    assert steps == [0, 1, 2, 2, 3, 4, 4]
    last = "checkpoints/step-00000004/modules.safetensors"
    assert (folder / last).read_bytes() == (tmp_path / "straight" / last).read_bytes()


def test_speaking(talking_video: Path, tmp_path: Path) -> None:
    command = ["speak", str(talking_video), "-o", "spoken.mp4", "-q"]
    check_refusal(run(10_000, command, tmp_path), "spoken.mp4")
    assert not list(tmp_path.iterdir())
