"""Work for processes of a cluster, which import it: what a clip's file holds decides what happens."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from pathlib import Path

import numpy as np

from unsilent.corpora import Clip
from unsilent.prepare import Dropped, Row
from unsilent.shards import encode_audio, encode_crops


def clips_of(folder: Path, contents: list[str]) -> list[Clip]:
    """A clip for each content, in files of ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number, content in enumerate(contents):
        path = folder / f"c{number:02d}.txt"
        path.write_text(content)
        clips.append(Clip(path.stem, "test", "s1", path, None, (), "train"))
    return clips


def ran(folder: Path) -> dict[str, list[str]]:
    """By clip, the machine of the cluster on which each of its attempts began."""
    found: dict[str, list[str]] = {}
    for path in folder.glob("*.began"):
        found.setdefault(path.name.split("-")[0], []).append(path.read_text())
    return found


def row_of(clip: Clip) -> Row | Dropped:
    """A row; ``once`` ends the process at the first attempt, ``always`` at every one, ``defect`` raises."""
    ray = sys.modules.get("ray")
    node = ray.get_runtime_context().get_node_id() if ray is not None and ray.is_initialized() else "here"
    attempts = list(clip.path.parent.glob(f"{clip.id}-*.began"))
    (clip.path.parent / f"{clip.id}-{uuid.uuid4().hex}.began").write_text(node)
    content = clip.path.read_text()
    if content == "always" or (content == "once" and not attempts):
        os.kill(os.getpid(), signal.SIGKILL)
    if content == "defect":
        raise ArithmeticError("a defect\nin two lines")
    if content == "drop":
        return Dropped(clip.id, "no face", f"{clip.path}: no face")
    return {
        "id": clip.id,
        "corpus": clip.corpus,
        "speaker": clip.speaker,
        "split": clip.split,
        "text": None,
        "words": [{"word": content, "start": 0.0, "end": 0.04}],
        "fps": 25.0,
        "frames": 1,
        "crops": encode_crops(np.full((1, 96, 96), len(content), np.uint8)),
        "audio": {"bytes": encode_audio(np.zeros(960, np.float32), 24_000), "path": f"{clip.id}.flac"},
        "sample_rate": 24_000,
        "samples": 960,
        "valid": [True],
        "aperture": [0.1],
        "source_sha256": "0" * 64,
    }
