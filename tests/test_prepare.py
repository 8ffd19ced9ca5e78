"""From clips to shards: rows, reasons, resuming, and the same result for any number of workers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from unsilent.cli import main
from unsilent.corpora import Clip, FolderCorpus, GridCorpus, Word
from unsilent.errors import OutputError, ShardError, UnsilentError
from unsilent.prepare import Dropped, Report, Row, prepare_clip, prepare_corpus
from unsilent.shards import ShardReader, encode_audio, encode_crops


def portrait() -> NDArray[np.uint8]:
    """The photograph of a face that scikit-image ships, (256, 256, 3) RGB."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:256, 96:352])


def tone(seconds: float) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * 48_000)) / 48_000)).astype(np.float32)


def film(path: Path, picture: NDArray[np.uint8] | None, sound: NDArray[np.float32] | None, frames: int = 8) -> Path:
    """Write one picture for ``frames`` frames and 48 kHz sound, either of which may be left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"crf": "12"}) if picture is not None else None
        audio: Any = container.add_stream("libopus", rate=48_000, layout="mono") if sound is not None else None
        if picture is not None:
            video.height, video.width, video.pix_fmt = *picture.shape[:2], "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            for k in range(frames):
                frame.pts, frame.time_base = k, Fraction(1, 25)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if sound is not None:
            for begin in range(0, len(sound), 960):
                block = av.AudioFrame.from_ndarray(sound[None, begin : begin + 960], format="flt", layout="mono")
                block.sample_rate, block.pts, block.time_base = 48_000, begin, Fraction(1, 48_000)
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


def clip_of(path: Path, **changes: Any) -> Clip:
    values: dict[str, Any] = {"id": path.stem, "corpus": "test", "speaker": "s1", "path": path}
    return Clip(**{**values, "text": None, "words": (), "split": "train", **changes})


def fake_row(clip: Clip) -> Row | Dropped:
    """A row without media: what the file holds decides what comes of it."""
    content = clip.path.read_text()
    if content.startswith("drop"):
        return Dropped(clip.id, "no face", f"{clip.path}: no face")
    return {
        "id": clip.id,
        "corpus": clip.corpus,
        "speaker": clip.speaker,
        "split": clip.split,
        "text": content,
        "words": [],
        "fps": 25.0,
        "frames": 1,
        "crops": encode_crops(np.zeros((1, 96, 96), np.uint8)),
        "audio": {"bytes": encode_audio(np.zeros(960, np.float32), 24_000), "path": None},
        "sample_rate": 24_000,
        "samples": 960,
        "valid": [True],
        "aperture": [0.0],
        "source_sha256": hashlib.sha256(content.encode()).hexdigest(),
    }


def texts(folder: Path, contents: Sequence[str]) -> list[Clip]:
    folder.mkdir(exist_ok=True)
    clips = []
    for number, content in enumerate(contents):
        path = folder / f"c{number:02d}"
        path.write_text(content)
        clips.append(clip_of(path))
    return clips


def run(clips: Sequence[Clip], out: Path, **changes: Any) -> Report:
    return prepare_corpus(clips, out, **{"workers": 0, "prepare": fake_row, **changes})


# --- one clip ------------------------------------------------------------------------------------------------------


def test_clip_becomes_a_row(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", portrait(), tone(0.32))
    row = prepare_clip(clip_of(path, text="bin blue", words=(Word("bin", 0.0, 0.1),)))
    assert not isinstance(row, Dropped)
    assert (row["id"], row["text"], row["words"]) == ("a", "bin blue", [{"word": "bin", "start": 0.0, "end": 0.1}])
    assert (row["fps"], row["frames"], row["sample_rate"], row["samples"]) == (25.0, 8, 24_000, 8 * 960)
    assert len(row["valid"]) == len(row["aperture"]) == 8
    assert all(row["valid"])
    assert len(row["source_sha256"]) == 64


def test_sound_beyond_the_picture_is_cut_and_short_sound_stays_short(tmp_path: Path) -> None:
    longer = prepare_clip(clip_of(film(tmp_path / "a.mkv", portrait(), tone(0.5))))
    shorter = prepare_clip(clip_of(film(tmp_path / "b.mkv", portrait(), tone(0.28))))
    assert not isinstance(longer, Dropped)
    assert not isinstance(shorter, Dropped)
    assert (longer["frames"], longer["samples"]) == (8, 8 * 960)
    assert shorter["frames"] == 8
    assert 0.27 * 24_000 <= shorter["samples"] < 8 * 960


@pytest.mark.parametrize(
    ("face", "sound", "reason"),
    [
        (True, None, "no sound"),
        (None, tone(0.32), "no picture"),
        (False, tone(0.32), "no face"),
        (True, np.zeros(15_360, np.float32), "silent"),
        (True, tone(0.06), "sound too short"),
    ],
)
def test_unfit_clip_has_a_reason(
    tmp_path: Path, face: bool | None, sound: NDArray[np.float32] | None, reason: str
) -> None:
    wall = np.full((96, 96, 3), 90, np.uint8)
    path = film(tmp_path / "a.mkv", None if face is None else portrait() if face else wall, sound)
    dropped = prepare_clip(clip_of(path))
    assert isinstance(dropped, Dropped)
    assert (dropped.id, dropped.reason) == ("a", reason)
    assert str(path) in dropped.detail


@pytest.mark.parametrize("data", [None, b"", b"this is no video", b"\x00\x00\x00\x18ftypmp42" + bytes(500)])
def test_corrupt_file_is_unreadable(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "a.mp4"
    if data is not None:
        path.write_bytes(data)
    dropped = prepare_clip(clip_of(path))
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "unreadable"
    assert str(path) in dropped.detail


def test_long_clip_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unsilent.prepare.MAX_SECONDS", 0.1)
    dropped = prepare_clip(clip_of(film(tmp_path / "a.mp4", portrait(), tone(0.32))))
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "too long"


# --- many clips ----------------------------------------------------------------------------------------------------


def test_report_and_manifest(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["one", "drop", "three"])
    steps: list[int] = []
    report = run(clips, tmp_path / "out", advance=lambda: steps.append(1))
    assert (report.clips, report.written, report.skipped, report.reasons) == (3, 2, 0, {"no face": 1})
    assert len(steps) == 3
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert (manifest["schema"], manifest["corpus"], manifest["clips"]) == ("clips-1", "test", 2)
    assert (manifest["splits"], manifest["dropped"]) == ({"train": 2}, {"no face": 1})
    assert manifest["shards"] == ["clips-00000.parquet"]
    assert ShardReader(tmp_path / "out").ids == ["c00", "c02"]


def test_second_run_does_nothing(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["one", "drop", "three"])
    run(clips, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}

    def never(clip: Clip) -> Row | Dropped:
        raise AssertionError(clip.id)

    report = run(clips, tmp_path / "out", prepare=never)
    assert (report.written, report.skipped, report.reasons) == (0, 2, {"no face": 1})
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")} == before


def test_new_clips_go_into_new_shards(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["one", "two", "three", "drop"])
    run(clips[:2], tmp_path / "out")
    report = run(clips, tmp_path / "out")
    assert (report.written, report.skipped) == (1, 2)
    assert [Path(path).name for path in report.shards] == ["clips-00001.parquet"]
    assert ShardReader(tmp_path / "out").ids == ["c00", "c01", "c02"]


def test_killed_run_loses_only_the_unfinished_shard(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", [f"text {i}" for i in range(9)])
    size = 1500

    def dies(clip: Clip) -> Row | Dropped:
        if clip.id == "c07":
            raise KeyboardInterrupt
        return fake_row(clip)

    with pytest.raises(KeyboardInterrupt):
        run(clips, tmp_path / "out", prepare=dies, shard_bytes=size)
    finished = ShardReader(tmp_path / "out").ids
    assert 0 < len(finished) < 7
    assert not list((tmp_path / "out").glob(".clips-*"))
    report = run(clips, tmp_path / "out", shard_bytes=size)
    assert report.skipped == len(finished)
    assert report.written == 9 - len(finished)
    whole = ShardReader(tmp_path / "out")
    run(clips, tmp_path / "at once", shard_bytes=size)
    straight = ShardReader(tmp_path / "at once")
    assert whole.ids == straight.ids
    assert [clip.crops_png for clip in whole] == [clip.crops_png for clip in straight]


def test_kill_between_shard_and_record_is_noticed_by_content(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["one", "two"])
    run(clips, tmp_path / "out")
    (tmp_path / "out/records/clips-00000.jsonl").unlink()
    (tmp_path / "out/.clips-00001.ab.partial.parquet").write_bytes(b"half")
    report = run(clips, tmp_path / "out")
    assert (report.written, report.skipped) == (0, 2)
    assert not list((tmp_path / "out").glob(".clips-*"))


def test_lost_shard_is_made_again(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["one", "two"])
    run(clips, tmp_path / "out")
    (tmp_path / "out/clips-00000.parquet").unlink()
    assert run(clips, tmp_path / "out").written == 2
    assert ShardReader(tmp_path / "out").ids == ["c00", "c01"]


def test_touched_file_is_the_same_by_content(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["one"])
    run(clips, tmp_path / "out")
    os.utime(clips[0].path, (1, 1))
    assert run(clips, tmp_path / "out").skipped == 1


def test_repaired_clip_is_tried_again(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["drop me", "two"])
    run(clips, tmp_path / "out")
    clips[0].path.write_text("repaired")
    report = run(clips, tmp_path / "out")
    assert (report.written, report.skipped, report.reasons) == (1, 1, {})
    again = run(clips, tmp_path / "out")
    assert (again.written, again.skipped, again.reasons) == (0, 2, {})
    assert json.loads((tmp_path / "out/manifest.json").read_text())["dropped"] == {}


def test_changed_file_other_split_and_other_corpus_are_refused(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["one"])
    run(clips, tmp_path / "out")
    with pytest.raises(ShardError, match="holds c00 as split train, not test"):
        run([clip_of(clips[0].path, split="test")], tmp_path / "out")
    with pytest.raises(ShardError, match="holds corpus test, not grid"):
        run([clip_of(clips[0].path, corpus="grid")], tmp_path / "out")
    clips[0].path.write_text("something else")
    with pytest.raises(ShardError, match="has changed since"):
        run(clips, tmp_path / "out")


@pytest.mark.parametrize("name", ["manifest.json", "records/clips-00000.jsonl"])
def test_damaged_record_is_named(tmp_path: Path, name: str) -> None:
    clips = texts(tmp_path / "in", ["one"])
    run(clips, tmp_path / "out")
    (tmp_path / "out" / name).write_text('{"half')
    with pytest.raises(ShardError, match=f"{name}: is damaged .*delete it and run again"):
        run(clips, tmp_path / "out")


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    clips = texts(tmp_path / "in", ["one"])

    def meanwhile(clip: Clip) -> Row | Dropped:
        with pytest.raises(OutputError, match="another run is writing it"):
            run(clips, tmp_path / "out")
        return fake_row(clip)

    assert run(clips, tmp_path / "out", prepare=meanwhile).written == 1


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        run(texts(tmp_path / "in", ["one"]), tmp_path / "file")


# --- processes -----------------------------------------------------------------------------------------------------


def test_any_number_of_workers_gives_the_same_files(tmp_path: Path) -> None:
    for number, seconds in enumerate((0.32, 0.3, 0.4)):
        film(tmp_path / f"in/ann/{number}.mp4", portrait(), tone(seconds))
    (tmp_path / "in/ann/1b.mp4").write_bytes(b"poison")
    clips = FolderCorpus(tmp_path / "in").clips()
    alone = prepare_corpus(clips, tmp_path / "alone", workers=0)
    both = prepare_corpus(clips, tmp_path / "both", workers=2)
    assert alone.reasons == both.reasons == {"unreadable": 1}
    assert both.written == 3
    assert (tmp_path / "alone/clips-00000.parquet").read_bytes() == (tmp_path / "both/clips-00000.parquet").read_bytes()


WORKER = """
import os
from unsilent.prepare import Dropped

def work(clip):
    if clip.id == "c01":
        os._exit(1)
    if clip.id == "c03":
        raise ArithmeticError("a defect\\nin two lines")
    return Dropped(clip.id, "no face", f"threads {os.environ['OMP_NUM_THREADS']}")
"""


def test_crash_and_defect_cost_one_clip_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unsilent_test_worker.py").write_text(WORKER)
    monkeypatch.syspath_prepend(tmp_path)
    import unsilent_test_worker  # type: ignore[import-not-found]

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    clips = texts(tmp_path / "in", ["x"] * 5)
    report = prepare_corpus(clips, tmp_path / "out", workers=2, prepare=unsilent_test_worker.work)
    found = [(item.id, item.reason, item.detail) for item in report.dropped]
    assert found[0] == ("c00", "no face", "threads 1")
    assert [reason for _, reason, _ in found] == ["no face", "crashed", "no face", "unexpected error", "no face"]
    assert found[3][2] == f"{clips[3].path}: ArithmeticError: a defect"
    assert os.environ["OMP_NUM_THREADS"] == "7"


# --- command line --------------------------------------------------------------------------------------------------


def test_command_for_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "in/ann/a.mp4", portrait(), tone(0.32))
    film(tmp_path / "in/ben/b.mp4", portrait(), None)
    arguments = ["prepare", "folder", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "0", "--json", "-"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert (data["clips"], data["written"], data["skipped"], data["dropped"]) == (2, 1, 0, {"no sound": 1})
    assert list(data["dropped_clips"]) == ["ben/b"]
    assert "dropped: no sound" in printed.err
    assert main([*arguments[:6], "--speakers", "ann", "--json", str(tmp_path / "x.json")]) == 0
    assert json.loads((tmp_path / "x.json").read_text())["skipped"] == 1


def test_command_for_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("s1/bbaf2n", "s2/pgbc4p", "s2/nosentence"):
        film(tmp_path / f"in/{name}.mp4", portrait(), tone(0.32))
    mine = tmp_path / "mine.txt"
    mine.write_text("s2/pgbc4p\ns2/bbaf2n\n")
    arguments = ["prepare", "grid", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "0"]
    assert main([*arguments, "--split", str(mine), "--json", str(tmp_path / "x.json")]) == 0
    data = json.loads((tmp_path / "x.json").read_text())
    assert (data["clips"], data["written"]) == (1, 1)
    assert data["left_out"] == {"s2/nosentence.mp4": "the name spells no GRID sentence"}
    assert data["notes"]["kept without word times: no alignment"] == 1
    table = capsys.readouterr().out
    assert "left out: the name spells no GRID sentence" in table
    (clip,) = ShardReader(tmp_path / "out")
    assert (clip.id, clip.split, clip.text) == ("s2/pgbc4p", "mine", "place green by c four please")


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1/bbaf2n.mp4").touch()
    mine = tmp_path / "mine.txt"
    mine.write_text("s1/bbaf2n\n")
    out = str(tmp_path / "out")
    for arguments in (
        ["grid", str(tmp_path / "nowhere"), out],
        ["grid", str(tmp_path), out, "--speakers", "s3"],
        ["grid", str(tmp_path), out, "--split", "nonsense"],
        ["grid", str(tmp_path), out, "--split", str(mine), "--split", str(mine)],
    ):
        assert main(["prepare", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert issubclass(ShardError, UnsilentError)


# --- real data -----------------------------------------------------------------------------------------------------


def test_real_clips(shared_data: Path, tmp_path: Path) -> None:
    wanted = {"s1/bbaf2n", "s2/bbal6s", "s34/bbao7n"}
    clips = [clip for clip in GridCorpus(shared_data / "grid").clips() if clip.id in wanted]
    assert prepare_corpus(clips, tmp_path, workers=0).written == 3
    for row in ShardReader(tmp_path):
        assert (row.frames, len(row.words)) == (75, 6)
        # The sound of GRID ends about 22 ms before its picture: the row says so, it is not padded.
        assert abs(row.samples - 71_471) <= 1
        assert row.valid.all()
        assert float(np.ptp(row.aperture)) > 0.02
