from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.media_files import click

from unsilent.cli import main
from unsilent.media import read_audio, write_audio


def test_sound_goes_through_the_mel_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_audio("a.wav", np.tile(click(0.5, 0.25, 24_000), 3), 24_000)
    assert main(["vocode", "a.wav", "--json", "a.json", "-q"]) == 0
    made = read_audio(tmp_path / "a.vocoded.wav", 24_000)
    assert len(made) == 36_000
    energy = (made**2).reshape(15, -1).sum(1)  # pieces of 0.1 s; the bursts are in the middle of 2, 7 and 12
    assert energy[[2, 7, 12]].sum() > 0.9 * energy.sum()
    assert json.loads((tmp_path / "a.json").read_text())["seconds"] == pytest.approx(1.5)


def test_a_file_without_sound_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wav").write_text("no")
    assert main(["vocode", str(tmp_path / "a.wav")]) == 2
    assert "a.wav" in capsys.readouterr().err
