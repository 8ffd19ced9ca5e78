"""GRID trees in every layout of its public copies, with the faults those copies have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.corpora.grid import GRAMMAR, GridCorpus, read_alignment, sentence
from unsilent.corpora.splits import hashed_part, load_split, packaged_lists, split_names
from unsilent.errors import CorpusError

ALIGNMENT = """\
0 23750 sil
23750 29500 bin
29500 34000 blue
34000 35500 at
35500 41000 f
41000 47250 two
47250 53000 now
53000 74500 sil
"""


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("s1/bbaf2n", "s1/lwwz9s", "s2/pgbc4p", "s10/srix3a"):
        put(tmp_path / f"{name}.mp4")
    put(tmp_path / "align/s1/bbaf2n.align", ALIGNMENT)
    return tmp_path


def test_sentence_of_a_name() -> None:
    assert sentence("bbaf2n") == ("bin", "blue", "at", "f", "two", "now")
    assert sentence("swwzzs") == ("set", "white", "with", "z", "zero", "soon")


@pytest.mark.parametrize("name", ["", "bbaf2", "bbaf2nn", "xbaf2n", "bbaw2n", "bbaf0n", "bbaf2x", "bba f2"])
def test_names_that_spell_nothing(name: str) -> None:
    assert sentence(name) is None


@given(st.tuples(*(st.sampled_from(sorted(slot)) for slot in GRAMMAR)))
def test_every_sentence_of_the_grammar_has_a_name(characters: tuple[str, ...]) -> None:
    words = sentence("".join(characters))
    assert words is not None
    assert [slot[c] for slot, c in zip(GRAMMAR, characters, strict=True)] == list(words)


def test_grammar_has_51_words() -> None:
    assert sum(len(slot) for slot in GRAMMAR) == 51


def test_clip_has_text_speaker_and_words_in_seconds(tree: Path) -> None:
    clip = GridCorpus(tree).clips()[0]
    assert (clip.id, clip.corpus, clip.speaker, clip.text) == ("s1/bbaf2n", "grid", "s1", "bin blue at f two now")
    assert [word.word for word in clip.words] == ["bin", "blue", "at", "f", "two", "now"]
    assert (clip.words[0].start, clip.words[0].end) == (0.95, 1.18)
    assert clip.words[-1].end == 2.12


def test_order_is_by_number_of_the_speaker(tree: Path) -> None:
    assert [clip.id for clip in GridCorpus(tree).clips()] == ["s1/bbaf2n", "s1/lwwz9s", "s2/pgbc4p", "s10/srix3a"]


@pytest.mark.parametrize(
    "video",
    ["s3/bbaf2n.mpg", "s3/bbaf2n.mp4", "s3/video/mpg_6000/bbaf2n.mpg", "video/s3/bbaf2n.mpg", "x/s3/video/bbaf2n.MPG"],
)
@pytest.mark.parametrize("alignment", ["align/s3/bbaf2n.align", "alignments/s3/bbaf2n.align", "s3/align/bbaf2n.align"])
def test_layouts(tmp_path: Path, video: str, alignment: str) -> None:
    put(tmp_path / video)
    put(tmp_path / alignment, ALIGNMENT)
    (clip,) = GridCorpus(tmp_path).clips()
    assert (clip.id, clip.path, len(clip.words)) == ("s3/bbaf2n", tmp_path / video, 6)


def test_root_may_be_one_speakers_folder(tmp_path: Path) -> None:
    put(tmp_path / "s7/bbaf2n.mpg")
    put(tmp_path / "s7/align/bbaf2n.align", ALIGNMENT)
    (clip,) = GridCorpus(tmp_path / "s7").clips()
    assert (clip.id, len(clip.words)) == ("s7/bbaf2n", 6)


def test_better_release_wins_and_the_other_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "a/s1/bbaf2n.mpg")
    better = put(tmp_path / "s1/video/mpg_6000/bbaf2n.mpg")
    corpus = GridCorpus(tmp_path)
    assert [clip.path for clip in corpus.clips()] == [better]
    assert corpus.dropped == {"a/s1/bbaf2n.mpg": "another file of the same clip is used"}


def test_names_without_a_sentence_are_left_out_with_a_reason(tree: Path) -> None:
    put(tree / "s1/bbaf0n.mp4")
    put(tree / "bbaf2n.mp4")
    put(tree / "s1/.bbaf3n.mp4")
    put(tree / "__MACOSX/s1/bbaf4n.mp4")
    corpus = GridCorpus(tree)
    assert len(corpus.clips()) == 4
    assert corpus.dropped == {
        "s1/bbaf0n.mp4": "the name spells no GRID sentence",
        "bbaf2n.mp4": "not in the folder of a speaker (s1 ... s34)",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ALIGNMENT.replace("blue", "green"), "alignment contradicts the clip's name"),
        ("0 74500 sil\n", "alignment contradicts the clip's name"),
        ("0 23750\n", "alignment unreadable"),
        ("0 x bin\n", "alignment unreadable"),
        ("30 20 bin\n", "alignment unreadable"),
        ("\0\0", "alignment unreadable"),
        (None, "no alignment"),
    ],
)
def test_untrusted_alignment_costs_the_word_times_only(tree: Path, text: str | None, reason: str) -> None:
    path = tree / "align/s1/bbaf2n.align"
    path.unlink()
    if text is not None:
        put(path, text)
    for name in ("s1/lwwz9s", "s2/pgbc4p", "s10/srix3a"):
        (tree / f"{name}.mp4").unlink()
    corpus = GridCorpus(tree)
    (clip,) = corpus.clips()
    assert (clip.words, clip.text) == ((), "bin blue at f two now")
    assert corpus.notes == {f"kept without word times: {reason}": 1}


def test_alignment_error_names_file_and_line(tmp_path: Path) -> None:
    path = put(tmp_path / "x.align", "0 10 sil\n10 20\n")
    with pytest.raises(CorpusError, match=r"x\.align:2: is not `start end word`"):
        read_alignment(path)


def test_alignment_in_frames_times_1000_is_the_same_unit(tmp_path: Path) -> None:
    path = put(tmp_path / "x.align", "0 1000 sil\n1000 25000 bin\n\n25000 75000 sp\n")
    (word,) = read_alignment(path)
    assert (word.word, word.start, word.end) == ("bin", 1 / 25, 1.0)


def test_root_without_grid(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no GRID video"):
        GridCorpus(tmp_path)
    with pytest.raises(CorpusError, match="is no folder"):
        GridCorpus(tmp_path / "nowhere")


# --- splits --------------------------------------------------------------------------------------------------------


def test_packaged_lists_are_disjoint_and_complete() -> None:
    lists = packaged_lists("grid")
    assert {name: len(ids) for name, ids in lists.items()} == {
        "s1-train": 800,
        "s1-val": 50,
        "s1-test": 50,
        "unseen-test": 67,
    }
    assert len(frozenset().union(*lists.values())) == 967
    assert not any(clip.startswith("s1/") for clip in lists["unseen-test"])


@pytest.mark.parametrize("protocol", ["unsilent-4-speakers", "unsilent-33-speakers", "unseen-speakers"])
def test_parts_of_a_protocol_are_disjoint_and_cover_its_speakers(protocol: str) -> None:
    parts = [load_split("grid", f"{protocol}-{part}") for part in ("train", "val", "test")]
    clips = [f"s{speaker}/{name}" for speaker in range(1, 35) for name in ("bbaf2n", "lwwz9s", "pgbc4p", "srix3a")]
    for clip in clips:
        hits = sum(clip in part for part in parts)
        assert hits <= 1
        if protocol != "unsilent-4-speakers":
            assert hits == (not clip.startswith("s21/"))
        elif hits:
            assert clip.split("/")[0] in {"s1", "s2", "s4", "s29"}


def test_published_four_speakers_are_apart_and_cover_the_rest() -> None:
    parts = [load_split("grid", f"vca-gan-4-speakers-{part}") for part in ("train", "val", "test")]
    assert [len(part.members or ()) for part in parts] == [0, 199, 200]
    train, val, test = parts
    assert val.members is not None
    assert test.members is not None
    assert val.members.isdisjoint(test.members)
    assert {clip.split("/")[0] for clip in val.members | test.members} == {"s1", "s2", "s4", "s29"}
    assert all(sentence(clip.split("/")[1]) for clip in val.members | test.members)
    assert not any(clip in train for clip in val.members | test.members)
    assert "s1/bbaf4p" in train
    assert "s3/bbaf4p" not in train
    assert train.missing(["s1/bbaf4p"]) == ["s2", "s29", "s4"]


def test_parts_of_protocols_do_not_label_clips_on_their_own(tree: Path) -> None:
    # s1/bbaf2n is in a published test list and in s1-train: without --split it is labelled as ever.
    assert "s1/bbaf2n" in load_split("grid", "vca-gan-4-speakers-test")
    assert {clip.id: clip.split for clip in GridCorpus(tree).clips()}["s1/bbaf2n"] == "s1-train"


def test_hashed_parts_are_pinned_and_close_to_90_5_5() -> None:
    # A change of the rule would silently move clips from test into train.
    assert [hashed_part(f"s1/{name}") for name in ("bbaf2n", "bbas1s", "lwwz9s")] == ["train", "val", "train"]
    counts = [hashed_part(f"s1/{i}") for i in range(20_000)]
    assert abs(counts.count("train") / 20_000 - 0.90) < 0.01
    assert abs(counts.count("val") / 20_000 - 0.05) < 0.01


def test_split_selects_and_names_its_clips(tree: Path) -> None:
    corpus = GridCorpus(tree)
    clips = corpus.clips("unseen-speakers-test")
    assert corpus.partial == "1 of 10,000 clips of split unseen-speakers-test are here"
    assert [(clip.id, clip.split) for clip in clips] == [("s2/pgbc4p", "unseen-speakers-test")]


def test_without_a_split_clips_carry_the_packaged_list_they_are_in(tree: Path) -> None:
    member = sorted(packaged_lists("grid")["s1-test"])[0]
    put(tree / f"{member}.mp4")
    by_id = {clip.id: clip.split for clip in GridCorpus(tree).clips()}
    assert by_id[member] == "s1-test"
    assert by_id["s10/srix3a"] is None


def test_missing_clips_of_a_split_are_counted(tree: Path) -> None:
    put(tree / f"{sorted(packaged_lists('grid')['s1-test'])[0]}.mp4")
    corpus = GridCorpus(tree)
    corpus.clips("s1-test")
    assert corpus.notes[f"clips of split s1-test that are not in {tree}"] == 49


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("s2/pgbc4p\n# s1/bbaf2n\n\n", "{}"),
        ("s2/video/pgbc4p.mp4\n", "{}"),
        ("s2/video/mpg_6000/pgbc4p\n", "{}"),
        ("train/s1/bbaf2n\ntest/s2/pgbc4p\n", "{}#test"),
    ],
)
def test_list_of_the_user(tree: Path, lines: str, wanted: str) -> None:
    path = put(tree / "mine.txt", lines)
    assert [clip.id for clip in GridCorpus(tree).clips(wanted.format(path))] == ["s2/pgbc4p"]


def test_unknown_split_names_those_there_are(tree: Path) -> None:
    with pytest.raises(CorpusError, match=r"neither a file nor a split of grid; there is: .*s1-train"):
        GridCorpus(tree).clips("s1-trian")
    assert "unseen-speakers-test" in split_names("grid")


@pytest.mark.parametrize("content", ["", "# nothing\n", "justaname\n"])
def test_empty_list_is_refused(tree: Path, content: str) -> None:
    with pytest.raises(CorpusError, match="lists no clip"):
        GridCorpus(tree).clips(str(put(tree / "mine.txt", content)))


def test_speakers_are_selected_and_checked(tree: Path) -> None:
    corpus = GridCorpus(tree)
    assert {clip.speaker for clip in corpus.clips(speakers={"s2", "s10"})} == {"s2", "s10"}
    with pytest.raises(CorpusError, match="s21; there is: s1, s2, s10; the rest is to be had: `unsilent fetch"):
        corpus.clips(speakers={"s21"})
    with pytest.raises(CorpusError, match="holds no clip of split s1-test"):
        corpus.clips("s1-test", speakers={"s2"})


# --- real data -----------------------------------------------------------------------------------------------------


def test_real_corpus_has_trusted_alignments(shared_data: Path) -> None:
    corpus = GridCorpus(shared_data / "grid")
    clips = corpus.clips()
    assert len(clips) == 967
    assert not corpus.dropped
    assert not corpus.notes
    assert all(0 < clip.words[0].start < clip.words[-1].end <= 3.0 for clip in clips)


def test_alignments_under_another_speaker_are_found(shared_data: Path, tmp_path: Path) -> None:
    for speaker in ("s3", "s4"):
        shutil.copytree(shared_data / "grid" / speaker, tmp_path / speaker)
    # What public copies do: the files of one speaker under the names of another's clips.
    for video, alignment in zip(
        sorted((tmp_path / "s3").iterdir()), sorted((shared_data / "grid/align/s4").iterdir()), strict=True
    ):
        target = tmp_path / "align/s3" / f"{video.stem}.align"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(alignment, target)
    corpus = GridCorpus(tmp_path)
    clips = corpus.clips(speakers={"s3"})
    different = sum(clip.words == () for clip in clips)
    assert different >= 9
    assert corpus.notes["kept without word times: alignment contradicts the clip's name"] == different
    assert all(clip.text for clip in clips)
