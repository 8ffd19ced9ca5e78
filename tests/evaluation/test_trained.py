from __future__ import annotations

from pathlib import Path

import pytest

from unsilent.corpora.base import Clip
from unsilent.corpora.splits import packaged_lists
from unsilent.evaluation.trained import trained_note
from unsilent.models.pretrained import SHIPPED, read_card

GRID = packaged_lists("grid")


def clips(names: list[str], split: str | None = None) -> list[Clip]:
    return [Clip(name, "any", name.split("/")[0], Path(name), None, (), split) for name in names]


def card(shards: str, split: str) -> dict[str, object]:
    return {"trained_on": {"shards": shards, "split": split, "clips": 800}}


@pytest.mark.parametrize("model", ["grid", "grid-stream", "grid-wave"])
def test_shipped_models_are_told_on_by_the_list_they_learnt_from(model: str) -> None:
    known = read_card(SHIPPED / model)
    learnt, apart = sorted(GRID["s1-train"])[:30], sorted(GRID["s1-test"])[:10]
    assert trained_note(model, known, "grid", clips(learnt)) == (
        f"{model} was trained on this split: all 30 clips are of s1-train, its training data"
    )
    # Whatever the split is called: the list says which clips were learnt from.
    assert trained_note(model, known, "grid", clips([*learnt, *apart], "mine")) == (
        f"{model} was trained on 30 of these 40 clips, those of s1-train"
    )
    assert trained_note(model, known, "grid", clips(apart)) is None
    assert trained_note(model, known, "talker", clips(["a/b"], "talker-test")) is None


def test_shards_of_another_name_are_known_by_their_split() -> None:
    learnt = clips(sorted(GRID["s1-train"])[:3])
    note = trained_note("runs/mine", card("s1-crops", "s1-train"), "grid", learnt)
    assert note is not None
    assert note.startswith("runs/mine was trained on this split")


def test_a_split_without_a_list_is_what_the_corpus_says_of_its_clips() -> None:
    known = read_card(SHIPPED / "talker")
    mixed = clips(["t1/a", "t1/b"], "talker-train") + clips(["t1/c"], "talker-test")
    assert trained_note("talker", known, "talker", mixed) == (
        "talker was trained on 2 of these 3 clips, those of talker-train"
    )


def test_a_name_that_many_splits_have_is_only_a_guess() -> None:
    mine = clips(["anna/a"], "train") + clips(["anna/b"], "test")
    assert trained_note("runs/x", card("shards", "train"), "folder", mine) == (
        "runs/x may have learnt from 1 of these 2 clips: it was trained on split train of shards"
    )
    assert trained_note("runs/x", card("shards", "train"), "folder", mine[1:]) is None
    assert trained_note("runs/x", card("lrw", "train"), "folder", mine) is None, "that is another corpus"


@pytest.mark.parametrize("trained", [None, [], "grid", {"shards": "grid"}, {"shards": "grid", "split": None}])
def test_a_card_that_says_nothing(trained: object) -> None:
    assert trained_note("x", {"trained_on": trained}, "grid", clips(["s1/bbaf2n"])) is None
    assert trained_note("x", {}, "grid", []) is None
