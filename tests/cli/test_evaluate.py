from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.sounds import Echo, clips

import unsilent
from unsilent.cli import main
from unsilent.errors import CheckpointError
from unsilent.evaluation import clips as reading
from unsilent.media import write_audio


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six clips with sound and no picture; their mouths are made up, and the model knows what each of them says."""
    known = clips(6, 0.6)
    for index, clip in enumerate(known):
        path = tmp_path / "corpus" / "anna" / f"clip{index}.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path.with_suffix(".wav"), clip.real, 24_000)
        path.with_suffix(".wav").rename(path)
        path.with_suffix(".txt").write_text(f"{clip.text} {index}")

    def crops(path: Path, cache: Path | None) -> object:
        return np.full((2, 96, 96), int(path.stem[-1]), np.uint8)

    monkeypatch.setattr(reading, "mouth_crops", crops)
    monkeypatch.setattr(unsilent, "load", lambda model: Echo(known), raising=False)
    return tmp_path / "corpus"


def test_report_on_a_folder(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "report.json"
    arguments = ["evaluate", "folder", str(corpus), "--metrics", "mel_l1", "--workers", "0", "--json", str(target)]
    assert main(arguments) == 0
    data = json.loads(target.read_text())
    assert list(data["systems"]) == ["model", "real", "vocoder", "shuffled"]
    assert data["systems"]["model"]["mel_l1"]["mean"] < 0.01
    assert data["systems"]["shuffled"]["mel_l1"]["mean"] > 0.1
    assert data["systems"]["real"]["mel_l1"]["n"] == 6
    assert data["model"] == {"name": "grid"}
    printed = capsys.readouterr().out
    assert "shuffled" in printed
    assert "mel L1" in printed


def test_limit_spreads_and_drops_what_cannot_be_shuffled(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            ["evaluate", "folder", str(corpus), "--limit", "2", "--metrics", "mel_l1", "--workers", "0", "--json", "-"]
        )
        == 0
    )
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert [row["id"] for row in data["clips"]] == ["anna/clip0", "anna/clip3"]
    assert "shuffled" in data["systems"]
    assert main(["evaluate", "folder", str(corpus), "--limit", "1", "--metrics", "mel_l1", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert "shuffled" not in json.loads(captured.out)["systems"]
    assert "`shuffled` is left out" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "mos"], "mos: choose from stoi"),
        (["--systems", "psychic"], "psychic: no such system"),
        (["--systems", "model,shuffled", "--limit", "1"], "cannot be shuffled"),
    ],
)
def test_mistakes_are_one_line(
    corpus: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "folder", str(corpus), "--workers", "0", *arguments]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert message in errors[0]


def test_model_that_is_not_there(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(model: str) -> object:
        raise CheckpointError(f"{model}: no such model")

    monkeypatch.setattr(unsilent, "load", load, raising=False)
    assert main(["evaluate", "folder", str(corpus), "--model", "nothing"]) == 2
    # The real sound needs no model.
    assert main(["evaluate", "folder", str(corpus), "--systems", "real", "--metrics", "mel_l1", "--limit", "1"]) == 0


def test_missing_metrics_are_named_in_print(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in corpus.rglob("*.txt"):
        path.unlink()
    assert (
        main(
            [
                "evaluate",
                "folder",
                str(corpus),
                "--systems",
                "real",
                "--metrics",
                "mel_l1,wer_constrained",
                "--workers",
                "0",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "missing" in printed
    assert "no grammar" in printed


def test_grid_on_real_clips(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = shared_data / "grid"
    arguments = ["--systems", "real", "--metrics", "stoi,mel_l1", "--limit", "3", "--workers", "0", "--json", "-"]
    pytest.importorskip("pystoi")
    assert main(["evaluate", "grid", str(root), *arguments]) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert data["split"] == "s1-test"
    assert data["systems"]["real"]["stoi"]["mean"] == pytest.approx(1)
    assert "Published on GRID" in captured.err


def test_every_metric_has_a_name_to_be_shown_by() -> None:
    from unsilent.cli.evaluate import _HEADS
    from unsilent.evaluation import ALL_METRICS

    assert tuple(_HEADS) == ALL_METRICS
