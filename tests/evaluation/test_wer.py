from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.corpora.grid import GRAMMAR
from unsilent.errors import EvaluationError
from unsilent.evaluation.wer import (
    LETTER_NAMES,
    chance_wer,
    count_character_errors,
    count_errors,
    is_sentence,
    majority_wer,
    normalise,
)

GRID = tuple(tuple(slot.values()) for slot in GRAMMAR)
sentences = st.lists(st.sampled_from(["bin", "blue", "at", "two", "now", "f"]), min_size=1, max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bin blue, at F two now.", "bin blue at f two now"),
        ("bin blue at F2 now", "bin blue at f two now"),
        ("set white in R 10 soon!", "set white in r one zero soon"),
        ("it's  O\u2019Clock", "its oclock"),
        ("place-red with\u00a0B\uff11", "place red with b one"),
        ("", ""),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_names_of_letters_are_letters_only_where_asked() -> None:
    assert normalise("lay blue by queue one", letters=True) == "lay blue by q one"
    assert normalise("lay blue by queue one") == "lay blue by queue one"


def test_no_word_of_grid_is_a_letters_name() -> None:
    assert not set(LETTER_NAMES) & {word for slot in GRID for word in slot}


@given(st.text(max_size=40), st.booleans())
def test_normalisation_is_idempotent(text: str, letters: bool) -> None:
    once = normalise(text, letters=letters)
    assert normalise(once, letters=letters) == once


@given(sentences, sentences)
def test_errors_are_those_of_jiwer(reference: str, hypothesis: str) -> None:
    jiwer = pytest.importorskip("jiwer")
    found = count_errors(reference, hypothesis)
    assert found.words == len(reference.split())
    assert found.rate == pytest.approx(jiwer.wer(reference, hypothesis))


@given(sentences, sentences)
def test_character_errors_are_those_of_jiwer(reference: str, hypothesis: str) -> None:
    jiwer = pytest.importorskip("jiwer")
    found = count_character_errors(reference, hypothesis)
    assert found.words == len(reference)
    assert found.rate == pytest.approx(jiwer.cer(reference, hypothesis))


def test_character_errors_are_of_normalised_text() -> None:
    pytest.importorskip("jiwer")
    assert count_character_errors("bin blue at f two", "Bin blue, at F 2!").errors == 0
    assert count_character_errors("at r", "at are", letters=True).errors == 0
    assert count_character_errors("at r", "at are").errors == 2
    with pytest.raises(EvaluationError, match="no text"):
        count_character_errors("...", "two")


def test_silence_is_all_deletions() -> None:
    pytest.importorskip("jiwer")
    assert count_errors("bin blue at f two now", "").rate == 1.0


def test_no_text_is_an_error() -> None:
    pytest.importorskip("jiwer")
    with pytest.raises(EvaluationError, match="no text"):
        count_errors(" . ", "bin")


def test_missing_jiwer_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(EvaluationError, match=r"pip install 'unsilent\[eval\]'"):
        count_errors("bin", "bin")


def test_chance_on_grid() -> None:
    assert chance_wer(GRID) == pytest.approx((3 * 3 / 4 + 24 / 25 + 9 / 10 + 3 / 4) / 6)


def test_majority_words() -> None:
    texts = ["bin blue at f two now", "bin blue at g two now", "lay red in h one soon"]
    assert majority_wer(texts, GRID) == pytest.approx(1 - (2 + 2 + 2 + 1 + 2 + 2) / 18)


def test_majority_of_a_sentence_that_is_none() -> None:
    with pytest.raises(EvaluationError, match="hello world: is no sentence"):
        majority_wer(["hello world"], GRID)


def test_sentences_are_known_once_normalised() -> None:
    assert is_sentence("Bin blue, at F 2 now!", GRID)
    assert not is_sentence("bin blue at f two", GRID)
    assert not is_sentence("hello there world", GRID)
    assert is_sentence("don't", (("don't", "yes"),)), "a word of the grammar is normalised as well"
