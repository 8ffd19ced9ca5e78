"""Every corpus by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from unsilent.cli import main
from unsilent.corpora.base import Clip
from unsilent.corpora.grid import GRAMMAR
from unsilent.corpora.lrw import WORDS
from unsilent.corpora.registry import CORPORA, open_corpus
from unsilent.corpora.splits import load_split
from unsilent.corpora.talker import TalkerCorpus
from unsilent.errors import CorpusError

UNTESTED = {"tcd-timit", "lrw", "lrs2", "lrs3"}


def test_names() -> None:
    assert set(CORPORA) == {"grid", "folder", "talker"} | UNTESTED
    assert {name for name, info in CORPORA.items() if not info.tested_on_real} == UNTESTED
    assert all(name == info.name for name, info in CORPORA.items())


@pytest.mark.parametrize("name", CORPORA)
def test_every_split_says_what_it_is(name: str) -> None:
    info = CORPORA[name]
    assert info.default_split is None or info.default_split in info.splits
    assert all(len(about) > 10 for about in info.splits.values())
    assert info.licence
    assert info.obtain


@pytest.mark.parametrize("name", ["grid", "tcd-timit"])
def test_packaged_splits_can_be_loaded(name: str) -> None:
    for split, about in CORPORA[name].splits.items():
        loaded = load_split(name, split)
        assert loaded.members or loaded.speakers
        assert split.startswith("unsilent-") <= ("Ours" in about or "ours" in about)


def test_grammars() -> None:
    assert CORPORA["grid"].grammar == tuple(tuple(slot.values()) for slot in GRAMMAR)
    assert CORPORA["lrw"].grammar == (WORDS,)
    assert CORPORA["lrs3"].grammar is None


def test_open(spoken: list[Clip]) -> None:
    corpus = open_corpus("talker", spoken[0].path.parent.parent)
    assert isinstance(corpus, TalkerCorpus)
    assert corpus.grammar is None
    assert open_corpus("folder", str(spoken[0].path.parent)).name == "folder"


def test_unknown_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="voxceleb: is no known corpus; there is: grid, tcd-timit, lrw"):
        open_corpus("voxceleb", tmp_path)


@pytest.mark.parametrize("name", CORPORA)
def test_prepare_has_a_command_for_it(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", name, "--help"]) == 0
    shown = " ".join(re.sub(r"[^\w .,:/~-]", " ", capsys.readouterr().out).split())
    assert ("untested on real data" in shown) == (name in UNTESTED)
    assert all(split in shown for split in CORPORA[name].splits)
    assert main(["prepare", name, str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "nowhere" in error
    assert not (tmp_path / "out").exists()


def test_prepare_of_an_unknown_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "voxceleb", str(tmp_path), str(tmp_path)]) == 2
    assert "voxceleb" in capsys.readouterr().err


@pytest.mark.parametrize("name", CORPORA)
def test_the_page_about_data_has_it(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    first, splits = page.split("## Splits")[0], page.split("## Splits")[1].split("\n## ")[0]
    (row,) = [line for line in first.splitlines() if re.match(rf"\| `{name}` \|.*\|.*\|.*\|.*\|", line)]
    assert ("**untested on real data**" in row) == (name in UNTESTED)
    named = set(re.findall(r"`([\w-]+)`", splits))
    for stem, parts in re.findall(r"`([\w-]+-)\{([\w,]+)\}`", splits):
        named |= {stem + part for part in parts.split(",")}
    assert set(CORPORA[name].splits) <= named
