from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from unsilent.cli import main


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = pytest.importorskip("skimage.data")
    path = tmp_path_factory.mktemp("inspect") / "talk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 300, "yuv420p"
        for index in range(12):
            picture = np.ascontiguousarray(data.astronaut()[:300, 60 + index : 380 + index])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_inspect(talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet, figures = tmp_path / "sheet.png", tmp_path / "figures.json"
    assert main(["inspect", str(talk), "-o", str(sheet), "--face", "0", "--json", str(figures)]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")
    found = json.loads(figures.read_text())
    assert (found["frames"], found["faces"], found["face"], found["interpolated"]) == (12, 1, 0, 0)
    assert len(found["per_frame"]["aperture"]) == 12
    assert "0 frames" in capsys.readouterr().out


def test_json_on_standard_output(talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(talk), "-o", str(tmp_path / "sheet.png"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 12


def test_a_face_that_is_not_there(talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(talk), "-o", str(tmp_path / "sheet.png"), "--face", "3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no face 3; it shows 1 face" in line
    assert not (tmp_path / "sheet.png").exists()


def test_no_such_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "none.mp4"), "-o", str(tmp_path / "sheet.png")]) == 2
    assert "none.mp4" in capsys.readouterr().err
