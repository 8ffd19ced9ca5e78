from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.face.conftest import portrait, talking_video
from tests.models.small import CONFIG, VOCODER, reconstructor

from unsilent.cli import main
from unsilent.media import read_audio
from unsilent.models import Vocoder
from unsilent.models.pretrained import save_model

__all__ = ["portrait", "talking_video"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m", reconstructor(), CONFIG, {"name": "small"}, torch.float32)
    save_model(tmp_path / "m" / "vocoder", Vocoder(VOCODER), VOCODER, {}, torch.float32)
    return tmp_path / "m"


def test_a_file_and_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert main(["export", "onnx", str(folder), "one.onnx", "--json", "out.json"]) == 0
    report = json.loads(Path("out.json").read_text())
    assert report["files"]["whole"]["path"] == "one.onnx"
    assert report["files"]["whole"]["bytes"] == Path("one.onnx").stat().st_size
    assert report["opset"] >= 17
    assert report["errors"].keys() == {"mel", "samples"}
    assert max(report["errors"].values()) <= 1e-3
    assert "largest differences from torch" in capsys.readouterr().out
    assert main(["export", "onnx", str(folder), "parts", "-q"]) == 0
    assert sorted(path.name for path in Path("parts").iterdir()) == ["model.onnx", "vocoder.onnx"]


def test_speaking_by_either_engine_is_the_same(folder: Path, talking_video: Path) -> None:
    for engine, model in (("torch", str(folder)), ("onnx", str(folder)), ("again", "one.onnx")):
        if engine == "again":
            assert main(["export", "onnx", str(folder), model, "-q"]) == 0
        given = ["--engine", engine] if engine != "again" else []
        code = main(
            ["speak", str(talking_video), "--model", model, *given, "-o", f"{engine}.wav", "--json", f"{engine}.json"]
        )
        assert code == 0
    assert json.loads(Path("onnx.json").read_text())["engine"] == "onnx"
    assert json.loads(Path("again.json").read_text())["engine"] == "onnx"
    sounds = [read_audio(f"{name}.wav", 24_000) for name in ("torch", "onnx", "again")]
    assert np.abs(sounds[0]).max() > 0.01
    for sound in sounds[1:]:
        np.testing.assert_allclose(sound, sounds[0], atol=1e-3 + 2**-15)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "onnx", "nobody", "x.onnx"], "no such model"),
        (["export", "onnx", "m", "file"], "is a file"),
        (["export", "onnx", "m", "file/x.onnx"], "file"),
        (["speak", "talking.mp4", "--engine", "tensor"], "no such engine"),
        (["speak", "talking.mp4", "--model", "missing.onnx"], "missing.onnx"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, arguments: list[str], says: str, talking_video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("x")
    Path("talking.mp4").write_bytes(talking_video.read_bytes())
    assert main([*arguments, "-q"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    assert says in error
    assert not Path("x.onnx").exists()
