from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.grammar import Panel, best_sentence

VOCABULARY, END = 12, 11
WORDS = {"a": [0], "b": [1], "c": [2], "d": [3], "de": [3, 4], "df": [3, 5], "ghi": [6, 7, 8]}
SLOTS = (("a", "b", "de"), ("c", "df", "de"), ("ghi", "a"))


def tokens_of(words: Sequence[str]) -> tuple[int, ...]:
    return tuple(token for word in words for token in WORDS[word])


@cache
def _next(seed: int, history: tuple[int, ...]) -> NDArray[np.float64]:
    logits = np.random.default_rng([seed, len(history), *history]).standard_normal(VOCABULARY) * 3
    return np.asarray(logits - np.log(np.exp(logits).sum()))


class Table:
    """Log-probabilities that depend on the whole history, drawn once from a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def extend(self, prefixes: Sequence[Sequence[str]], words: Sequence[str]) -> NDArray[np.float64]:
        return np.array(
            [[self.total((*prefix, word)) - self.total(tuple(prefix)) for word in words] for prefix in prefixes]
        )

    def next(self, history: tuple[int, ...]) -> NDArray[np.float64]:
        return _next(self.seed, history)

    def end(self, sentences: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        return np.array([self.next(tokens_of(sentence))[END] for sentence in sentences])

    def sentence(self, words: tuple[str, ...]) -> float:
        return self.total(words) + float(self.end([words])[0])

    def total(self, words: tuple[str, ...]) -> float:
        tokens = tokens_of(words)
        return float(sum(self.next(tokens[:at])[token] for at, token in enumerate(tokens)))


@given(st.integers(0, 40))
def test_wide_beam_finds_the_most_probable_sentence(seed: int) -> None:
    table = Table(seed)
    expected = max(itertools.product(*SLOTS), key=table.sentence)
    assert best_sentence(table, SLOTS, beam=27) == expected


def test_a_word_that_another_begins_with_can_lose_to_it() -> None:
    """By the tokens alone "d" would always be ahead of "de"."""
    slot = (("d", "de", "a"),)
    found = {best_sentence(Table(seed), slot, beam=9) for seed in range(40)}
    assert found == {("d",), ("de",), ("a",)}
    assert all(
        best_sentence(Table(seed), slot, beam=9) == max(itertools.product(*slot), key=Table(seed).sentence)
        for seed in range(40)
    )


@given(st.integers(0, 40))
def test_narrow_margin_is_a_greedy_search(seed: int) -> None:
    assert best_sentence(Table(seed), SLOTS, beam=9, margin=0.0) == best_sentence(Table(seed), SLOTS, beam=1)


@given(st.integers(0, 40), st.integers(1, 9))
def test_result_is_a_sentence_of_the_grammar(seed: int, beam: int) -> None:
    words = best_sentence(Table(seed), SLOTS, beam=beam)
    assert len(words) == len(SLOTS)
    assert all(word in slot for word, slot in zip(words, SLOTS, strict=True))


def test_empty_slots_are_refused() -> None:
    for grammar in ((), (("a",), ())):
        with pytest.raises(EvaluationError, match="without words"):
            best_sentence(Table(0), grammar, beam=2)


@given(st.integers(0, 40))
def test_panel_weighs_its_scorers(seed: int) -> None:
    first, second = Table(seed), Table(seed + 1000)
    panel = Panel([(first, 0.25), (second, 0.75)])

    def total(words: tuple[str, ...]) -> float:
        return 0.25 * first.sentence(words) + 0.75 * second.sentence(words)

    assert best_sentence(panel, SLOTS, beam=27) == max(itertools.product(*SLOTS), key=total)
    assert best_sentence(Panel([(first, 1.0), (second, 0.0)]), SLOTS, beam=9) == best_sentence(first, SLOTS, beam=9)
