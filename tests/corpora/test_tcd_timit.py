"""Trees of talker clips, laid out as TCD-TIMIT is."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.cli import main
from unsilent.corpora.base import Clip
from unsilent.corpora.splits import load_split, split_names
from unsilent.corpora.tcd_timit import TcdTimitCorpus, read_prompts, read_sentence
from unsilent.errors import CorpusError
from unsilent.shards import ShardReader

Put = Callable[..., Path]

PROMPTS = """\
;
; PROMPTS.TXT: the sentences
;
She had your dark suit in greasy wash water all year. (sa1)
Tim takes  Sheila to see movies twice a week. (sx120)
(sx1)
"""


@pytest.fixture
def tree(put: Put, tmp_path: Path) -> Path:
    put("volunteers/01M/Clips/straightcam/sa1.mp4")
    put("volunteers/01M/Clips/straightcam/SA1.txt", "0 52000 She had your dark suit in greasy wash water all year.\n")
    put("volunteers/01M/Clips/straightcam/sa1.wav", "")
    put("volunteers/01M/Clips/30degcam/sa1.mp4", "")
    put("volunteers/28M/Clips/straightcam/SI1004.mp4", of=1)
    put("volunteers/28M/Clips/straightcam/si1004.txt", "0 9000 sil\n9000 13000 pam\n13000 16000 oils\n16000 17000 sp\n")
    put("lipspeakers/Lipspkr1/Clips/straightcam/sx120.mp4", of=1)
    put("lipspeakers/lipspkr3/straightcam/si466.mp4", "")
    put("PROMPTS.TXT", PROMPTS)
    return tmp_path


def texts(corpus: TcdTimitCorpus) -> dict[str, str | None]:
    return {clip.id: clip.text for clip in corpus.clips()}


def test_clips_with_speaker_and_sentence(tree: Path) -> None:
    corpus = TcdTimitCorpus(tree)
    assert texts(corpus) == {
        "01M/sa1": "She had your dark suit in greasy wash water all year.",
        "28M/si1004": "pam oils",
        "Lipspkr1/sx120": "Tim takes Sheila to see movies twice a week.",
        "Lipspkr3/si466": None,
    }
    assert {clip.speaker for clip in corpus.clips()} == {"01M", "28M", "Lipspkr1", "Lipspkr3"}
    assert all(clip.words == () and clip.corpus == "tcd-timit" for clip in corpus.clips())


def test_what_is_left_out_says_why(tree: Path, put: Put) -> None:
    put("extras/straightcam/sa1.mp4", "")
    put("volunteers/01M/Clips/straightcam/mouth.mp4", "")
    put("volunteers/01M/straightcam/sa1.mp4", "")
    assert TcdTimitCorpus(tree).dropped == {
        "volunteers/01M/Clips/30degcam/sa1.mp4": "not filmed from the front (straightcam)",
        "extras/straightcam/sa1.mp4": "not in the folder of a speaker (01M ... 59F, Lipspkr1 ... Lipspkr3)",
        "volunteers/01M/Clips/straightcam/mouth.mp4": "the name is that of no TIMIT sentence (sa1, si1001, sx3 ...)",
        "volunteers/01M/straightcam/sa1.mp4": "another file of the same clip is used",
    }


@pytest.mark.parametrize("root", ["volunteers", "volunteers/28M", "volunteers/28M/Clips"])
def test_a_part_of_the_tree_is_enough(tree: Path, root: str) -> None:
    assert "28M/si1004" in texts(TcdTimitCorpus(tree / root))


def test_text_that_cannot_be_read_is_counted(tree: Path) -> None:
    (tree / "volunteers/01M/Clips/straightcam/SA1.txt").write_bytes(b"\xff\xfe\x00")
    (tree / "PROMPTS.TXT").unlink()
    corpus = TcdTimitCorpus(tree)
    assert texts(corpus)["01M/sa1"] is None
    assert corpus.notes == {
        "text file is no UTF-8": 1,
        "kept without text: no text file beside the clip, no PROMPTS.TXT": 3,
    }


def test_split_of_the_corpus(tree: Path) -> None:
    clips = TcdTimitCorpus(tree).clips
    assert [(clip.id, clip.split) for clip in clips("volunteers-test")] == [("28M/si1004", "volunteers-test")]
    assert [clip.id for clip in clips("volunteers-train")] == ["01M/sa1"]
    corpus = TcdTimitCorpus(tree)
    corpus.clips("volunteers-train")
    assert corpus.notes[f"speakers of split volunteers-train that are not in {tree}"] == 38
    assert corpus.partial == "1 of 3,822 clips of split volunteers-train are here"
    # sx120 of the first lip-speaker is for training by the rule; that must not change.
    assert "Lipspkr1/sx120" in [clip.id for clip in clips("unsilent-lipspeakers-train")]
    with pytest.raises(CorpusError, match=r"neither a file nor a split of tcd-timit; there is: .*volunteers-test"):
        clips("volunteers-val")


def test_protocols_have_every_volunteer_but_three_once() -> None:
    volunteers = {name: load_split("tcd-timit", name).speakers for name in split_names("tcd-timit")}
    train, test = volunteers["volunteers-train"], volunteers["volunteers-test"]
    assert (len(train), len(test)) == (39, 17)
    assert sorted(int(name[:2]) for name in train | test) == [n for n in range(1, 60) if n not in (27, 35, 53)]
    ours, val = volunteers["unsilent-volunteers-train"], volunteers["unsilent-volunteers-val"]
    assert volunteers["unsilent-volunteers-test"] == test
    assert (ours | val, ours & val) == (train, frozenset())
    assert val == set(sorted(train, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:5])


def test_lipspeakers_are_parted_by_the_rule() -> None:
    clips = [f"Lipspkr{speaker}/si{number}" for speaker in (1, 2, 3) for number in range(450, 827)]
    parts = [load_split("tcd-timit", f"unsilent-lipspeakers-{part}") for part in ("train", "val", "test")]
    counts = [sum(clip in part for clip in clips) for part in parts]
    assert sum(counts) == len(clips)
    assert 0.86 < counts[0] / len(clips) < 0.94
    assert not any("01M/sa1" in part for part in parts)


def test_what_is_missing_and_where_to_obtain_it(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(CorpusError, match=r"is no folder; name one that holds TCD-TIMIT.*obtain it from sigmedia\.tcd"):
        TcdTimitCorpus(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CorpusError, match=r"no clip like volunteers/01M/Clips/straightcam/sa1.mp4.*sigmedia\.tcd"):
        TcdTimitCorpus(empty)
    with zipfile.ZipFile(empty / "straightcam.zip", "w"):
        pass
    with pytest.raises(CorpusError, match="still packed; unpack every straightcam"):
        TcdTimitCorpus(empty)
    with pytest.raises(CorpusError, match=r"of speaker 02M; there is: 01M, 28M, Lipspkr1, Lipspkr3.*sigmedia\.tcd"):
        TcdTimitCorpus(tree).clips(speakers={"02M"})


@given(st.lists(st.text(alphabet="0123456789 absil.\t'", max_size=20), max_size=5))
def test_any_sentence_file_is_read(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    sentence = read_sentence(path)
    assert sentence is None or sentence == " ".join(sentence.split()) != ""
    assert set((sentence or "").split()) <= set("\n".join(lines).split())


@given(st.text(max_size=200))
def test_any_list_of_prompts_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "prompts.txt"
    path.write_text(f"{text}\nShe had your suit. (SA1)\n", encoding="utf-8")
    assert read_prompts(path)["sa1"].endswith("She had your suit.")


def test_prepare_makes_shards(tree: Path, spoken: list[Clip], capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "lipspeakers/lipspkr3/straightcam/si466.mp4").unlink()
    out = tree / "shards"
    assert main(["prepare", "tcd-timit", str(tree), str(out), "--workers", "0", "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["written"] == 3
    assert "not filmed from the front" in printed.err
    rows = {row.id: row for row in ShardReader(out)}
    assert rows["01M/sa1"].text == "She had your dark suit in greasy wash water all year."
    assert {row.corpus for row in rows.values()} == {"tcd-timit"}
    assert rows["01M/sa1"].frames > 20
    assert rows["01M/sa1"].valid.mean() > 0.9

    only = ["--split", "volunteers-test", "--workers", "0", "--quiet"]
    assert main(["prepare", "tcd-timit", str(tree), str(tree / "test"), *only]) == 0
    assert [row.id for row in ShardReader(tree / "test")] == ["28M/si1004"]
