from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.corpora.grid import GRAMMAR
from unsilent.corpora.talker.sentences import draw, open_text, part_of, read_templates
from unsilent.errors import CorpusError


@given(st.integers(0, 2**31), st.sampled_from(["grid", "open"]), st.sampled_from(["train", "val", "test"]))
def test_sentence_is_of_the_part_that_was_asked_for(seed: int, kind: str, part: str) -> None:
    text = draw(kind, part, np.random.default_rng(seed))
    assert part_of(text) == part
    assert draw(kind, part, np.random.default_rng(seed)) == text
    assert "[" not in text
    if kind == "grid":
        assert all(word in slot.values() for word, slot in zip(text.split(), GRAMMAR, strict=True))


def test_part_depends_on_the_words_alone() -> None:
    assert part_of("Bob moved the map.") == part_of("bob moved the MAP")
    assert {part_of(f"sentence {number}") for number in range(200)} == {"train", "val", "test"}


def test_open_text_is_varied() -> None:
    rng = np.random.default_rng(0)
    texts = [draw("open", None, rng) for _ in range(500)]
    assert len(set(texts)) > 400
    words = {word for text in texts for word in re.findall(r"[a-z']+", text.lower())}
    assert len(words) > 350
    assert max(len(text.split()) for text in texts) <= 12
    assert len(open_text().sentences) > 100


def test_unknown_slot_and_kind() -> None:
    with pytest.raises(CorpusError, match="no slot is called where; define it with `@where"):
        read_templates("@who: Bob\n[who] went [where].")
    with pytest.raises(CorpusError, match="verse: no such kind of sentences; choose from grid, open"):
        draw("verse", None, np.random.default_rng(0))
