from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.skips import needs_synthesiser

from unsilent.cli import main
from unsilent.models.pretrained import load_reconstructor


def test_made_prepared_and_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_synthesiser()
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
    assert (scores["corpus"], scores["split"], scores["synthetic"]) == ("talker", "talker-test", True)
    assert scores["systems"]["real"]["mel_l1"] == pytest.approx(scores["systems"]["real"]["mel_l1"] | {"n": 1})
    printed = capsys.readouterr().out
    assert "These clips are synthetic" in printed
    assert "Published on GRID" not in printed


TINY = [
    *(
        "model.encoder.resize=24",
        "model.encoder.crop=16",
        "model.encoder.stem_channels=4",
        "model.encoder.widths=[4,6]",
    ),
    *("model.encoder.out_width=8", 'model.temporal={"width":8,"blocks":1,"heads":2,"hidden":8,"kernel":3}'),
    *('model.decoder={"width":8,"blocks":1}', "data.window=25", "run.batch_size=1", "run.validate_every=1"),
]
"""The recipe `talker` as small as it goes."""


def test_prepared_trained_and_evaluated(tmp_path: Path) -> None:
    needs_synthesiser()
    corpus, shards, run = (str(tmp_path / name) for name in ("corpus", "shards", "run"))
    assert main(["talker", corpus, "--clips", "4", "--speakers", "1", "--seed", "4", "--workers", "0"]) == 0
    assert main(["prepare", "talker", corpus, shards, "--workers", "0"]) == 0
    settings = [*TINY, f"data.shards={shards}", "run.epochs=2"]
    assert main(["train", "talker", "-o", run, *(part for each in settings for part in ("--set", each))]) == 0
    card = json.loads((tmp_path / "run" / "best" / "card.json").read_text())
    assert (card["trained_on"]["split"], card["trained_on"]["clips"]) == ("talker-train", 2)
    weights = load_reconstructor(tmp_path / "run" / "best")[0].state_dict()
    assert all(bool(value.isfinite().all()) for value in weights.values())

    wanted = ["--model", run, "--systems", "model,real", "--metrics", "mel_l1", "--workers", "0"]
    assert main(["evaluate", "talker", corpus, *wanted, "--json", str(tmp_path / "scores.json")]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["split"] == "talker-test"
    assert scores["model"]["card"]["trained_on"] == card["trained_on"]
    error = {system: found["mel_l1"]["mean"] for system, found in scores["systems"].items()}
    assert error["real"] == 0
    assert error["model"] > 0.1  # it has learnt next to nothing, but speaks


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
