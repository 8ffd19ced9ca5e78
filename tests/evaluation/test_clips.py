from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import unsilent.face
from unsilent.corpora.base import Clip
from unsilent.errors import EvaluationError, FaceError
from unsilent.evaluation import clips as module
from unsilent.evaluation.clips import load_clips, mouth_crops
from unsilent.files import cache_folder
from unsilent.media import write_audio


class Track:
    crops = np.arange(2 * 96 * 96, dtype=np.uint8).reshape(2, 96, 96)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def track(frames: object, *, name: str) -> Track:
        made.append(name)
        if name.endswith("faceless.wav"):
            raise FaceError(f"{name}: no face")
        return Track()

    monkeypatch.setattr(unsilent.face, "track_mouth", track)
    return made


def _sound(path: Path) -> Path:
    write_audio(path, np.full(24_000, 0.1, np.float32), 24_000)
    return path


def _same(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    return np.array_equal(first, second) and first.dtype == second.dtype


def test_crops_are_tracked_once(tmp_path: Path, calls: list[str]) -> None:
    video, cache = _sound(tmp_path / "a.wav"), tmp_path / "cache"
    first = mouth_crops(video, cache)
    assert _same(mouth_crops(video, cache), first)
    assert len(calls) == 1
    # The same content under another name is the same entry.
    assert _same(mouth_crops(video.rename(tmp_path / "b.wav"), cache), first)
    assert len(calls) == 1


def test_changed_clip_or_tracker_is_tracked_again(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    video, cache = _sound(tmp_path / "a.wav"), tmp_path / "cache"
    mouth_crops(video, cache)
    monkeypatch.setattr(module, "_tracker_digest", lambda: "another")
    mouth_crops(video, cache)
    write_audio(video, np.full(24_000, 0.2, np.float32), 24_000)
    mouth_crops(video, cache)
    assert len(calls) == 3


def test_damaged_entry_is_tracked_again(tmp_path: Path, calls: list[str], caplog: pytest.LogCaptureFixture) -> None:
    video, cache = _sound(tmp_path / "a.wav"), tmp_path / "cache"
    expected = mouth_crops(video, cache)
    (entry,) = cache.glob("*.npz")
    entry.write_bytes(entry.read_bytes()[:100])
    with caplog.at_level(logging.WARNING, "unsilent"):
        assert _same(mouth_crops(video, cache), expected)
    assert "damaged cache entry" in caplog.text
    assert len(calls) == 2


def test_faceless_and_unreadable_clips_are_left_out(tmp_path: Path, calls: list[str]) -> None:
    paths = [_sound(tmp_path / "good.wav"), _sound(tmp_path / "faceless.wav"), tmp_path / "absent.wav"]
    given = [Clip(path.stem, "folder", "x", path, "hello", (), None) for path in paths]
    ticks: list[int] = []
    loaded, left_out = load_clips(given, advance=lambda: ticks.append(1))
    assert [clip.id for clip in loaded] == ["good"]
    assert loaded[0].text == "hello"
    assert loaded[0].real.shape == (24_000,)
    assert set(left_out) == {"faceless", "absent"}
    assert len(ticks) == 3
    with pytest.raises(EvaluationError, match="none of 1 clips can be used"):
        load_clips(given[2:])


def test_nobody_looks_at_the_mouth_where_no_system_needs_it(tmp_path: Path, calls: list[str]) -> None:
    path = _sound(tmp_path / "faceless.wav")
    loaded, _ = load_clips([Clip("a", "folder", "x", path, None, (), None)], crops=False)
    assert loaded[0].crops.shape == (0, 96, 96)
    assert not calls


def test_cache_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path))
    assert cache_folder("crops") == tmp_path / "crops"
    monkeypatch.delenv("UNSILENT_CACHE")
    assert cache_folder("crops").name == "crops"
    assert "unsilent" in cache_folder("crops").parts
