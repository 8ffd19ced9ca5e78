from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.media_files import make_video

from unsilent.errors import MediaError
from unsilent.media import probe, read_audio, read_video
from unsilent.synthesis import Speech
from unsilent.synthesis.silence import drop_sound


def test_length_in_seconds() -> None:
    speech = Speech(np.zeros(12_000, np.float32), 24_000, np.zeros((80, 50), np.float32))
    assert speech.seconds == 0.5


def test_sound_is_dropped_and_the_picture_kept(tmp_path: Path) -> None:
    loud = make_video(tmp_path / "loud.mp4", frames=25, sound=np.full(48_000, 0.5, np.float32))
    assert probe(loud).has_audio
    silent = drop_sound(loud, tmp_path / "silent.mp4")
    assert not probe(silent).has_audio
    assert all(np.array_equal(a, b) for a, b in zip(read_video(loud), read_video(silent), strict=True))
    with pytest.raises(MediaError):
        read_audio(silent)


def test_a_file_that_is_no_video_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        drop_sound(tmp_path / "text.mp4", tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]
