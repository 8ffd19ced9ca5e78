from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unsilent.errors import MediaError, OutputError
from unsilent.media import probe, read_audio
from unsilent.synthesis import files, load
from unsilent.synthesis.files import find_videos, output_path, speak_file


def test_names_of_results() -> None:
    video = Path("in/clip.mp4")
    assert output_path(video, None, audio_only=False, many=False) == Path("clip.spoken.mp4")
    assert output_path(video, None, audio_only=True, many=False) == Path("clip.spoken.wav")
    assert output_path(Path("a.gif"), None, audio_only=False, many=False) == Path("a.spoken.mp4")
    assert output_path(video, Path("x.mkv"), audio_only=False, many=False) == Path("x.mkv")
    assert output_path(video, Path("out"), audio_only=False, many=True) == Path("out/clip.spoken.mp4")


def test_impossible_outputs_are_refused(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    video.touch()
    with pytest.raises(OutputError, match="the input itself"):
        output_path(video, video, audio_only=False, many=False)
    with pytest.raises(OutputError, match="one file for several"):
        output_path(video, Path("x.mp4"), audio_only=False, many=True)
    with pytest.raises(OutputError, match="suffix"):
        output_path(video, Path("x.doc"), audio_only=False, many=False)
    with pytest.raises(OutputError, match="no audio file"):
        output_path(video, Path("x.mp4"), audio_only=True, many=False)


def test_videos_of_a_folder_in_order_without_results(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mkv", "a.spoken.mkv", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_videos([tmp_path, Path("c.mp4")])] == ["a.mkv", "b.mp4", "c.mp4"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="holds no video"):
        find_videos([tmp_path / "empty"])


def test_a_long_video_takes_the_streaming_path_and_says_the_same(
    talking_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = load("grid")
    whole, speech = speak_file(voice, talking_video, tmp_path / "whole.wav")
    assert speech is not None
    monkeypatch.setattr(files, "LONG_SECONDS", 0.5)
    for name in ("long.wav", "long.mp4"):
        done, nothing = speak_file(voice, talking_video, tmp_path / name)
        assert nothing is None
        assert (done.frames, done.seconds, done.interpolated) == (whole.frames, whole.seconds, whole.interpolated)
        assert done.confidence == pytest.approx(whole.confidence, abs=1e-6)
    a, b = (read_audio(tmp_path / name, 24_000) for name in ("whole.wav", "long.wav"))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert probe(tmp_path / "long.mp4").has_audio
