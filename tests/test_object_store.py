"""A real S3-compatible server on this machine: corpora, shards and videos in a bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import test_prepare as media
from tests.face.conftest import portrait, talking_video

from unsilent.cli import main
from unsilent.files import fetched, list_files, put
from unsilent.media import read_audio
from unsilent.shards import ShardReader

pytest.importorskip("s3fs", reason="needs the package 's3fs'")
pytest.importorskip("moto", reason="needs the package 'moto'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of boto and moto
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
__all__ = ["portrait", "talking_video"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """URL of a bucket of a server that listens on the loopback device."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_CA_BUNDLE", raising=False)
        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))


def test_shards_are_made_in_a_bucket_from_a_bucket(bucket: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        path = media.film(tmp_path / f"clips/ann/{name}.mp4", media.portrait(), media.tone(0.32))
        put(path, f"{bucket}/clips/ann/{name}.mp4")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    put(tmp_path / "bad.mp4", f"{bucket}/clips/ann/bad.mp4")
    put(tmp_path / "bad.mp4", f"{bucket}/clips-of-others/x.mp4")
    found = [(file.url, file.size) for file in list_files(f"{bucket}/clips")]
    assert [url.rpartition("/")[2] for url, _ in found] == ["a.mp4", "b.mp4", "bad.mp4"]
    assert found[2][1] == 8

    arguments = ["prepare", "folder", f"{bucket}/clips", f"{bucket}/shards", "--workers", "0", "-q"]
    assert main([*arguments, "--json", str(tmp_path / "x.json")]) == 0
    report = json.loads((tmp_path / "x.json").read_text())
    assert (report["written"], report["dropped"]) == (2, {"unreadable": 1})
    assert main(["prepare", "folder", str(tmp_path / "clips"), str(tmp_path / "out"), "--workers", "0", "-q"]) == 0
    with fetched(f"{bucket}/shards/clips-00000.parquet") as path:
        assert path.read_bytes() == (tmp_path / "out/clips-00000.parquet").read_bytes()
    assert ShardReader(f"{bucket}/shards").ids == ["ann/a", "ann/b"]
    assert main([*arguments, "--json", str(tmp_path / "x.json")]) == 0
    report = json.loads((tmp_path / "x.json").read_text())
    assert (report["written"], report["skipped"]) == (0, 2)


def test_videos_are_spoken_from_a_bucket_into_a_bucket(bucket: str, talking_video: Path, tmp_path: Path) -> None:
    put(talking_video, f"{bucket}/videos/a.mp4")
    put(talking_video, f"{bucket}/videos/old.spoken.mp4")
    arguments = ["speak", f"{bucket}/videos", "-o", f"{bucket}/spoken", "--audio-only", "-q"]
    assert main([*arguments, "--json", str(tmp_path / "x.json")]) == 0
    (clip,) = json.loads((tmp_path / "x.json").read_text())["clips"]
    assert (clip["video"], clip["output"]) == (f"{bucket}/videos/a.mp4", f"{bucket}/spoken/a.spoken.wav")
    with fetched(clip["output"]) as path:
        assert len(read_audio(path, 24_000)) == 28_800


def test_what_is_not_there_is_one_line(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["prepare", "folder", "s3://nowhere/clips", str(tmp_path / "out"), "--workers", "0"],
        ["speak", f"{bucket}/videos/none.mp4", "-o", str(tmp_path / "x.wav"), "--audio-only"],
    ):
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: s3://")
