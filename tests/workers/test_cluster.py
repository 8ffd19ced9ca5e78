"""Ray: two machines give what one gives, byte for byte, whatever dies meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import test_prepare as media
from tests.face.conftest import portrait, talking_video
from tests.workers.nodes import two_nodes
from tests.workers.work import clips_of, ran, row_of

from unsilent.cli import main
from unsilent.prepare import prepare_corpus
from unsilent.shards import ShardReader
from unsilent.workers import open_engine

__all__ = ["portrait", "talking_video"]

pytest.importorskip("ray", reason="needs ray")
pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with two_nodes():
        yield


@pytest.mark.usefixtures("cluster")
def test_a_killed_process_loses_and_repeats_nothing_and_a_poisoned_clip_costs_itself(tmp_path: Path) -> None:
    contents = ["a", "bb", "once", "drop", "ccc", "always", "defect", "dddd"]
    clips = clips_of(tmp_path / "in", contents)
    done: list[int] = []
    report = prepare_corpus(
        clips, tmp_path / "out", engine=open_engine("ray"), prepare=row_of, advance=lambda: done.append(1)
    )
    assert len(done) == len(clips)
    found = [(item.id, item.reason, item.detail) for item in report.dropped]
    assert found == [
        ("c03", "no face", f"{clips[3].path}: no face"),
        ("c05", "crashed", f"{clips[5].path}: the process that read it died"),
        ("c06", "unexpected error", f"{clips[6].path}: ArithmeticError: a defect"),
    ]
    attempts = ran(tmp_path / "in")
    assert len(attempts["c02"]) > 1, "its first process was killed"
    assert len({node for nodes in attempts.values() for node in nodes}) == 2, "both machines work"
    assert ShardReader(tmp_path / "out").ids == ["c00", "c01", "c02", "c04", "c07"]

    calm = clips_of(tmp_path / "calm", ["drop" if content in ("always", "defect") else content for content in contents])
    (tmp_path / "calm/c02-0.began").touch()
    prepare_corpus(calm, tmp_path / "alone", workers=0, prepare=row_of)
    assert (tmp_path / "out/clips-00000.parquet").read_bytes() == (tmp_path / "alone/clips-00000.parquet").read_bytes()

    again = prepare_corpus(clips, tmp_path / "out", engine=open_engine("ray"), prepare=row_of)
    assert (again.written, again.skipped, again.reasons) == (0, 5, report.reasons)


@pytest.mark.usefixtures("cluster")
def test_the_command_gives_the_same_files(tmp_path: Path) -> None:
    for number, seconds in enumerate((0.32, 0.4)):
        media.film(tmp_path / f"in/ann/{number}.mp4", media.portrait(), media.tone(seconds))
    (tmp_path / "in/ann/broken.mp4").write_bytes(b"no video")
    for name, options in {"here": ["--workers", "0"], "there": ["--engine", "ray"]}.items():
        assert main(["prepare", "folder", str(tmp_path / "in"), str(tmp_path / name), "-q", *options]) == 0
    assert len(ShardReader(tmp_path / "there")) == 2
    here, there = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.is_file()}
        for name in ("here", "there")
    )
    assert there == here


@pytest.mark.usefixtures("cluster")
def test_a_folder_of_videos_is_spoken(talking_video: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "c"):
        shutil.copy(talking_video, tmp_path / f"in/{name}.mp4")
    (tmp_path / "in/b.mp4").write_text("no video")
    options = ["--audio-only", "-q"]
    assert main(["speak", str(tmp_path / "in"), "-o", str(tmp_path / "here"), *options]) == 2
    said = ["speak", str(tmp_path / "in"), "-o", str(tmp_path / "there"), "--engine", "ray", *options]
    assert main([*said, "--json", str(tmp_path / "x.json")]) == 2
    report = json.loads((tmp_path / "x.json").read_text())
    assert [Path(clip["video"]).name for clip in report["clips"]] == ["a.mp4", "c.mp4"]
    assert len(report["failed"]) == 1
    assert "b.mp4" in report["failed"][0]
    here, there = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("here", "there"))
    assert there.keys() == {"a.spoken.wav", "c.spoken.wav"}
    assert there == here
