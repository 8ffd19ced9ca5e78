from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.face.conftest import Portrait, portrait, talking_video
from tests.models.small import unsettle
from tests.web.serving import Server

from unsilent.models import ReconstructorConfig, build_reconstructor
from unsilent.models.config import SpeakerConfig
from unsilent.models.pretrained import save_model

__all__ = ["portrait", "talking_video"]


def write_video(frames: list[NDArray[np.uint8]], path: Path) -> Path:
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def two_faces(portrait: Portrait, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two portraits side by side for 2.4 s; the left one's mouth moves."""
    left = portrait.clip(
        60, shift=lambda index: (2 * np.sin(index / 5), 0.0), opening=lambda index: 0.25 + 0.25 * np.sin(index / 2)
    )
    right = portrait.clip(60, shift=lambda index: (2 * np.cos(index / 6), 0.0), opening=lambda index: 0.05)
    frames = [np.hstack(pair) for pair in zip(left.frames, right.frames, strict=True)]
    return write_video(frames, tmp_path_factory.mktemp("two") / "two people.mp4")


@pytest.fixture(scope="session")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of a grey gradient."""
    y, x = np.mgrid[:240, :320]
    frame = np.stack([x / 2, y / 2, 128 + 0 * x], axis=-1).astype(np.uint8)
    return write_video([frame] * 25, tmp_path_factory.mktemp("faceless") / "wall.mp4")


@pytest.fixture(scope="session")
def many_voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that can be told whose voice to speak with."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "many"
    config = ReconstructorConfig(speaker=SpeakerConfig(width=8))
    model = build_reconstructor(config)
    unsettle(model)
    save_model(folder, model, config, {"name": "choir", "limits": "knows nothing and has every voice"})
    return folder


@pytest.fixture(scope="session")
def server(many_voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server for all tests, with small limits; when it ends, nothing of it may be left."""
    pytest.importorskip("gradio", reason="needs the web extra: pip install 'unsilent[web]'")
    limits = ("--max-mb", "2", "--max-seconds", "8", "--queue", "12", "--keep", "4")
    folder = tmp_path_factory.mktemp("server")
    told = folder / "told.json"
    running = Server(folder, "--model", "grid", "--model", str(many_voices), *limits, "--json", str(told))
    assert json.loads(told.read_text())["port"] == running.port
    try:
        yield running
    finally:
        running.end()
    assert list(running.temporary.iterdir()) == []
    log = running.log.read_text()
    assert "Traceback" not in log, log
    assert not running.watch.exists(), running.watch.read_text()
