from __future__ import annotations

import json
from pathlib import Path

import pytest

from unsilent.corpora.talker import TalkerCorpus
from unsilent.corpora.talker.corpus import SPLITS
from unsilent.errors import CorpusError


def write(root: Path, name: str, **changes: object) -> None:
    """A clip whose video is empty: the reader does not open it."""
    notes = {
        "synthetic": True,
        "id": name,
        "speaker": name.split("/")[0],
        "split": "talker-train",
        "text": "bin blue",
        "words": [{"word": "bin", "start": 0.1, "end": 0.4}, {"word": "blue", "start": 0.4, "end": 0.8}],
    } | changes
    path = root / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notes))
    path.with_suffix(".mp4").touch()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest = {"synthetic": True, "spec": {"sentences": "grid"}, "clips": 3}
    (tmp_path / "talker.json").write_text(json.dumps(manifest))
    write(tmp_path, "t1/000000")
    write(tmp_path, "t2/000001", split="talker-test")
    write(tmp_path, "u1/000002", split="talker-unseen")
    return tmp_path


def test_clips_by_split_and_speaker(folder: Path) -> None:
    corpus = TalkerCorpus(folder)
    assert [clip.id for clip in corpus.clips()] == ["t1/000000", "t2/000001", "u1/000002"]
    (clip,) = corpus.clips("talker-test")
    assert (clip.corpus, clip.speaker, clip.text) == ("talker", "t2", "bin blue")
    assert clip.path == folder / "t2" / "000001.mp4"
    assert [(word.word, word.start) for word in clip.words] == [("bin", 0.1), ("blue", 0.4)]
    assert [clip.id for clip in corpus.clips(speakers={"u1"})] == ["u1/000002"]
    assert set(SPLITS) == {"talker-train", "talker-val", "talker-test", "talker-unseen"}


def test_no_such_split_or_clip(folder: Path) -> None:
    corpus = TalkerCorpus(folder)
    with pytest.raises(CorpusError, match="s1-test: no split of the talker corpus; there is: talker-train, "):
        corpus.clips("s1-test")
    with pytest.raises(CorpusError, match="holds no clip of split talker-val"):
        corpus.clips("talker-val")


def test_damaged_clips_are_left_out(folder: Path) -> None:
    write(folder, "t1/000003", split="train")
    write(folder, "t1/000004", words=3)
    (folder / "t1/000005.json").write_text("{")
    write(folder, "t1/000006")
    (folder / "t1/000006.mp4").unlink()
    corpus = TalkerCorpus(folder)
    assert len(corpus.clips()) == 3
    assert set(corpus.dropped) == {f"t1/00000{number}.json" for number in (3, 4, 5, 6)}


def test_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no talker.json; make a corpus with `unsilent talker "):
        TalkerCorpus(tmp_path)
    (tmp_path / "talker.json").write_text("[]")
    with pytest.raises(CorpusError, match="is no manifest"):
        TalkerCorpus(tmp_path)
    (tmp_path / "talker.json").write_text("{")
    with pytest.raises(CorpusError, match="cannot be read as a manifest"):
        TalkerCorpus(tmp_path)
    (tmp_path / "talker.json").write_text('{"synthetic": true, "spec": {}}')
    with pytest.raises(CorpusError, match="holds no clip"):
        TalkerCorpus(tmp_path)
