"""Trees of talker clips, laid out as LRS3 is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from unsilent.cli import main
from unsilent.corpora.base import Clip
from unsilent.corpora.lrs3 import Lrs3Corpus
from unsilent.errors import CorpusError
from unsilent.shards import ShardReader

Put = Callable[..., Path]

FACES = "FRAME \tX \tY \tW \tH \n000000 \t0.392 \t0.238 \t0.150 \t0.267 \n\n"


def said(clip: Clip) -> str:
    return " ".join(word.word for word in clip.words).lower()


def transcript(clip: Clip) -> str:
    table = "".join(f"{word.word.upper()} {word.start:.2f} {word.end:.2f} 9.0\n" for word in clip.words)
    return f"Text:  {said(clip).upper()}\nConf:  4\nRef:   talk\n\n{FACES}WORD START END ASDSCORE\n{table}"


@pytest.fixture
def tree(put: Put, spoken: list[Clip], tmp_path: Path) -> Path:
    put("test/0Fi83BHQsMA/00002.mp4")
    put("test/0Fi83BHQsMA/00002.txt", transcript(spoken[0]))
    put("trainval/0af00UcTOSc/50001.mp4", "")
    put("pretrain/00j9bKdiOjk/00001.mp4", "")
    put("pretrain/00j9bKdiOjk/.00001.mp4", "")
    return tmp_path


def test_clips_of_a_part(tree: Path, spoken: list[Clip]) -> None:
    (clip,) = Lrs3Corpus(tree).clips("test")
    assert (clip.id, clip.speaker, clip.split) == ("test/0Fi83BHQsMA/00002", "0Fi83BHQsMA", "test")
    assert clip.text == said(spoken[0])
    assert [word.word for word in clip.words] == clip.text.split()


def test_the_folder_around_it_will_do(tree: Path) -> None:
    (tree / "lrs3").mkdir()
    for part in ("pretrain", "trainval", "test"):
        (tree / part).rename(tree / "lrs3" / part)
    assert [clip.split for clip in Lrs3Corpus(tree).clips()] == ["pretrain", "test", "trainval"]


def test_a_part_to_choose_by_has_talks_of_its_own(tmp_path: Path) -> None:
    for talk in range(200):
        folder = tmp_path / "trainval" / f"talk{talk}"
        folder.mkdir(parents=True)
        for number in (1, 2):
            (folder / f"0000{number}.mp4").touch()
    corpus = Lrs3Corpus(tmp_path)
    train, val = corpus.clips("unsilent-train"), corpus.clips("unsilent-val")
    assert {clip.speaker for clip in train}.isdisjoint(clip.speaker for clip in val)
    assert len(train) + len(val) == len(corpus.clips("trainval")) == 400
    assert 4 <= len(val) <= 44
    # A change of the rule would silently move talks from val into train.
    assert sorted({clip.speaker for clip in val})[:3] == ["talk109", "talk135", "talk171"]


def test_list_of_the_user(tree: Path, put: Put) -> None:
    clips = Lrs3Corpus(tree).clips(str(put("mine.txt", "lrs3/test/0Fi83BHQsMA/00002.mp4\ntest/0Fi83BHQsMA/00009\n")))
    assert [(clip.id, clip.split) for clip in clips] == [("test/0Fi83BHQsMA/00002", "mine")]
    with pytest.raises(CorpusError, match="is not `folder/recording/number`"):
        Lrs3Corpus(tree).clips(str(put("bad.txt", "0Fi83BHQsMA/00002\n")))


def test_what_is_missing_and_where_to_obtain_it(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"is no folder; name one that holds pretrain or trainval or test of LRS3"):
        Lrs3Corpus(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"holds no folder pretrain or trainval or test of LRS3; obtain .*robots\.ox"):
        Lrs3Corpus(tmp_path / "empty")
    with pytest.raises(
        CorpusError, match="neither a file nor a split of lrs3; there is: pretrain, trainval, test, uns"
    ):
        Lrs3Corpus(tree).clips("val")
    (tree / "test/0Fi83BHQsMA/00002.mp4").unlink()
    with pytest.raises(CorpusError, match=r"holds no clip of split test; unpack that part \(obtained from robots\.ox"):
        Lrs3Corpus(tree).clips("test")


def test_prepare_makes_shards(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prepare", "lrs3", str(tree), str(tree / "shards"), "--split", "test", "--workers", "0", "--json", "-"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 1
    (row,) = ShardReader(tree / "shards")
    assert (row.id, row.corpus, row.speaker) == ("test/0Fi83BHQsMA/00002", "lrs3", "0Fi83BHQsMA")
