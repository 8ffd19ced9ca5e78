from __future__ import annotations

from pathlib import Path

import pytest

from unsilent.corpora.base import Clip
from unsilent.corpora.listed import ListedCorpus, files_below
from unsilent.errors import CorpusError


class Folders(ListedCorpus):
    """Clips by the names of their files; GRID's packaged lists."""

    name = "grid"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for path in files_below(self.root, (".mp4",)):
            self._add(f"{path.parent.name}/{path.stem}", path)

    def _clip(self, identity: str, split: str | None) -> Clip:
        return Clip(identity, "grid", identity.split("/")[0], self._videos[identity], None, (), split)

    obtain = "the shop"

    def _sentences(self, speaker: str) -> int:
        return 3

    def _remedy(self) -> str:
        return "buy one"


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_clips_come_in_the_order_of_speakers_by_number(tmp_path: Path) -> None:
    corpus = Folders(tree(tmp_path, "s10/a.mp4", "s2/b.mp4", "s2/a.mp4", "s1/z.mp4"))
    assert [clip.id for clip in corpus.clips()] == ["s1/z", "s2/a", "s2/b", "s10/a"]
    assert [clip.id for clip in corpus.clips(speakers={"s2"})] == ["s2/a", "s2/b"]


def test_a_second_file_of_a_clip_is_left_out_with_its_reason(tmp_path: Path) -> None:
    corpus = Folders(tree(tmp_path, "copy/s1/a.mp4", "s1/a.mp4"))
    assert len(corpus.clips()) == 1
    assert corpus.dropped == {"s1/a.mp4": "another file of the same clip is used"}


def test_what_is_missing_of_a_split_is_counted(tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text("s1/a\ns1/b\ns2/c\n")
    corpus = Folders(tree(tmp_path / "grid", "s1/a.mp4", "s1/x.mp4"))
    assert [clip.id for clip in corpus.clips(str(listed))] == ["s1/a"]
    assert list(corpus.notes.values()) == [2]


def test_how_much_is_here_of_a_split_that_speakers_make_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"s{speaker}/{clip}.mp4" for speaker in (9, 20, 23, 27, 29, 30, 34) for clip in "abc"]
    corpus = Folders(tree(tmp_path, *names[:4], "s1/x.mp4"))
    corpus.clips("unseen-speakers-val")
    assert corpus.partial == "4 of 21 clips of split unseen-speakers-val are here"
    assert corpus.partial in caplog.text
    whole = Folders(tree(tmp_path / "whole", *names))
    whole.clips("unseen-speakers-val")
    assert whole.partial is None
    # Which names a rule would choose is not known of clips that are not here.
    ruled = Folders(tree(tmp_path / "ruled", "s1/a.mp4", "s1/b.mp4"))
    monkeypatch.setattr("unsilent.corpora.splits.hashed_part", lambda name: "val" if name == "s1/b" else "train")
    ruled.clips("unsilent-4-speakers-val")
    drawn = "2 of the 12 clips that split unsilent-4-speakers-val is drawn from are here"
    assert ruled.partial == f"{drawn}, 1 of them in it"


def test_where_no_split_is_asked_for_nothing_is_missing(tmp_path: Path) -> None:
    corpus = Folders(tree(tmp_path, "s1/a.mp4"))
    corpus.clips()
    assert corpus.partial is None


@pytest.mark.parametrize(
    ("split", "speakers", "said"),
    [
        (None, {"s7"}, "no video of speaker s7; there is: s1, s2; the rest is to be had: the shop"),
        ("s1-test", None, r"holds no clip of split s1-test; add its speakers \(to be had: the shop\), or"),
        ("no-such-split", None, "no-such-split"),
    ],
)
def test_mistakes_name_the_remedy(tmp_path: Path, split: str | None, speakers: set[str] | None, said: str) -> None:
    corpus = Folders(tree(tmp_path, "s1/mine.mp4", "s2/mine.mp4"))
    with pytest.raises(CorpusError, match=said):
        corpus.clips(split, speakers=speakers)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is no folder; buy one"):
        Folders(tmp_path / "none")


def test_hidden_files_and_what_macos_adds_are_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, "b/2.MP4", "a/1.mp4", ".git/x.mp4", "__MACOSX/1.mp4", "a/._1.mp4", "a/1.txt")
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, (".mp4",))]
    assert found == ["a/1.mp4", "b/2.MP4"]
