from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluation.reports import small_report

from unsilent.cli.compare import compare
from unsilent.errors import EvaluationError


def test_two_systems_of_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps(small_report().as_dict()))
    outputs = {kind: tmp_path / f"c.{kind}" for kind in ("json", "html", "md")}
    compare(
        [f"{scores}:silence", f"{scores}:model"],
        json_to=str(outputs["json"]),
        markdown=outputs["md"],
        html=outputs["html"],
    )
    data = json.loads(outputs["json"].read_text())
    assert [m["system"] for m in data["reports"]] == ["silence", "model"]
    assert data["metrics"]["mel_l1"]["differences"][0]["n"] == 3
    assert data["metrics"]["offset_ms"]["differences"][0]["missing"] == "no clip has it in both"
    assert "Comparison: silence and model" in outputs["html"].read_text("utf-8")
    assert "# silence and model" in outputs["md"].read_text("utf-8")
    printed = capsys.readouterr().out
    assert "4 clips in all of them" in printed
    assert "n=3" in printed


def test_a_mistake_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="cannot be read"):
        compare([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
