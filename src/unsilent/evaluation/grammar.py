"""Finding the most probable sentence of a slot grammar under a model that scores words from left to right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.wer import Grammar

__all__ = ["Panel", "Scorer", "best_sentence"]


class Scorer(Protocol):
    """A left-to-right model of words that hears one sound."""

    def extend(self, prefixes: Sequence[Sequence[str]], words: Sequence[str]) -> NDArray[np.float64]:
        """Log-probability (prefixes, words) of each word after each prefix; all prefixes have one length."""
        ...

    def end(self, sentences: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Log-probability (sentences,) that nothing follows each sentence."""
        ...


class Panel:
    """Several scorers whose log-probabilities are added with weights: a product of experts (Hinton 2002)."""

    def __init__(self, scorers: Sequence[tuple[Scorer, float]]) -> None:
        self._scorers = scorers

    def extend(self, prefixes: Sequence[Sequence[str]], words: Sequence[str]) -> NDArray[np.float64]:
        """As `Scorer.extend`."""
        parts = [weight * scorer.extend(prefixes, words) for scorer, weight in self._scorers]
        return np.asarray(np.sum(parts, axis=0), np.float64)

    def end(self, sentences: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """As `Scorer.end`."""
        parts = [weight * scorer.end(sentences) for scorer, weight in self._scorers]
        return np.asarray(np.sum(parts, axis=0), np.float64)


def best_sentence(scorer: Scorer, grammar: Grammar, *, beam: int, margin: float = math.inf) -> tuple[str, ...]:
    """The words, one a slot, that have the highest sum of log-probabilities, that of the sentence's end among them.

    A slot is not decided on its own: where a word is swallowed, the model is often ahead by a word, and only the
    words that follow show which of the earlier ones fits. Without the end, a last word could never be told from one
    that its spelling begins with ("europe" in "european"): what is spelled longer is never more probable.

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
    kept: list[tuple[float, tuple[str, ...]]] = [(0.0, ())]
    for slot in grammar:
        scores = scorer.extend([words for _, words in kept], slot)
        candidates = [
            (total + float(scores[row, column]), (*words, word))
            for row, (total, words) in enumerate(kept)
            for column, word in enumerate(slot)
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        least = candidates[0][0] - margin
        kept = [candidate for candidate in candidates[:beam] if candidate[0] >= least]
    ends = scorer.end([words for _, words in kept])
    return max(zip(kept, ends, strict=True), key=lambda found: found[0][0] + float(found[1]))[0][1]
