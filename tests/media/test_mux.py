"""Silent copies; what `mux_speech` writes is tried in ``tests/test_media.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.media_files import make_video, number_of

from unsilent.errors import MediaError, OutputError
from unsilent.media import drop_sound, probe, read_video

TONE = np.sin(np.arange(48_000) * 0.05).astype(np.float32) * 0.3


@pytest.mark.parametrize(
    ("source", "target"),
    [(".mp4", ".mp4"), (".mkv", ".mkv"), (".mov", ".mkv"), (".mkv", ".mp4"), (".webm", ".webm")],
)
def test_the_picture_stays_as_it_is_and_the_sound_is_gone(tmp_path: Path, source: str, target: str) -> None:
    talking = make_video(tmp_path / f"talking{source}", frames=25, sound=TONE)
    silent = tmp_path / f"silent{target}"
    drop_sound(talking, silent)
    assert probe(talking).has_audio
    assert not probe(silent).has_audio
    for before, after in zip(read_video(talking), read_video(silent), strict=True):
        np.testing.assert_array_equal(before, after)
    assert [number_of(frame) for frame in read_video(silent)] == list(range(25))


def test_a_silent_video_stays_silent(tmp_path: Path) -> None:
    drop_sound(make_video(tmp_path / "a.mp4", frames=5), tmp_path / "b.mp4")
    assert len(list(read_video(tmp_path / "b.mp4"))) == 5


def test_what_holds_no_picture_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no picture")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        drop_sound(tmp_path / "text.mp4", tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]


def test_a_codec_that_does_not_fit_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.avi", frames=5)
    (tmp_path / "b.webm").write_bytes(b"before")
    with pytest.raises(MediaError, match=r"a\.avi: its picture cannot be copied into \.webm"):
        drop_sound(source, tmp_path / "b.webm")
    assert (tmp_path / "b.webm").read_bytes() == b"before"
    with pytest.raises(OutputError, match=r"use one of \.avi|no video format"):
        drop_sound(source, tmp_path / "b.flv")
