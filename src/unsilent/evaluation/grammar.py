"""Finding the most probable sentence of a slot grammar under a model that scores tokens from left to right."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.wer import Grammar

__all__ = ["Scorer", "best_sentence"]


class Scorer(Protocol):
    """A left-to-right language model that hears one sound."""

    def spell(self, word: str) -> list[int]:
        """Tokens of a word within a sentence."""
        ...

    def log_probabilities(self, sequences: list[list[int]]) -> list[NDArray[np.float64]]:
        """For each sequence (n tokens) the log-probabilities (n + 1, V) of the token at each position and the next."""
        ...


def best_sentence(scorer: Scorer, grammar: Grammar, *, beam: int, margin: float = math.inf) -> tuple[str, ...]:
    """The words, one a slot, whose tokens have the highest sum of log-probabilities.

    A slot is not decided on its own: where a word is swallowed, the model is often ahead by a word, and only the
    words that follow show which of the earlier ones fits.

    Args:
        scorer: the model.
        grammar: words of each slot.
        beam: partial sentences kept from slot to slot.
        margin: partial sentences whose log-probability is that far below the best are dropped as well.

    Raises:
        EvaluationError: the grammar or one of its slots is empty.
    """
    if not grammar or not all(grammar):
        raise EvaluationError("the grammar has a slot without words; give at least one word a slot")
    kept: list[tuple[float, tuple[str, ...], list[int]]] = [(0.0, (), [])]
    for slot in grammar:
        spelled = [scorer.spell(word) for word in slot]
        scores = _extend(scorer, [tokens for _, _, tokens in kept], spelled)
        candidates = [
            (total + scores[row, column], (*words, word), tokens + spelled[column])
            for row, (total, words, tokens) in enumerate(kept)
            for column, word in enumerate(slot)
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        least = candidates[0][0] - margin
        kept = [candidate for candidate in candidates[:beam] if candidate[0] >= least]
    return kept[0][1]


def _extend(scorer: Scorer, prefixes: list[list[int]], words: list[list[int]]) -> NDArray[np.float64]:
    """Log-probability (prefixes, words) of each word after each prefix."""
    ahead = scorer.log_probabilities(prefixes)
    scores = np.array([[step[-1][word[0]] for word in words] for step in ahead])
    for column, word in enumerate(words):
        if len(word) > 1:
            rest = scorer.log_probabilities([prefix + word[:-1] for prefix in prefixes])
            for row, (prefix, step) in enumerate(zip(prefixes, rest, strict=True)):
                scores[row, column] += sum(step[len(prefix) + at][token] for at, token in enumerate(word) if at)
    return scores
