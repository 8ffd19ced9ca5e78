from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.web import words

DONE: dict[str, Any] = {
    "seconds": 3.0, "elapsed": 0.6, "frames": 75, "interpolated": 0, "confidence": 0.97, "faces": 1, "face": 0,
    "timings": {"decode": 0.1, "face": 0.2, "model": 0.1, "vocoder": 0.1, "mux": 0.1},
}  # fmt: skip


@given(st.text())
def test_what_others_wrote_is_escaped(text: str) -> None:
    wild = f"<script>alert(1)</script>{text}<img src=x onerror=alert(1)>"
    model = {"limits": wild, "data": [wild], "licence": wild, "measured": {"split": wild, "stoi": {"mean": 0.5}}}
    for html in (words.error(wild), words.ready(wild), words.busy(wild), words.about(model)):
        assert "<script" not in html
        assert "<img" not in html


def test_pictures_of_faces_are_pictures() -> None:
    good = "data:image/jpeg;base64,AAAA"
    styles = words.face_styles([good, "x)}</style><script>"])
    assert styles.count("url(") == 1
    assert "script" not in styles
    assert words.face_styles([]) == ""


@pytest.mark.parametrize(("stage", "least"), [("face", 0), ("model", 25), ("vocoder", 50), ("file", 75)])
def test_progress_moves_on_by_stage(stage: str, least: int) -> None:
    html = words.progress({"stage": stage, "frames": 0, "total": 75})
    assert f'aria-valuenow="{least}"' in html
    assert html.count('aria-current="step"') == 1


def test_progress_counts_frames() -> None:
    assert 'aria-valuenow="12"' in words.progress({"stage": "face", "frames": 37, "total": 75})
    assert "37 of 75 frames" in words.progress({"stage": "face", "frames": 37, "total": 75})
    assert "37 frames" in words.progress({"stage": "face", "frames": 37, "total": None})


def test_a_result_says_that_it_is_synthetic_and_what_is_a_guess() -> None:
    assert "synthetic" in words.result(DONE)
    assert "no face" not in words.result(DONE)
    assert "Face</dt>" not in words.result(DONE)
    assert "4 of 75 frames show no face" in words.result({**DONE, "interpolated": 4})
    assert "1 of 75 frame shows no face" in words.result({**DONE, "interpolated": 1})
    assert "hard to see" in words.result({**DONE, "confidence": 0.5})
    assert "<dd>2 of 3</dd>" in words.result({**DONE, "faces": 3, "face": 1})


def test_an_error_keeps_the_name_of_a_file() -> None:
    assert ">notes.mp4: is no video.<" in words.error("notes.mp4: is no video")
    assert ">Too many videos.<" in words.error("too many videos")
    assert 'role="alert"' in words.error("x")


def test_the_place_in_the_queue() -> None:
    assert "Next in line" in words.waiting(0)
    assert "1 video before yours" in words.waiting(1)
    assert "2 videos before yours" in words.waiting(2)


def test_a_card_that_says_little_is_shown_as_it_is() -> None:
    empty: dict[str, Any] = {"limits": "", "data": [], "licence": "", "measured": {}}
    assert words.about(empty) == '<div class="u-about"></div>'
    scored = {**empty, "measured": {"split": "s1-test", "stoi": {"mean": 0.547}, "estoi": {"mean": None}, "pesq": 3}}
    assert "STOI 0.55 on s1-test" in words.about(scored)
