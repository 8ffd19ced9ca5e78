from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.sounds import speech

from unsilent.corpora.grid import sentence
from unsilent.errors import EvaluationError
from unsilent.evaluation.clips import load_clips
from unsilent.evaluation.metrics import SAMPLE_RATE
from unsilent.evaluation.pairs import Pairs, pair_folders, read_texts, shuffled
from unsilent.media import write_audio


def sound(path: Path, seconds: float = 0.6, rate: int = SAMPLE_RATE, seed: int = 0, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if channels == 1:
        write_audio(path, speech(seconds, seed)[: round(seconds * rate)], rate)
        return path
    stored = np.repeat((speech(seconds, seed) * 32767).astype(np.int16), channels)[None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(stored, format="s16", layout="stereo")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three real sounds in two folders, and what a program made of them in another format."""
    for at, name in enumerate(("s1/bbaf2n", "s1/lgbx9p", "s2/prwb1a")):
        sound(tmp_path / "real" / f"{name}.wav", seed=at)
        sound(tmp_path / "mine" / f"{name}.flac", seed=at)
    return tmp_path / "real", tmp_path / "mine"


def pairs(folders: tuple[Path, Path], *more: Path) -> Pairs:
    return pair_folders(folders[0], [folders[1], *more], {})


def test_files_are_matched_by_their_paths_whatever_the_suffix(folders: tuple[Path, Path]) -> None:
    found = pairs(folders)
    assert [clip.id for clip in found.clips] == ["s1/bbaf2n", "s1/lgbx9p", "s2/prwb1a"]
    assert [clip.speaker for clip in found.clips] == ["s1", "s1", "s2"]
    assert list(found.systems) == ["mine"]
    assert (found.left_out, found.notes) == ({}, [])
    loaded, _ = load_clips(found.clips, crops=False, sounds=found.sounds)
    assert np.abs(found.systems["mine"](loaded[2]) - loaded[2].real).max() < 1e-3


def test_what_has_no_counterpart_is_listed_and_counted(folders: tuple[Path, Path], tmp_path: Path) -> None:
    real, mine = folders
    sound(real / "s3/alone.wav")
    for at in range(7):
        sound(mine / f"s9/x{at}.wav", 0.1)
    theirs = tmp_path / "theirs"
    sound(theirs / "s1/bbaf2n.wav")
    found = pairs(folders, theirs)
    assert found.left_out == {"s3/alone": "no generated file of this name"}
    assert found.notes == [
        "mine: 7 files have no real sound and are left out: s9/x0, s9/x1, s9/x2, s9/x3, s9/x4 and 2 more"
    ]
    loaded, _ = load_clips(found.clips, crops=False, sounds=found.sounds)
    assert len(found.systems["theirs"](loaded[0])) == round(0.6 * SAMPLE_RATE)
    with pytest.raises(EvaluationError, match="theirs has no file of this name"):
        found.systems["theirs"](loaded[1])


def test_rates_and_channels_are_converted_and_said(folders: tuple[Path, Path]) -> None:
    real, mine = folders
    (mine / "s1/bbaf2n.flac").unlink()
    sound(mine / "s1/bbaf2n.wav", rate=16_000)
    (mine / "s1/lgbx9p.flac").unlink()
    sound(mine / "s1/lgbx9p.wav", channels=2)
    (real / "s2/prwb1a.wav").unlink()
    sound(real / "s2/prwb1a.ogg", rate=48_000)
    found = pairs(folders)
    assert found.notes == [
        "mine: 1 of 3 files are at 16000 Hz, resampled to 24000 Hz",
        "mine: 1 of 3 files have 2 channels, mixed down to one",
        "real: 1 of 3 files are at 48000 Hz, resampled to 24000 Hz",
    ]
    loaded, _ = load_clips(found.clips, crops=False, sounds=found.sounds)
    for clip in loaded[:2]:
        assert abs(len(found.systems["mine"](clip)) - len(clip.real)) <= 1


def test_nothing_matches(folders: tuple[Path, Path], tmp_path: Path) -> None:
    sound(tmp_path / "flat/bbaf2n.wav")
    with pytest.raises(EvaluationError, match="no file is called like one of") as error:
        pair_folders(folders[0], [tmp_path / "flat"], {})
    assert "bbaf2n here, s1/bbaf2n there" in str(error.value)


def test_folders_that_cannot_be_used(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    real, mine = folders
    for arguments, message in (
        ((tmp_path / "absent", [mine]), "is no folder"),
        ((real, [tmp_path / "empty"]), "holds no sound"),
        ((real, [mine, mine]), "is given twice"),
    ):
        with pytest.raises(EvaluationError, match=message):
            pair_folders(*arguments, {})
    sound(mine / "s1/bbaf2n.wav")
    with pytest.raises(EvaluationError, match="is of the same clip; leave one of them"):
        pairs(folders)


def test_folders_of_one_name_and_of_a_bound_are_told_apart(folders: tuple[Path, Path], tmp_path: Path) -> None:
    real, mine = folders
    others = [tmp_path / "b" / "mine", tmp_path / "b" / "real", tmp_path / "shuffled"]
    for other in others:
        shutil.copytree(mine, other)
    found = pair_folders(real, [mine, *others], {})
    assert list(found.systems) == ["mine", "b/mine", "b/real", f"{tmp_path.name}/shuffled"]


def test_a_video_beside_the_real_sound_is_its_picture(folders: tuple[Path, Path]) -> None:
    real, _ = folders
    video = real / "s1/bbaf2n.mp4"
    video.write_bytes(b"")
    found = pairs(folders)
    assert found.clips[0].path == video
    assert found.sounds["s1/bbaf2n"] == real / "s1/bbaf2n.wav"


def test_texts_of_lists_of_files_beside_and_of_names(folders: tuple[Path, Path], tmp_path: Path) -> None:
    real, mine = folders
    (real / "s1/bbaf2n.txt").write_text("hello\n there")

    def spell(stem: str) -> str:
        return " ".join(sentence(stem) or ())

    found = pair_folders(real, [mine], {"s1/lgbx9p": "listed", "s5/none": "x"}, spell)
    assert [clip.text for clip in found.clips] == ["hello there", "listed", "place red with b one again"]
    assert found.notes == ["texts of no real sound: s5/none"]
    assert [clip.text for clip in pairs(folders).clips] == ["hello there", None, None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.tsv", "s1/a\tbin  blue\n\ns1/b.wav\tlay red\n"),
        ("list.csv", "s1/a|bin blue\ns1/b|lay red"),
        ("list.txt", "\ufeffs1/a bin blue\ns1/b lay red"),
        ("list.json", '{"s1/a.wav": "bin blue", "s1/b": "lay red"}'),
    ],
)
def test_lists_of_texts(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_texts(tmp_path / name) == {"s1/a": "bin blue", "s1/b": "lay red"}


def test_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "a.txt").write_text("bin blue\n")
    assert read_texts(tmp_path) == {"s1/a": "bin blue"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"s1/a\n", ":1: is not `clip, tab, text`"),
        ("a.json", b"[1]", "is no JSON object of clip and text"),
        ("a.json", b"{", "is no JSON"),
        ("a.txt", b"\xff\xfe\xff", "cannot be read as UTF-8"),
    ],
)
def test_texts_that_are_none(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EvaluationError, match=message) as error:
        read_texts(tmp_path / name)
    assert name in str(error.value)
    with pytest.raises(EvaluationError, match="neither a file nor a folder"):
        read_texts(tmp_path / "absent")


@given(st.binary(max_size=80), st.sampled_from([".txt", ".json"]))
def test_any_list_of_texts_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"wild{suffix}"
    path.write_bytes(content)
    try:
        found = read_texts(path)
    except EvaluationError:
        return
    assert all(isinstance(text, str) for text in found.values())


def test_shuffled_is_another_clip_of_the_clips_length(folders: tuple[Path, Path]) -> None:
    mine = folders[1]
    (mine / "s1/bbaf2n.flac").unlink()
    sound(mine / "s1/bbaf2n.flac", 0.9)
    found = pairs(folders)
    loaded, _ = load_clips(found.clips, crops=False, sounds=found.sounds)
    floor = shuffled(found.systems["mine"], loaded)
    for clip in loaded:
        made = floor(clip)
        assert len(made) == len(clip.real)
        assert np.abs(made - clip.real).max() > 0.05
    with pytest.raises(EvaluationError, match="cannot be shuffled"):
        shuffled(found.systems["mine"], loaded[:1])
