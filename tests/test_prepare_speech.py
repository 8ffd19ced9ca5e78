"""Preparing speech: what comes out, what is dropped and why, and that a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.speech_sounds import RATE, save, silence, speech

from unsilent.cli import main
from unsilent.corpora.speech import Recording, hold_out, open_speech
from unsilent.errors import ShardError
from unsilent.listening import ConditionConfig
from unsilent.prepare_speech import SpeechReport, prepare_speech
from unsilent.shards import SpeechReader


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three good recordings, one of them long, and one of every fault."""
    root = tmp_path_factory.mktemp("data") / "voices"
    good = speech(-0.4, 1.5, -0.4)
    save(root / "anna/good.wav", good)
    (root / "anna/good.txt").write_text("well said")
    save(root / "anna/again.flac", soundfile.read(root / "anna/good.wav", dtype="float32")[0])
    save(root / "anna/copy.wav", good)
    save(root / "ben/long.wav", speech(5.0, -1.5, 5.0, seed=3))
    (root / "ben/long.txt").write_text("long words")
    save(root / "ben/low.wav", speech(-0.4, 1.6, -0.4, seed=5, rate=16_000), 16_000)
    save(root / "bad/silent.wav", np.zeros(RATE * 2, np.float32))
    save(root / "bad/short.wav", speech(0.3))
    save(root / "bad/noisy.wav", speech(-1.0, 2.0, -1.0) + silence(4.0, noise=0.06))
    save(root / "bad/clipped.wav", np.clip(speech(-0.3, 2.0) * 20, -1, 1))
    (root / "bad/text.wav").write_text("this is no sound\n")
    (root / "bad/empty.wav").touch()
    half = save(root / "bad/half.mp3", speech(-0.3, 2.0, -0.3, seed=8))
    half.write_bytes(half.read_bytes()[:600])
    return root


def prepared(root: Path, out: Path, config: ConditionConfig | None = None, **options: Any) -> SpeechReport:
    found = hold_out(list(open_speech(str(root)).recordings()), "none")
    return prepare_speech(found, out, config, **{"workers": 0, **options})


def test_good_recordings_become_rows(voices: Path, tmp_path: Path) -> None:
    report = prepared(voices, tmp_path)
    rows = {row.id: row for row in SpeechReader(tmp_path)}
    assert sorted(rows) == ["voices/anna/again", "voices/ben/long#001", "voices/ben/long#002", "voices/ben/low"]
    assert (report.used, report.pieces) == (3, 4)
    assert report.recordings == 12
    one = rows["voices/anna/again"]
    assert (one.corpus, one.speaker, one.split, one.sample_rate) == ("voices", "anna", "train", 24_000)
    assert one.samples == len(one.audio())
    assert 0.9 < one.samples / 24_000 < 2.0
    assert rows["voices/ben/long#001"].text is None
    assert rows["voices/ben/long#002"].start == pytest.approx(6.5, abs=0.3)
    low = rows["voices/ben/low"]
    assert low.source_rate == 16_000
    assert low.bandwidth == pytest.approx(8_000, abs=400)


def test_bad_recordings_are_counted_with_their_reason(voices: Path, tmp_path: Path) -> None:
    report = prepared(voices, tmp_path)
    reasons = {item.id.removeprefix("voices/"): item.reason for item in report.dropped}
    half = reasons.pop("bad/half")
    assert half in {"unreadable", "too short"}
    assert reasons == {
        "anna/copy": "duplicate",
        "anna/good": "duplicate",
        "bad/silent": "silent",
        "bad/short": "too short",
        "bad/noisy": "noisy",
        "bad/clipped": "clipped",
        "bad/text": "unreadable",
        "bad/empty": "unreadable",
    }
    assert all("\n" not in item.detail and str(voices) in item.detail for item in report.dropped)


def test_second_run_does_nothing(voices: Path, tmp_path: Path) -> None:
    first = prepared(voices, tmp_path)
    again = prepared(voices, tmp_path)
    assert (again.used, again.skipped, again.shards) == (0, first.used, [])
    assert again.reasons == first.reasons


def test_stopped_run_goes_on(voices: Path, tmp_path: Path) -> None:
    found = hold_out(list(open_speech(str(voices)).recordings()), "none")

    def until(count: int) -> Iterator[Recording]:
        yield from found[:count]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_speech(until(len(found) - 1), tmp_path / "out", workers=0, shard_bytes=1)
    assert list((tmp_path / "out").glob("speech-*.parquet"))
    assert not list((tmp_path / "out").glob(".*.partial.parquet"))
    prepare_speech(found, tmp_path / "out", workers=0)
    prepare_speech(found, tmp_path / "whole", workers=0)
    there, here = SpeechReader(tmp_path / "out"), SpeechReader(tmp_path / "whole")
    assert [row.id for row in there] == [row.id for row in here]
    assert [row.audio_flac for row in there] == [row.audio_flac for row in here]


def test_lost_records_are_read_from_the_shards(voices: Path, tmp_path: Path) -> None:
    prepared(voices, tmp_path)
    (tmp_path / "records/speech-00000.jsonl").unlink()
    again = prepared(voices, tmp_path)
    assert again.skipped == 3


@pytest.mark.slow
def test_workers_change_nothing(voices: Path, tmp_path: Path) -> None:
    prepared(voices, tmp_path / "a")
    prepared(voices, tmp_path / "b", workers=2)
    assert (tmp_path / "a/speech-00000.parquet").read_bytes() == (tmp_path / "b/speech-00000.parquet").read_bytes()


def test_other_rules_need_another_folder(voices: Path, tmp_path: Path) -> None:
    prepared(voices, tmp_path)
    with pytest.raises(ShardError, match=r"was prepared with longest 12.0, not 5.0; choose another folder"):
        prepared(voices, tmp_path, ConditionConfig(longest=5.0))


def test_stretch_of_a_file_and_bytes(tmp_path: Path) -> None:
    path = save(tmp_path / "x.wav", speech(-1.0, 1.5, -2.0, 1.5, -1.0, seed=2))
    made = [
        Recording("c/a", "c", "p", path, start=0.5, end=3.0, split="train"),
        Recording("c/b", "c", "p", path, start=4.0, split="train"),
        Recording("c/c", "c", "p", None, data=path.read_bytes(), split="train"),
    ]
    report = prepare_speech(made, tmp_path / "out", workers=0)
    rows = {row.id: row for row in SpeechReader(tmp_path / "out")}
    assert report.used == 3
    assert rows["c/a"].start == pytest.approx(1.0, abs=0.25)
    assert rows["c/b"].start == pytest.approx(4.5, abs=0.25)
    assert rows["c/c"].samples > rows["c/a"].samples + rows["c/b"].samples - 24_000
    assert prepare_speech(made, tmp_path / "out", workers=0).skipped == 3


# --- the command ---------------------------------------------------------------------------------------------------


def test_command(voices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "names.txt").write_text("anna/good\nben/low\n")
    arguments = ["prepare", "speech", str(voices), str(tmp_path / "out"), "--corpus", "mine", "--workers", "0"]
    code = main([*arguments, "--list", str(tmp_path / "names.txt"), "--set", "longest=5", "--json", "-", "-q"])
    result = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (result["recordings"], result["used"], result["pieces"]) == (2, 2, 2)
    assert {row.id for row in SpeechReader(tmp_path / "out")} == {"mine/anna/good", "mine/ben/low"}
    assert json.loads((tmp_path / "out/manifest.json").read_text())["settings"]["longest"] == 5.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hold-out", "half"], "--hold-out half: is none of speaker"),
        (["--set", "longest"], "has no value"),
        (["--set", "longer=3"], "unknown key"),
        (["--list", "no.txt"], "cannot be read as a list"),
    ],
)
def test_mistakes_are_one_line(
    voices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["prepare", "speech", str(voices), str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_corpus_of_silence_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        save(tmp_path / f"still/{number}.wav", np.arange(RATE * 2, dtype=np.float32) * 1e-10 * (number + 1))
    assert main(["prepare", "speech", str(tmp_path / "still"), str(tmp_path / "out"), "--workers", "0"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.endswith("none of 2 recordings could be used (2 silent); give others")
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_one_place_is_not_enough(voices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "speech", str(voices)]) == 2
    assert "names only one place" in capsys.readouterr().err
