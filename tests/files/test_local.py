from __future__ import annotations

import os
from pathlib import Path

import pytest

from unsilent.errors import OutputError
from unsilent.files import atomic_path, cache_folder, check_place


def test_a_place_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    for place in (tmp_path / "clip.mp4" / "out.mp4", tmp_path / "clip.mp4" / "deep" / "out.mp4"):
        with pytest.raises(OutputError, match=r"clip\.mp4 is a file, not a folder; choose another place"):
            check_place(place)


def test_folders_that_are_not_there_yet_are_fine(tmp_path: Path) -> None:
    check_place(tmp_path / "a" / "b" / "out.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_ours_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(OutputError, match="cannot be written to"):
        check_place(tmp_path / "out.wav")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "new" / "out.txt"
    with pytest.raises(KeyError), atomic_path(place) as temporary:
        _ = {temporary.write_text("half"): ""}["stopped"]  # type: ignore[index]
    assert list(place.parent.iterdir()) == []
    with atomic_path(place) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
    assert place.read_text() == "whole"
    assert list(place.parent.iterdir()) == [place]


def test_the_cache_is_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path))
    assert cache_folder("crops") == tmp_path / "crops"
