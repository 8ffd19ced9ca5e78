"""Files at URLs, in fsspec's store in memory and in one that renames: whole, described, and within their folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unsilent.errors import OutputError, UnsilentError
from unsilent.files import RemoteTree, Staging, fetched, is_url, kept, list_files, local_copy, put, url_of, written

fsspec = pytest.importorskip("fsspec", reason="needs fsspec")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty folder in memory; the cache is a folder of the test."""
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    yield "memory://bucket/data"
    memory.rm("/bucket", recursive=True) if memory.exists("/bucket") else None


def fill(url: str, **contents: str) -> None:
    files = fsspec.filesystem("memory")
    for name, content in contents.items():
        files.pipe_file(f"/bucket/data/{name.replace('__', '/').replace('_', '.')}", content.encode())


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("s3://bucket/a b/c", "s3://bucket/a b/c"),
        ("s3://bucket/a/", "s3://bucket/a"),
        (Path("s3://bucket/a"), "s3://bucket/a"),
        (Path("memory://x"), "memory://x"),
        ("hf:org/name", None),
        ("hf://datasets/org/name", "hf://datasets/org/name"),
        ("lhotse:/folder/cuts.jsonl", None),
        ("C:/videos", None),
        (Path("C:/videos"), None),
        ("/a/b", None),
        ("a.mp4", None),
        (Path("folder/s3:/x"), None),
    ],
)
def test_what_is_a_url(place: str | Path, url: str | None) -> None:
    assert url_of(place) == url
    assert is_url(place) == (url is not None)


def test_what_is_put_can_be_listed_and_fetched(store: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    put(tmp_path / "x", f"{store}/sub/a.txt")
    put(tmp_path / "x", f"{store}/b.txt")
    put(tmp_path / "x", "memory://bucket/data-of-others/c.txt")
    assert [file.url for file in list_files(store)] == [f"{store}/b.txt", f"{store}/sub/a.txt"]
    assert [file.url for file in list_files(store, below=False)] == [f"{store}/b.txt"]
    assert list_files(f"{store}/nowhere") == []
    with fetched(f"{store}/sub/a.txt") as path:
        assert (path.name, path.read_text()) == ("a.txt", "hello")
    assert not path.exists()
    with local_copy(tmp_path / "x") as path:
        assert path == tmp_path / "x"


def test_names_that_lead_out_of_the_folder_are_left_out(store: str) -> None:
    fill(store, fine="x")
    fsspec.filesystem("memory").store["/bucket/data/../../evil"] = fsspec.filesystem("memory").store[
        "/bucket/data/fine"
    ]
    assert [file.url for file in list_files(store)] == [f"{store}/fine"]


def test_what_is_written_appears_when_it_is_complete(store: str) -> None:
    def fails() -> None:
        with written(f"{store}/a.txt") as path:
            path.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert list_files(store) == []
    with written(f"{store}/a.txt") as path:
        path.write_text("whole")
    with fetched(f"{store}/a.txt") as path:
        assert path.read_text() == "whole"


def test_a_store_that_shows_half_a_file_gets_another_name_first(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    put(tmp_path / "x", f"file://{tmp_path}/there/a.txt")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["a.txt"]


def test_mistakes_are_one_line_that_names_the_url(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsilentError, match=rf"{store}/a: does not exist; check"), fetched(f"{store}/a"):
        pass
    with pytest.raises(UnsilentError, match="holds no file"):
        RemoteTree.open(store, lambda name: True)
    with pytest.raises(UnsilentError, match=r"nonsense://x/y: needs a package \(Protocol not known"):
        list_files("nonsense://x/y")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=f"file://{tmp_path}/file/a: cannot be written"):
        put(tmp_path / "file", f"file://{tmp_path}/file/a")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UnsilentError, match=r"pip install 'unsilent\[cluster\]'"):
        list_files("s3://x/y")


def test_a_file_is_kept_until_it_changes(store: str) -> None:
    fill(store, a_txt="one")
    (file,) = list_files(store)
    path = kept(file)
    written_at = path.stat().st_mtime_ns
    assert kept(file) == path
    assert (path.read_text(), path.stat().st_mtime_ns) == ("one", written_at)
    fill(store, a_txt="two!")
    (file,) = list_files(store)
    assert kept(file).read_text() == "two!"


def test_a_tree_has_holes_of_the_right_size_and_time(store: str) -> None:
    fill(store, s1__a_mp4="v" * 5_000_000, s1__a_txt="said")
    tree = RemoteTree.open(store, lambda name: name.endswith(".mp4"))
    assert tree.folder.name == "data"
    hole, text = tree.folder / "s1/a.mp4", tree.folder / "s1/a.txt"
    assert text.read_text() == "said"
    there = {file.url: file for file in list_files(store)}
    assert (hole.stat().st_size, hole.stat().st_mtime_ns) == (5_000_000, there[f"{store}/s1/a.mp4"].modified_ns)
    if hasattr(os.stat_result, "st_blocks"):
        assert hole.stat().st_blocks * 512 < 100_000
    assert tree.url_of(hole) == f"{store}/s1/a.mp4"
    fsspec.filesystem("memory").rm("/bucket/data/s1/a.txt")
    fill(store, s1__a_mp4="changed")
    RemoteTree.open(store, lambda name: name.endswith(".mp4"))
    assert hole.stat().st_size == 7
    assert not text.exists()


def test_a_staged_folder_is_what_is_at_the_url(store: str) -> None:
    fill(store, big_parquet="p" * 1000, records__a_jsonl="{}")
    staging = Staging(store, lambda name: name.endswith(".parquet"))
    staging.folder.mkdir(parents=True)
    (staging.folder / "left-over").mkdir()
    (staging.folder / ".lock").touch()
    staging.pull(keep=[".lock"])
    names = sorted(path.name for path in staging.folder.iterdir())
    assert names == [".lock", "big.parquet", "records"]
    assert (staging.folder / "big.parquet").read_bytes() == bytes(1000)
    staging.fill(staging.folder / "big.parquet")
    assert (staging.folder / "big.parquet").read_bytes() == b"p" * 1000
    (staging.folder / "new.parquet").write_bytes(b"q" * 10)
    staging.publish(staging.folder / "new.parquet")
    assert (staging.folder / "new.parquet").read_bytes() == bytes(10)
    with fetched(f"{store}/new.parquet") as path:
        assert path.read_bytes() == b"q" * 10
    with pytest.raises(OutputError, match="another run has written it"):
        staging.publish(staging.folder / "new.parquet")
