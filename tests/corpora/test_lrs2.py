"""Trees of talker clips, laid out as LRS2 is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.cli import main
from unsilent.corpora.base import Clip
from unsilent.corpora.lrs2 import Lrs2Corpus
from unsilent.errors import CorpusError
from unsilent.shards import ShardReader

Put = Callable[..., Path]

LONG, OTHER = "6330311066473698535", "5535415699068794046"


def said(clip: Clip) -> str:
    return " ".join(word.word for word in clip.words).lower()


def transcript(clip: Clip, *, times: bool) -> str:
    head = f"Text:  {said(clip).upper()}\nConf:  5\n"
    table = "".join(f"{word.word.upper()} {word.start:.2f} {word.end:.2f} 9.0\n" for word in clip.words)
    return head + (f"\nWORD START END ASDSCORE\n{table}" if times else "")


@pytest.fixture
def tree(put: Put, spoken: list[Clip], tmp_path: Path) -> Path:
    put(f"mvlrs_v1/main/{LONG}/00011.mp4")
    put(f"mvlrs_v1/main/{LONG}/00011.txt", transcript(spoken[0], times=False))
    put(f"mvlrs_v1/main/{OTHER}/00002.mp4", of=1)
    put(f"mvlrs_v1/main/{OTHER}/00002.txt", transcript(spoken[1], times=False))
    put(f"mvlrs_v1/pretrain/{OTHER}/00002.mp4", of=1)
    put(f"mvlrs_v1/pretrain/{OTHER}/00002.txt", transcript(spoken[1], times=True))
    put("train.txt", f"{LONG}/00011\n")
    put("val.txt", f"{LONG}/00099\n")
    put("test.txt", f"{OTHER}/00002 MV\n{OTHER}/00003 NF\n")
    put("pretrain.txt", f"{OTHER}/00002\n")
    return tmp_path


@pytest.mark.parametrize("inside", [".", "mvlrs_v1"])
def test_clips_of_a_list(tree: Path, spoken: list[Clip], inside: str) -> None:
    (clip,) = Lrs2Corpus(tree / inside).clips("train")
    assert (clip.id, clip.speaker, clip.split) == (f"main/{LONG}/00011", LONG, "train")
    assert clip.text == said(spoken[0])
    assert clip.words == ()
    assert clip.path == tree / inside / ("" if inside == "mvlrs_v1" else "mvlrs_v1") / f"main/{LONG}/00011.mp4"


def test_flags_of_the_test_list_are_no_part_of_a_name(tree: Path) -> None:
    corpus = Lrs2Corpus(tree)
    assert [clip.id for clip in corpus.clips("test")] == [f"main/{OTHER}/00002"]
    assert corpus.notes == {f"clips of split test that are not in {tree}": 1}


def test_pretraining_clips_have_word_times(tree: Path, spoken: list[Clip]) -> None:
    (clip,) = Lrs2Corpus(tree).clips("pretrain")
    assert clip.id == f"pretrain/{OTHER}/00002"
    assert [word.word for word in clip.words] == [word.word.lower() for word in spoken[1].words]
    assert clip.words[-1].end == pytest.approx(spoken[1].words[-1].end, abs=0.006)


def test_lists_may_lie_in_the_folder(tree: Path) -> None:
    for part in ("train", "val", "test", "pretrain"):
        (tree / f"{part}.txt").rename(tree / "mvlrs_v1" / f"{part}.txt")
    assert len(Lrs2Corpus(tree).clips()) == 3


def test_all_clips_carry_their_list(tree: Path) -> None:
    assert {clip.id: clip.split for clip in Lrs2Corpus(tree).clips()} == {
        f"main/{LONG}/00011": "train",
        f"main/{OTHER}/00002": "test",
        f"pretrain/{OTHER}/00002": "pretrain",
    }


def test_list_of_the_user(tree: Path, put: Put) -> None:
    mine = put("mine.txt", f"# mine\n{OTHER}/00002.mp4\npretrain/{OTHER}/00002\nmvlrs_v1/main/{LONG}/00011\n")
    clips = Lrs2Corpus(tree).clips(str(mine))
    assert [clip.id for clip in clips] == [f"main/{OTHER}/00002", f"main/{LONG}/00011", f"pretrain/{OTHER}/00002"]
    assert {clip.split for clip in clips} == {"mine"}
    with pytest.raises(CorpusError, match="`justaname` is not `recording/number`"):
        Lrs2Corpus(tree).clips(str(put("bad.txt", "justaname\n")))


def test_faulty_transcripts_are_counted(tree: Path, put: Put) -> None:
    put(f"mvlrs_v1/main/{LONG}/00011.txt", "")
    put(f"mvlrs_v1/pretrain/{OTHER}/00002.txt", "Text: ONE TWO\nWORD START END ASDSCORE\nONE 0.1 0.2 1\n")
    corpus = Lrs2Corpus(tree)
    clips = {clip.id: clip for clip in corpus.clips()}
    assert clips[f"main/{LONG}/00011"].text is None
    assert clips[f"pretrain/{OTHER}/00002"].words == ()
    assert clips[f"pretrain/{OTHER}/00002"].text == "one two"
    assert corpus.notes["kept without text: no usable transcript"] == 1
    assert corpus.notes["kept without word times: the words contradict the text"] == 1


def test_recordings_are_chosen(tree: Path) -> None:
    corpus = Lrs2Corpus(tree)
    assert {clip.speaker for clip in corpus.clips(speakers={OTHER})} == {OTHER}
    with pytest.raises(CorpusError, match=r"no recording 42 in split train; .* obtain it from robots\.ox"):
        corpus.clips("train", speakers={"42"})


def test_what_is_missing_and_where_to_obtain_it(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"is no folder; name one that holds main or pretrain of LRS2.*robots\.ox"):
        Lrs2Corpus(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"holds no folder main or pretrain of LRS2; obtain it from robots\.ox"):
        Lrs2Corpus(tmp_path / "empty")
    with pytest.raises(CorpusError, match=r"holds no clip of split val; unpack that part \(obtained from robots\.ox"):
        Lrs2Corpus(tree).clips("val")
    with pytest.raises(CorpusError, match="neither a file nor a split of lrs2; there is: pretrain, train, val, test"):
        Lrs2Corpus(tree).clips("tests")
    (tree / "val.txt").unlink()
    with pytest.raises(CorpusError, match=r"the list is missing \(val.txt\), in it or beside mvlrs_v1; .*robots\.ox"):
        Lrs2Corpus(tree).clips("val")
    for part in ("train", "test", "pretrain"):
        (tree / f"{part}.txt").unlink()
    with pytest.raises(CorpusError, match=r"the list is missing \(train.txt, val.txt, test.txt, pretrain.txt\)"):
        Lrs2Corpus(tree).clips()


@given(st.lists(st.text(alphabet="abz059/.# \tMVmainp4", max_size=30), max_size=6))
def test_any_list_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "lrs2-any"
    (root / "main").mkdir(parents=True, exist_ok=True)
    path = root / "any.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(CorpusError):  # there are no clips: whatever the list says, one line says what is wrong
        Lrs2Corpus(root).clips(str(path))


def test_prepare_makes_shards(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prepare", "lrs2", str(tree), str(tree / "shards"), "--split", "pretrain", "--workers", "0"]
    assert main([*arguments, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 1
    (row,) = ShardReader(tree / "shards")
    assert (row.id, row.corpus, row.split) == (f"pretrain/{OTHER}/00002", "lrs2", "pretrain")
    assert " ".join(word.word for word in row.words) == row.text
