"""What is measured where no clip is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.face.conftest import portrait, talking_video

from unsilent.benchmarks import drawn
from unsilent.benchmarks.drawn import clip_or_drawn, drawn_corpus
from unsilent.cli import main
from unsilent.demonstration import Example
from unsilent.errors import CorpusError
from unsilent.media import probe

__all__ = ["portrait", "talking_video"]


def test_a_named_clip_is_taken(tmp_path: Path) -> None:
    with clip_or_drawn(tmp_path / "mine.mp4") as (clip, name):
        assert (clip, name) == (tmp_path / "mine.mp4", str(tmp_path / "mine.mp4"))


def test_a_drawn_clip_shows_a_talker_and_goes_away() -> None:
    with clip_or_drawn(None) as (clip, name):
        assert probe(clip).duration > 1
        assert "drawn talker" in name
    assert not clip.exists()


def test_a_corpus_is_drawn() -> None:
    with drawn_corpus(1) as folder:
        assert len(list(folder.rglob("*.mp4"))) == 1
    assert not folder.exists()


@pytest.mark.parametrize("verb", ["speak", "stream", "prepare"])
def test_without_what_draws_it_is_one_line(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*values: object, **named: object) -> Example:
        raise CorpusError("hibari-tts cannot be imported; pip install 'unsilent[talker]'")

    monkeypatch.setattr(drawn, "talker_example", missing)
    monkeypatch.setattr(drawn, "generate_corpus", missing)
    assert main(["bench", verb]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "none can be drawn: hibari-tts" in said[0]
    assert "or name a" in said[0]


def test_a_corpus_needs_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "prepare", "grid"]) == 2
    assert "grid: name the folder of the corpus too" in capsys.readouterr().err


def test_the_command_says_which_clip_it_was(
    talking_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drawn, "talker_example", lambda folder: Example("t1/a", talking_video, "", ""))
    assert main(["bench", "stream", "--seconds", "3", "--json", str(tmp_path / "out.json")]) == 0
    assert "clip: t1/a, a drawn talker" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["video"] == "t1/a, a drawn talker"
