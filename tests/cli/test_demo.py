from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.skips import needs_synthesiser

from unsilent.cli import main
from unsilent.media import probe, read_audio


def _check(folder: Path, report: Path) -> None:
    assert not probe(folder / "silent.mp4").has_audio
    assert read_audio(folder / "spoken.mp4", 24_000).std() > 1e-3
    found = json.loads(report.read_text())
    assert found["text"].split()[0] in ("bin", "lay", "place", "set")
    assert all(Path(file).stat().st_size > 1000 for file in found["files"].values())


def test_a_talker_is_drawn_and_spoken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_synthesiser()
    arguments = ["demo", "--unseen", "--number", "1", "-o", str(tmp_path / "out")]
    assert main([*arguments, "--json", str(tmp_path / "demo.json")]) == 0
    _check(tmp_path / "out", tmp_path / "demo.json")
    said = capsys.readouterr().out
    assert "Synthetic" in said
    assert "index.html" in said


def test_a_real_clip_loses_its_sound_and_gets_it_back(shared_data: Path, tmp_path: Path) -> None:
    arguments = ["demo", "--grid", str(shared_data / "grid"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--json", str(tmp_path / "demo.json")]) == 0
    _check(tmp_path / "out", tmp_path / "demo.json")


def test_without_grid_the_remedy_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--grid", str(tmp_path / "nowhere")]) == 2
    assert "unsilent fetch grid" in capsys.readouterr().err
