"""Corpora and shards at URLs: the same rows, nothing done twice, nothing lost by a kill or a network that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.speech_sounds import save, speech
from tests.test_prepare import film, portrait, tone

from unsilent.cli import main
from unsilent.errors import ShardError, UnsilentError
from unsilent.files import fetched, list_files, put
from unsilent.shards import ShardReader, SpeechReader

fsspec = pytest.importorskip("fsspec", reason="needs fsspec")
ROOT, OUT = "memory://bucket/clips", "memory://bucket/shards"


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))
    store = fsspec.filesystem("memory")
    yield store
    store.rm("/bucket", recursive=True) if store.exists("/bucket") else None


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of two clips and a broken one, which is at ROOT as well."""
    for name in ("a", "b"):
        film(tmp_path / f"clips/ann/{name}.mp4", portrait(), tone(0.32))
    (tmp_path / "clips/ann/a.txt").write_text("hello there")
    (tmp_path / "clips/ann/broken.mp4").write_bytes(b"no video")
    return tmp_path / "clips"


@pytest.fixture
def there(memory: Any, here: Path) -> Path:
    for path in here.rglob("*.*"):
        put(path, f"{ROOT}/{path.relative_to(here).as_posix()}")
    return here


def prepare(root: object, out: object, json_to: Path) -> dict[str, Any]:
    arguments = ["prepare", "folder", str(root), str(out), "--workers", "0", "-q", "--json", str(json_to)]
    assert main(arguments) == 0
    return dict(json.loads(json_to.read_text()))


def names() -> list[str]:
    return [file.url.removeprefix(f"{OUT}/") for file in list_files(OUT)]


def test_from_url_to_url_is_as_from_folder_to_folder(there: Path, memory: Any, tmp_path: Path) -> None:
    local = prepare(there, tmp_path / "out", tmp_path / "local.json")
    remote = prepare(ROOT, OUT, tmp_path / "remote.json")
    assert (remote["root"], remote["out"]) == (ROOT, OUT)
    assert (remote["written"], remote["dropped"]) == (local["written"], local["dropped"]) == (2, {"unreadable": 1})
    assert f"{ROOT}/ann/broken.mp4" in remote["dropped_clips"]["ann/broken"]
    assert remote["shards"] == [f"{OUT}/clips-00000.parquet"]
    assert names() == ["clips-00000.parquet", "manifest.json", "records/clips-00000.jsonl"]
    shard = memory.cat_file("/bucket/shards/clips-00000.parquet")
    assert shard == (tmp_path / "out/clips-00000.parquet").read_bytes()
    clips = ShardReader(OUT)
    assert (clips.ids, clips[0].text) == (["ann/a", "ann/b"], "hello there")
    assert ShardReader(f"{OUT}/clips-00000.parquet").ids == clips.ids

    again = prepare(ROOT, OUT, tmp_path / "again.json")
    assert (again["written"], again["skipped"], again["shards"]) == (0, 2, [])


def test_new_clips_go_into_new_shards(there: Path, memory: Any, tmp_path: Path) -> None:
    prepare(ROOT, OUT, tmp_path / "x.json")
    put(film(tmp_path / "c.mp4", portrait(), tone(0.32)), f"{ROOT}/ann/c.mp4")
    more = prepare(ROOT, OUT, tmp_path / "x.json")
    assert (more["written"], more["skipped"]) == (1, 2)
    assert ShardReader(OUT).ids == ["ann/a", "ann/b", "ann/c"]


def test_a_kill_between_shard_and_record_loses_nothing(there: Path, memory: Any, tmp_path: Path) -> None:
    prepare(ROOT, OUT, tmp_path / "x.json")
    for name in ("records/clips-00000.jsonl", "manifest.json"):
        memory.rm(f"/bucket/shards/{name}")
    again = prepare(ROOT, OUT, tmp_path / "x.json")
    assert (again["written"], again["skipped"]) == (0, 2)


def test_changed_clip_is_refused(there: Path, memory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(ROOT, OUT, tmp_path / "x.json")
    put(film(tmp_path / "a.mp4", portrait(), tone(0.4)), f"{ROOT}/ann/a.mp4")
    assert main(["prepare", "folder", ROOT, OUT, "--workers", "0", "-q"]) == 2
    assert f"has changed since {OUT} was prepared" in capsys.readouterr().err


def test_a_network_that_fails_is_no_fault_of_the_clip(
    there: Path, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(url: str) -> Any:
        if url.endswith("b.mp4"):
            raise UnsilentError(f"{url}: cannot be read (timeout)")
        return fetched(url)

    with monkeypatch.context() as patch:
        patch.setattr("unsilent.prepare.fetched", fails)
        first = prepare(ROOT, OUT, tmp_path / "x.json")
    assert (first["written"], first["dropped"]) == (1, {"unreadable": 1, "not fetched": 1})
    again = prepare(ROOT, OUT, tmp_path / "x.json")
    assert (again["written"], again["skipped"], again["dropped"]) == (1, 1, {"unreadable": 1})


def test_speech_is_prepared_from_a_url(memory: Any, tmp_path: Path) -> None:
    for name, seed in {"one": 1, "two": 2}.items():
        put(save(tmp_path / f"{name}.flac", speech(-0.3, 2.0, -0.3, seed=seed)), f"{ROOT}/ann/{name}.flac")
    put(tmp_path / "one.flac", f"{ROOT}/ann/copy.flac")
    arguments = ["prepare", "speech", ROOT, OUT, "--workers", "0", "-q", "--json", str(tmp_path / "x.json")]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "x.json").read_text())
    assert (report["used"], report["dropped"]) == (2, {"duplicate": 1})
    assert f"{ROOT}/ann/" in next(iter(report["dropped_recordings"].values()))
    assert len(SpeechReader(OUT)) == 2
    assert main(arguments) == 0
    assert json.loads((tmp_path / "x.json").read_text())["skipped"] == 2


def test_no_shards_at_a_url(memory: Any) -> None:
    with pytest.raises(ShardError, match=f"{OUT}: holds no .parquet shard"):
        ShardReader(OUT)
