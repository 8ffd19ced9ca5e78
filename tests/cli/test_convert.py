from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.models.public_vocoders.published import HIFIGAN, hifigan_state

from unsilent.cli import main
from unsilent.models.pretrained import load_vocoder


def test_a_checkpoint_becomes_a_model_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"generator": hifigan_state()}, tmp_path / "g_1")
    (tmp_path / "mine.json").write_text(json.dumps(HIFIGAN))
    arguments = ["convert", "vocoder", str(tmp_path / "g_1"), str(tmp_path / "out"), "--json", "-", "-q"]
    assert main([*arguments, "--settings", str(tmp_path / "mine.json"), "--licence", "MIT", "--name", "small"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kind"] == "vocoder-hifigan"
    assert said["frame_rates"] == [1, 2, 4, 5, 10, 20, 25, 50, 100]
    card = load_vocoder(tmp_path / "out")[2]
    assert (card["name"], card["licence"], card["parameters"]) == ("small", "MIT", said["parameters"])


def test_what_cannot_be_converted_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.pkl").write_bytes(b"no")
    assert main(["convert", "vocoder", str(tmp_path / "x.pkl"), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "x.pkl" in said
    assert said.count("\n") == 1
