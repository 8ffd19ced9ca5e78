"""Ray: two machines give what one gives, byte for byte, whatever dies meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import test_prepare as media
from tests.evaluation.sounds import speech, with_noise
from tests.face.conftest import portrait, talking_video
from tests.workers.nodes import two_nodes
from tests.workers.work import clips_of, ran, row_of

from unsilent.cli import main
from unsilent.evaluation.metrics import SAMPLE_RATE
from unsilent.media import write_audio
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


@pytest.mark.usefixtures("cluster")
def test_sounds_are_scored_to_the_same_figures(tmp_path: Path) -> None:
    for number in range(6):
        real = speech(seed=number)
        write_audio(tmp_path / f"real/{number}.wav", real, SAMPLE_RATE)
        write_audio(tmp_path / f"mine/{number}.wav", with_noise(real, 5), SAMPLE_RATE)
    here: dict[str, Any] = {}
    there: dict[str, Any] = {}
    for found, options in ((here, ["--workers", "0"]), (there, ["--engine", "ray"])):
        said = [
            "evaluate",
            "wavs",
            str(tmp_path / "real"),
            str(tmp_path / "mine"),
            "--metrics",
            "estoi,mel_l1,wer_free",
        ]
        assert main([*said, "--no-cache", "-q", "--json", str(tmp_path / "found"), *options]) == 0
        found.update(json.loads((tmp_path / "found").read_text()))
    assert here["systems"]["mine"]["estoi"]["n"] == 6
    for clip, other in zip(here["clips"], there["clips"], strict=True):
        assert (clip["id"], clip["sound"]) == (other["id"], other["sound"])
        mine, others = clip["systems"]["mine"], other["systems"]["mine"]
        assert mine.keys() == others.keys()
        # Arrays lie elsewhere in the memory of another process: a sum may end on another last bit.
        assert [others[name] for name in ("estoi", "mel_l1")] == pytest.approx(
            [mine["estoi"], mine["mel_l1"]], abs=1e-9
        )
        assert mine["wer_free"] == others["wer_free"]
