from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.face.conftest import portrait, talking_video

from unsilent.cli import main

__all__ = ["portrait", "talking_video"]


def test_the_parts_of_the_delay_are_itemised(talking_video: Path, tmp_path: Path) -> None:
    path = tmp_path / "stream.json"
    assert main(["bench", "stream", str(talking_video), "--seconds", "3", "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    parts, late = result["parts"], result["latency"]
    assert set(parts) == {"chunk", "stem", "tracker", "vocoder", "window", "work"}
    # All but computing is fixed by the recipe: 3 frames, 2 frames, 1 frame, 6 mel frames, half a window.
    fixed = [parts[name] for name in ("chunk", "stem", "tracker", "vocoder", "window")]
    assert fixed == pytest.approx([0.12, 0.08, 0.04, 0.06, 392 / 24_000])
    assert sum(fixed) <= late["median"] <= late["p95"] <= late["largest"]
    assert result["seconds"] == pytest.approx(3.0)
    assert result["matrix_product_gflops"] > 0
    assert set(result["stages"]) == {"face", "model", "vocoder"}


def test_a_model_that_waits_is_refused(talking_video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "stream", str(talking_video), "--model", "grid"]) == 2
    assert "choose a model that streams" in capsys.readouterr().err
