"""Folders of clips: names, speakers, splits, transcripts."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from unsilent.corpora.folder import FolderCorpus
from unsilent.errors import CorpusError


def put(root: Path, *names: str, text: str = "") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def test_speaker_is_the_first_folder_or_the_root(tmp_path: Path) -> None:
    root = tmp_path / "me"
    put(root, "a.mp4", "anna/b.MOV", "anna/day 2/c.mkv", "ben/d.webm")
    speakers = {clip.id: clip.speaker for clip in FolderCorpus(root).clips()}
    assert speakers == {"a": "me", "anna/b": "anna", "anna/day 2/c": "anna", "ben/d": "ben"}


def test_relative_root_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "me", "a.mp4")
    monkeypatch.chdir(tmp_path / "me")
    (clip,) = FolderCorpus(".").clips()
    assert clip.speaker == "me"


def test_other_files_are_no_clips(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "a.wav", "notes.md", ".hidden.mp4", ".trash/b.mp4", "__MACOSX/c.mp4")
    assert [clip.id for clip in FolderCorpus(tmp_path).clips()] == ["a"]


def test_same_stem_keeps_ids_apart(tmp_path: Path) -> None:
    put(tmp_path, "x/a.mp4", "x/a.mov", "x/b.mp4")
    assert [clip.id for clip in FolderCorpus(tmp_path).clips()] == ["x/a.mov", "x/a.mp4", "x/b"]


def test_ids_and_splits_do_not_depend_on_the_place(tmp_path: Path) -> None:
    names = [f"p{i % 7}/clip {i}.mp4" for i in range(60)]
    put(tmp_path / "here", *names)
    put(tmp_path / "there/deep", *reversed(names))
    here = [(clip.id, clip.split) for clip in FolderCorpus(tmp_path / "here").clips()]
    there = [(clip.id, clip.split) for clip in FolderCorpus(tmp_path / "there/deep").clips()]
    assert here == there
    assert {split for _, split in here} == {"train", "val", "test"}


def test_spelling_of_accents_does_not_matter(tmp_path: Path) -> None:
    put(tmp_path / "a", unicodedata.normalize("NFD", "Zoé/été.mp4"))
    put(tmp_path / "b", unicodedata.normalize("NFC", "Zoé/été.mp4"))
    (one,), (other,) = FolderCorpus(tmp_path / "a").clips(), FolderCorpus(tmp_path / "b").clips()
    assert (one.id, one.speaker, one.split) == (other.id, other.speaker, other.split)


def test_named_split_folders_win(tmp_path: Path) -> None:
    put(tmp_path, "train/anna/a.mp4", "val/anna/b.mp4", "test/c.mp4", "Test/ben/d.mp4")
    clips = {clip.id: (clip.split, clip.speaker) for clip in FolderCorpus(tmp_path).clips()}
    assert clips == {
        "train/anna/a": ("train", "anna"),
        "val/anna/b": ("val", "anna"),
        "test/c": ("test", tmp_path.name),
        "Test/ben/d": ("test", "ben"),
    }
    assert [clip.id for clip in FolderCorpus(tmp_path).clips("val")] == ["val/anna/b"]


def test_transcript_beside_the_clip(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    put(tmp_path, "a.txt", text="\ufeff Guten\n Tag  \n")
    put(tmp_path, "b.txt", text=" \n")
    texts = {clip.id: clip.text for clip in FolderCorpus(tmp_path).clips()}
    assert texts == {"a": "Guten Tag", "b": None, "c": None}


def test_transcript_that_is_no_text_is_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    corpus = FolderCorpus(tmp_path)
    (clip,) = corpus.clips()
    assert clip.text is None
    assert corpus.notes == {"kept without text: transcript is no UTF-8": 1}


def test_speakers_and_splits_are_checked(tmp_path: Path) -> None:
    put(tmp_path, "anna/a.mp4", "ben/b.mp4")
    corpus = FolderCorpus(tmp_path)
    assert [clip.id for clip in corpus.clips(speakers={"ben"})] == ["ben/b"]
    with pytest.raises(CorpusError, match="no clip of speakers carl; there are splits train, speakers anna, ben"):
        corpus.clips(speakers={"carl"})
    with pytest.raises(CorpusError, match="no clip of split dev"):
        corpus.clips("dev")


def test_folder_without_video(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    with pytest.raises(CorpusError, match="holds no video"):
        FolderCorpus(tmp_path)
    with pytest.raises(CorpusError, match="is no folder"):
        FolderCorpus(tmp_path / "a.txt")
