from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.face.conftest import portrait, talking_video

from unsilent.cli import main
from unsilent.media import mux_speech

__all__ = ["portrait", "talking_video"]


def test_every_clip_is_prepared_in_every_round(talking_video: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in "abcd":
        mux_speech(talking_video, np.sin(np.arange(28_800) / 30).astype(np.float32), 24_000, clips / f"{name}.mp4")
    path = tmp_path / "prepare.json"
    assert main(["bench", "prepare", "folder", str(clips), "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert result["clips"] == 4
    assert set(result["stages"]) == {"decode", "face", "sound"}
    assert set(result["workers"]) == {"1", str(result["cores"])}
    for rates in result["workers"].values():
        assert rates["clips_per_second"] == pytest.approx(4 / rates["seconds"])
    # Decoding is a part of the whole.
    assert result["stages"]["decode"] > result["workers"]["1"]["frames_per_second"]


def test_an_empty_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "prepare", "folder", str(tmp_path)]) == 2
    assert "holds no video" in capsys.readouterr().err
