"""Transcripts of LRS2 and LRS3."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.corpora.lrs import read_transcript
from unsilent.errors import CorpusError

PRETRAIN = """\
Text:  IT'S {NS} SO GOOD
Conf:  4

WORD START END ASDSCORE
IT'S 0.00 0.21 9.1
{NS} 0.21 0.30 1.0
SO 0.30 0.42 10.2
GOOD 0.41 0.80 -2.5
"""
LRS3 = """\
Text:  SO GOOD
Conf:  3
Ref:   00j9bKdiOjk

FRAME \tX \tY \tW \tH
000000 \t0.392 \t0.238 \t0.150 \t0.267
000001 \t0.392 \t0.238 \t0.150 \t0.267

WORD START END ASDSCORE
SO 0.3 0.42 10.2
GOOD 0.42 0.8 7.5
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_text_and_words(tmp_path: Path) -> None:
    text, words = read_transcript(write(tmp_path / "a.txt", PRETRAIN))
    assert text == "it's so good"
    assert [(w.word, w.start, w.end) for w in words] == [("it's", 0, 0.21), ("so", 0.3, 0.42), ("good", 0.41, 0.8)]


def test_table_of_faces_is_passed_over(tmp_path: Path) -> None:
    text, words = read_transcript(write(tmp_path / "a.txt", LRS3))
    assert (text, [w.word for w in words]) == ("so good", ["so", "good"])
    text, words = read_transcript(write(tmp_path / "a.txt", LRS3.split("WORD")[0]))
    assert (text, words) == ("so good", ())


def test_text_alone(tmp_path: Path) -> None:
    assert read_transcript(write(tmp_path / "a.txt", "\ufeffText:  WHEN YOU'RE\nConf:  5\n")) == ("when you're", ())
    assert read_transcript(write(tmp_path / "a.txt", "Text:\n")) == (None, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no line `Text: ...`; unpack it again"),
        ("Conf: 4\n", "has no line `Text"),
        ("Text: A\nWORD START END\nA 0.1\n", r":3: is not `word start end`"),
        ("Text: A\nWORD START END\nA nought one 2\n", r":3: is not `word start end`"),
        ("Text: A\nWORD START END\nA 0.5 0.4 2\n", r":3: the times run backwards"),
        ("Text: A B\nWORD START END\nA 0.1 0.4 2\n\nB 0.2 0.5 2\n", r":5: the times run backwards"),
        ("Text: A\nWORD START END\nA 0.5 nan 2\n", r":3: the times run backwards"),
        ("Text: A\nWORD START END\nA -0.5 0.1 2\n", r":3: the times run backwards"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        read_transcript(write(tmp_path / "a.txt", text))


def test_no_transcript(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot be read as a transcript"):
        read_transcript(tmp_path / "a.txt")


@given(st.text(max_size=150), st.text(max_size=150))
def test_any_transcript_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, before: str, table: str) -> None:
    path = tmp_path_factory.getbasetemp() / "transcript.txt"
    path.write_text(f"{before}\nText: HELLO\nWORD START END ASDSCORE\n{table}", encoding="utf-8")
    try:
        text, words = read_transcript(path)
    except CorpusError:
        return
    assert text is None or text == " ".join(text.split())
    assert all(-0.011 <= word.start <= word.end for word in words)
