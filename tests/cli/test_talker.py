from __future__ import annotations

import json
from pathlib import Path

import pytest

from unsilent.cli import main


def test_made_prepared_and_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, shards = tmp_path / "corpus", tmp_path / "shards"
    arguments = ["talker", str(corpus), "--clips", "3", "--speakers", "1", "--seed", "4", "--workers", "0"]
    assert main([*arguments, "--json", str(tmp_path / "made.json")]) == 0
    made = json.loads((tmp_path / "made.json").read_text())
    assert made["synthetic"] is True
    assert made["spec"] == {"seed": 4, "sentences": "grid", "speakers": 1, "unseen": 0}
    assert made["result"]["splits"] == {"talker-train": 1, "talker-val": 1, "talker-test": 1}
    assert "synthetic" in capsys.readouterr().out

    assert main(["prepare", "talker", str(corpus), str(shards), "--workers", "0", "--json", "-"]) == 0
    prepared = json.loads(capsys.readouterr().out)
    assert (prepared["written"], prepared["dropped"]) == (3, {})

    wanted = ["--systems", "real", "--metrics", "stoi,mel_l1", "--workers", "0"]
    assert main(["evaluate", "talker", str(corpus), *wanted, "--json", str(tmp_path / "scores.json")]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["corpus"], scores["split"]) == ("talker", "talker-test")
    assert scores["systems"]["real"]["mel_l1"] == pytest.approx(scores["systems"]["real"]["mel_l1"] | {"n": 1})
    printed = capsys.readouterr().out
    assert "These clips are synthetic" in printed
    assert "Published on GRID" not in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sentences", "verse"], "choose from grid, open"),
        (["--clips", "0"], "--clips"),
        (["--speakers", "0"], "--speakers"),
    ],
)
def test_wrong_options(arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talker", str(tmp_path / "corpus"), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "corpus").exists()
