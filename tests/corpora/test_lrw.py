"""Trees of talker clips, laid out as LRW is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.cli import main
from unsilent.corpora.lrw import WORDS, LrwCorpus, read_duration
from unsilent.errors import CorpusError
from unsilent.shards import ShardReader

Put = Callable[..., Path]

METADATA = """\
Disk reference:  6084411219287338012
Channel: BBC One
Program start: Mon, 3 Oct 2016, 09:15
Clip start: 1234.56 seconds
Duration: 0.36 seconds
"""


@pytest.fixture
def tree(put: Put, tmp_path: Path) -> Path:
    for name in (
        "ABOUT/train/ABOUT_00001",
        "ABOUT/val/ABOUT_00001",
        "ABOUT/test/ABOUT_00002",
        "YOUNG/test/YOUNG_00001",
    ):
        put(f"lipread_mp4/{name}.mp4", "")
        put(f"lipread_mp4/{name}.txt", METADATA)
    put("lipread_mp4/ABOUT/test/ABOUT_00001.mp4")
    put("lipread_mp4/ABOUT/test/ABOUT_00001.txt", METADATA)
    return tmp_path


def test_there_are_500_words_in_order() -> None:
    assert len(WORDS) == len(set(WORDS)) == 500
    assert list(WORDS) == sorted(WORDS)
    assert (WORDS[0], WORDS[-1]) == ("about", "young")


@pytest.mark.parametrize("inside", [".", "lipread_mp4"])
def test_clips_of_a_part(tree: Path, inside: str) -> None:
    clips = LrwCorpus(tree / inside).clips("test")
    assert [clip.id for clip in clips] == [
        "ABOUT/test/ABOUT_00001",
        "ABOUT/test/ABOUT_00002",
        "YOUNG/test/YOUNG_00001",
    ]
    assert {clip.split for clip in clips} == {"test"}
    assert {clip.speaker for clip in clips} == {"unknown"}
    assert [clip.text for clip in clips] == ["about", "about", "young"]
    assert clips[0].path.is_file()


def test_the_word_is_in_the_middle(tree: Path) -> None:
    (word,) = LrwCorpus(tree).clips("val")[0].words
    assert word.word == "about"
    assert [word.start, word.end] == pytest.approx([0.40, 0.76])


def test_all_clips_carry_their_part(tree: Path) -> None:
    parts = [(clip.id, clip.split) for clip in LrwCorpus(tree).clips()]
    assert ("ABOUT/train/ABOUT_00001", "train") in parts
    assert len(parts) == 5


def test_choosing_is_among_all_words_whatever_is_here(tree: Path) -> None:
    assert LrwCorpus(tree).grammar == (WORDS,)


def test_missing_clips_are_counted(tree: Path) -> None:
    corpus = LrwCorpus(tree)
    corpus.clips("test")
    assert corpus.notes == {f"clips of split test that are not in {tree}": 25_000 - 3}


def test_folders_that_are_no_words_are_left_out(tree: Path, put: Put) -> None:
    put("lipread_mp4/ABRACADABRA/test/ABRACADABRA_00001.mp4", "")
    put("lipread_mp4/.cache/test/x.mp4", "")
    corpus = LrwCorpus(tree)
    assert corpus.dropped == {"ABRACADABRA": "not one of the 500 words"}
    assert len(corpus.clips()) == 5


def test_clips_without_metadata_keep_their_word(tree: Path) -> None:
    (tree / "lipread_mp4/ABOUT/val/ABOUT_00001.txt").unlink()
    corpus = LrwCorpus(tree)
    (clip,) = corpus.clips("val")
    assert (clip.text, clip.words) == ("about", ())
    assert corpus.notes["kept without word times: no usable metadata"] == 1


def test_list_of_the_user(tree: Path, put: Put) -> None:
    mine = put("mine.txt", "# a few\nABOUT/test/ABOUT_00001\nlipread_mp4/YOUNG/test/YOUNG_00001.mp4\nYOUNG/test/GONE\n")
    corpus = LrwCorpus(tree)
    clips = corpus.clips(str(mine))
    assert [(clip.id, clip.split) for clip in clips] == [
        ("ABOUT/test/ABOUT_00001", "mine"),
        ("YOUNG/test/YOUNG_00001", "mine"),
    ]
    assert corpus.notes == {f"clips of split mine that are not in {tree}": 1}


def test_what_is_missing_and_where_to_obtain_it(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"is no folder; name one that holds LRW; obtain it from robots\.ox"):
        LrwCorpus(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"no word of LRW \(lipread_mp4/ABOUT/test.*robots\.ox"):
        LrwCorpus(tmp_path / "empty")
    corpus = LrwCorpus(tree)
    with pytest.raises(CorpusError, match="neither a file nor a split of lrw; there is: train, val, test"):
        corpus.clips("valid")
    with pytest.raises(CorpusError, match="does not say who speaks"):
        corpus.clips("test", speakers={"s1"})
    assert len(corpus.clips("test", speakers={"unknown"})) == 3
    (tree / "lipread_mp4/ABOUT/val/ABOUT_00001.mp4").unlink()
    with pytest.raises(CorpusError, match=r"holds no clip of split val; unpack all of LRW \(obtained from robots\.ox"):
        corpus.clips("val")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no line `Duration"),
        ("Duration: long\n", "has no line `Duration"),
        ("Duration: 0 seconds\n", "does not fit a clip of 1.16 s"),
        ("Duration: 1.17 seconds\n", "does not fit a clip"),
    ],
)
def test_metadata_without_a_length(put: Put, text: str, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        read_duration(put("a.txt", text))


def test_metadata_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match="cannot be read as metadata"):
        read_duration(tmp_path / "a.txt")


@given(st.text(max_size=60), st.floats(0.01, 1.16))
def test_any_metadata_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str, seconds: float) -> None:
    path = tmp_path_factory.getbasetemp() / "metadata.txt"
    path.write_text(f"{text}\nDURATION:\t{seconds:.4f} seconds\n", encoding="utf-8")
    with contextlib.suppress(CorpusError):
        assert 0 < read_duration(path) <= 1.16
    path.write_text(f"Channel: x\nDuration: {seconds:.4f} seconds\n", encoding="utf-8")
    assert read_duration(path) == pytest.approx(seconds, abs=1e-4)


def test_prepare_makes_shards(tree: Path, put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    mine = put("mine.txt", "ABOUT/test/ABOUT_00001\n")
    arguments = [
        "prepare",
        "lrw",
        str(tree),
        str(tree / "shards"),
        "--split",
        str(mine),
        "--workers",
        "0",
        "--json",
        "-",
    ]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 1
    (row,) = ShardReader(tree / "shards")
    assert (row.id, row.text, row.split, len(row.words)) == ("ABOUT/test/ABOUT_00001", "about", "mine", 1)
