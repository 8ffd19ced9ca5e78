from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from unsilent.errors import OutputError
from unsilent.files import atomic_path, cache_folder, check_place, sha256_file, sweep


def test_writes_file_and_makes_parents(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "out.txt"
    with atomic_path(target) as temporary:
        assert temporary.suffix == ".txt"
        assert not target.exists()
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["out.txt"]


def test_accepts_a_string(tmp_path: Path) -> None:
    with atomic_path(str(tmp_path / "out.txt")) as temporary:
        temporary.write_text("x")
    assert (tmp_path / "out.txt").read_text() == "x"


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")

    def write() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_full_disk_is_an_output_error_that_names_the_target(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"

    def write() -> None:
        with atomic_path(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=r"out\.txt: cannot be written \(No space left on device\)"):
        write()
    assert os.listdir(tmp_path) == []


def _open_and_close(target: Path) -> None:
    with atomic_path(target):
        pass


def test_folder_as_target(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="is a folder; name a file"):
        _open_and_close(tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []
    assert os.listdir(tmp_path) == ["out"]


def test_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        _open_and_close(tmp_path / "file" / "out.txt")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="a superuser may write everywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        _open_and_close(folder / "out.txt")


def test_folder_that_refuses_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OutputError, match=r"out\.txt: cannot be written \(Permission denied\)"):
        _open_and_close(tmp_path / "out.txt")


@pytest.mark.parametrize("name", ["x" * 200 + ".wav", "ünï cødé.wav", "-o.wav", ".hidden"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_bytes(b"1")
    assert os.listdir(tmp_path) == [name]


def test_name_longer_than_the_file_system_takes(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        _open_and_close(tmp_path / ("x" * 300 + ".wav"))
    assert os.listdir(tmp_path) == []


def test_temporary_file_that_was_taken_away(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"

    def write() -> None:
        with atomic_path(target) as temporary:
            temporary.unlink()

    with pytest.raises(OutputError):
        write()
    assert not target.exists()


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abc" * 100_000)
    assert sha256_file(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


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


def test_the_cache_is_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path))
    assert cache_folder("crops") == tmp_path / "crops"


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "step-00000001").mkdir()
    (tmp_path / ".step-00000002.abcd.partial").mkdir()
    (tmp_path / ".step-00000002.abcd.partial" / "modules.safetensors").write_text("half")
    (tmp_path / ".model.abcd.partial.safetensors").write_text("half")
    (tmp_path / ".mine").write_text("kept")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "step-00000001"]
    sweep(tmp_path / "never made")
