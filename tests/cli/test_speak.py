from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.face.conftest import portrait, talking_video
from tests.media_files import click, make_sound, make_video

from unsilent.cli import main
from unsilent.media import probe, read_audio
from unsilent.models.pretrained import SHIPPED

__all__ = ["portrait", "talking_video"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_silent_video_becomes_a_spoken_one(talking_video: Path, tmp_path: Path) -> None:
    assert not probe(talking_video).has_audio
    code = main(["speak", str(talking_video), "--json", "out.json", "--spectrogram", "out.png", "-q"])
    assert code == 0
    assert read_audio(tmp_path / "talking.spoken.mp4", 24_000).std() > 1e-4
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp_path / "out.json").read_text())
    clip = report["clips"][0]
    assert clip["frames"] == 30
    assert clip["seconds"] == pytest.approx(1.2)
    assert clip["rtf"] == pytest.approx(clip["elapsed"] / 1.2)
    assert set(clip["timings"]) == {"decode", "face", "model", "vocoder", "mux"}


def test_sound_alone(talking_video: Path, tmp_path: Path) -> None:
    assert main(["speak", str(talking_video), "--audio-only", "-o", "x.flac", "-q"]) == 0
    assert len(read_audio(tmp_path / "x.flac", 24_000)) == 28_800
    assert [path.name for path in tmp_path.iterdir()] == ["x.flac"]


def test_a_folder_with_a_bad_file_speaks_the_rest(
    talking_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("a.mp4", "c.mp4"):
        shutil.copy(talking_video, clips / name)
    (clips / "b.mp4").write_text("not a video")
    assert main(["speak", str(clips), "-o", "spoken", "--json", "-", "-q"]) == 2
    printed = capsys.readouterr()
    assert sorted(path.name for path in (tmp_path / "spoken").iterdir()) == ["a.spoken.mp4", "c.spoken.mp4"]
    report = json.loads(printed.out)
    assert len(report["clips"]) == 2
    assert "b.mp4" in report["failed"][0]
    assert "1 of 3" in printed.err
    assert "Traceback" not in printed.err


def _write_bad(kind: str, path: Path, talking: Path) -> None:
    if kind == "empty file":
        path.touch()
    elif kind == "text named mp4":
        path.write_text("hello " * 1000)
    elif kind == "truncated":
        data = talking.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "no face":
        make_video(path, frames=20)
    elif kind == "one frame":
        make_video(path, frames=1)
    elif kind == "sound alone":
        make_sound(path, click(1.0, 0.5, 48_000), 48_000, codec="aac")
    elif kind == "folder without videos":
        path.mkdir()
    elif kind == "output is the input":
        shutil.copy(talking, path)


def _arguments(kind: str, folder: Path, talking: Path) -> list[str]:
    """Arguments of a call that must fail, and the files that it needs."""
    path = folder / "bad.mp4"
    _write_bad(kind, path, talking)
    if kind == "unwritable output":
        (folder / "file").touch()
        return [str(talking), "-o", str(folder / "file" / "x.mp4")]
    if kind == "damaged model":
        shutil.copytree(SHIPPED / "grid", folder / "model")
        weights = folder / "model" / "vocoder" / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-10] ^= 255
        weights.write_bytes(data)
        return [str(talking), "--model", str(folder / "model")]
    options = {
        "output is the input": [str(path), "-o", str(path)],
        "no such face": [str(talking), "--face", "7"],
        "unknown model": [str(talking), "--model", "nobody"],
    }
    return options.get(kind, [str(path)])


KINDS = {
    "missing path": "bad.mp4",
    "empty file": "bad.mp4",
    "text named mp4": "bad.mp4",
    "truncated": "bad.mp4",
    "no face": "face",
    "sound alone": "video",
    "one frame": "bad.mp4",
    "folder without videos": "no video",
    "unwritable output": "x.mp4",
    "output is the input": "input itself",
    "no such face": "face",
    "unknown model": "grid",
    "damaged model": "SHA-256",
}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_gets_one_line_and_leaves_nothing(
    kind: str, talking_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _arguments(kind, tmp_path, talking_video)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["speak", *arguments, "-q"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    assert KINDS[kind] in error
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_one_real_frame_of_a_face_is_too_short(
    talking_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import av

    with av.open(str(talking_video)) as source, av.open("one.mkv", "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        packet = next(source.demux(video=0))
        packet.stream = stream
        sink.mux(packet)
    assert main(["speak", "one.mkv", "-q"]) == 2
    assert "too short" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["one.mkv"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder(talking_video: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert main(["speak", str(talking_video), "-o", str(locked / "x.mp4"), "-q"]) == 2


def test_a_real_clip_says_something_like_its_words(shared_data: Path, tmp_path: Path) -> None:
    """The mel that is spoken resembles the true one better than that of another sentence does."""
    from unsilent.synthesis import load

    root = shared_data / "grid"
    voice = load("grid")
    names = (root / "splits" / "s1-test.txt").read_text().split()[:2]
    true = [voice.mel(read_audio(root / f"{name}.mp4", 24_000)) for name in names]
    for number, name in enumerate(names):
        assert main(["speak", str(root / f"{name}.mp4"), "-o", "x.wav", "-q"]) == 0
        mel = voice.mel(read_audio(tmp_path / "x.wav", 24_000))
        width = min(mel.shape[1], *(t.shape[1] for t in true))
        own, other = (np.abs(mel[:, :width] - t[:, :width]).mean() for t in (true[number], true[1 - number]))
        assert own < other
