from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.face.conftest import portrait, talking_video

from unsilent.benchmarks.peer import PEER_VOCODERS
from unsilent.benchmarks.speak import STAGES
from unsilent.cli import main

__all__ = ["portrait", "talking_video"]


def test_stages_add_up(
    talking_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path))
    monkeypatch.setattr("unsilent.benchmarks.speak.COLD", 1)
    path = tmp_path / "bench.json"
    given = ["bench", "speak", str(talking_video), "--repeats", "2", "--engine", "onnx", "--json", str(path)]
    assert main(given) == 0
    result = json.loads(path.read_text())
    for name, engine in (("small", "torch"), ("small, onnx", "onnx"), ("paper-s", "torch")):
        row = result[name]
        assert row["engine"] == engine
        assert row["rtf"] == pytest.approx(row["seconds"] / 1.2)
        assert set(row["stages"]) == set(STAGES)
        assert sum(row["stages"].values()) == pytest.approx(row["seconds"])
        # What no stage is charged for (opening the file, copying arrays) is small, and no part is more than its whole.
        assert 0 <= row["shares"]["rest"] < 0.1
        assert min(row["stages"].values()) >= 0
        # ONNX Runtime runs the network in one piece.
        told = {"encoder", "decoder"} if engine == "torch" else {"model"}
        assert all(row["stages"][stage] > 0 for stage in told | {"decode", "face", "crop", "vocoder", "mux"})
        assert ("cold_seconds" in row) == (name != "paper-s")
    # A process that has yet to load everything takes longer than one that has.
    assert result["small"]["cold_seconds"] > result["small"]["seconds"]
    reference = result["reference"]
    assert reference["matrix_product_gflops"] > 0
    assert 0 < reference["decode_seconds"] < result["small"]["seconds"]
    assert set(reference["peers"]) == set(PEER_VOCODERS)
    for row in reference["peers"].values():
        assert row["stages"]["face"] == 0
        assert sum(row["stages"].values()) == pytest.approx(row["seconds"])
        assert row["shares"]["rest"] < 0.1
    shown = capsys.readouterr().out
    assert "GFLOP/s" in shown
    assert all(f"peer, {name}" in shown for name in PEER_VOCODERS)


def test_a_missing_clip_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "speak", "nowhere.mp4"]) == 2
    assert "nowhere.mp4" in capsys.readouterr().err
