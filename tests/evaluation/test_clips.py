from __future__ import annotations

import logging
import weakref
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import unsilent.face
from unsilent.corpora.base import Clip
from unsilent.errors import EvaluationError, FaceError
from unsilent.evaluation import clips as module
from unsilent.evaluation import evaluate
from unsilent.evaluation.clips import HELD, Mouth, load_clips, read_mouth
from unsilent.files import cache_folder
from unsilent.media import write_audio


class Track:
    crops = np.arange(2 * 96 * 96, dtype=np.uint8).reshape(2, 96, 96)
    aperture = np.array([0.25, 0.5], np.float32)


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
    # Files that differ: entries of the cache are named by content.
    sound = np.random.default_rng(zlib.crc32(path.name.encode())).uniform(-0.5, 0.5, 24_000)
    write_audio(path, sound.astype(np.float32), 24_000)
    return path


def _same(first: Mouth, second: Mouth) -> bool:
    pairs = ((first.crops, second.crops), (first.aperture, second.aperture))
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


def test_crops_are_tracked_once(tmp_path: Path, calls: list[str]) -> None:
    video, cache = _sound(tmp_path / "a.wav"), tmp_path / "cache"
    first = read_mouth(video, cache)
    assert _same(read_mouth(video, cache), first)
    assert len(calls) == 1
    # The same content under another name is the same entry.
    assert _same(read_mouth(video.rename(tmp_path / "b.wav"), cache), first)
    assert len(calls) == 1


def test_changed_clip_or_tracker_is_tracked_again(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    video, cache = _sound(tmp_path / "a.wav"), tmp_path / "cache"
    read_mouth(video, cache)
    monkeypatch.setattr(module, "_tracker_digest", lambda: "another")
    read_mouth(video, cache)
    write_audio(video, np.full(24_000, 0.9, np.float32), 24_000)
    read_mouth(video, cache)
    assert len(calls) == 3


def test_damaged_entry_is_tracked_again(tmp_path: Path, calls: list[str], caplog: pytest.LogCaptureFixture) -> None:
    video, cache = _sound(tmp_path / "a.wav"), tmp_path / "cache"
    expected = read_mouth(video, cache)
    (entry,) = cache.glob("*.npz")
    entry.write_bytes(entry.read_bytes()[:100])
    with caplog.at_level(logging.WARNING, "unsilent"):
        assert _same(read_mouth(video, cache), expected)
    assert "damaged cache entry" in caplog.text
    assert len(calls) == 2


def test_entry_of_an_earlier_version_is_tracked_again(
    tmp_path: Path, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    video, cache = _sound(tmp_path / "a.wav"), tmp_path / "cache"
    expected = read_mouth(video, cache)
    (entry,) = cache.glob("*.npz")
    np.savez_compressed(entry, crops=expected.crops)
    assert _same(read_mouth(video, cache), expected)
    assert len(calls) == 2
    assert not caplog.records


def test_clips_are_not_all_held(tmp_path: Path, calls: list[str]) -> None:
    """Sounds and mouths of a few clips are in memory, however many clips there are."""
    given = [Clip(f"c{i}", "folder", "x", _sound(tmp_path / f"c{i}.wav"), str(i), (), None) for i in range(20)]
    loaded, _ = load_clips(given)
    assert len(calls) == 20
    alive: list[weakref.ref[Any]] = []
    most = 0
    for clip in [*loaded, *loaded]:
        alive += [weakref.ref(clip.real), weakref.ref(clip.crops)]
        most = max(most, sum(ref() is not None for ref in alive))
    assert HELD <= most <= 2 * 2 * HELD
    assert len(calls) == 20, "mouths are read from disk the second time, not tracked"


def test_a_clip_is_read_once_for_the_systems_that_follow_each_other(tmp_path: Path, calls: list[str]) -> None:
    (clip,), _ = load_clips([Clip("a", "folder", "x", _sound(tmp_path / "a.wav"), None, (), None)])
    assert clip.real is clip.real
    assert clip.aperture is not None
    assert clip.aperture.tolist() == [0.25, 0.5]


def test_a_face_is_not_needed_where_only_the_lips_would_be_nice(tmp_path: Path, calls: list[str]) -> None:
    given = [Clip(n, "folder", "x", _sound(tmp_path / f"{n}.wav"), None, (), None) for n in ("good", "faceless")]
    loaded, left_out = load_clips(given, crops=False, lips=True)
    assert not left_out
    assert [clip.aperture is None for clip in loaded] == [False, True]


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


def test_clips_say_whether_they_are_synthetic(tmp_path: Path, calls: list[str]) -> None:
    made, recorded = _sound(tmp_path / "made.wav"), tmp_path / "recorded.wav"
    soundfile.write(recorded, np.random.default_rng(0).uniform(-0.5, 0.5, 24_000), 24_000)
    given = [Clip(path.stem, "folder", "x", path, None, (), None) for path in (made, recorded)]
    loaded, _ = load_clips(given)
    assert [clip.synthetic for clip in loaded] == [True, False]
    report = evaluate({"real": lambda clip: clip.real}, loaded, ["mel_l1"], workers=0)
    assert report.synthetic == 1
    # What counts is the sound that is compared with.
    elsewhere, _ = load_clips(given, sounds={"made": recorded, "recorded": made})
    assert [clip.synthetic for clip in elsewhere] == [False, True]


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
