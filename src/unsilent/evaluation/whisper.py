"""Whisper's log-probabilities of words after given words, through CTranslate2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.evaluation.optional import require

__all__ = ["WhisperScorer", "WordTokens"]

_BATCH: Final = 32
"""Sequences scored at once: bounds the memory for a slot of hundreds of words."""

Tokens = tuple[int, ...]


class WordTokens:
    """How a model's tokeniser spells the words of a sentence.

    Args:
        tokens: the tokeniser (``tokenizers.Tokenizer``).
        capital: begin the sentence with a capital, as Whisper writes it.
    """

    def __init__(self, tokens: Any, *, capital: bool = False) -> None:
        self._tokens = tokens
        self._capital = capital

    def spell(self, word: str, *, first: bool = False) -> Tokens:
        """Tokens of a word within a sentence. A single letter is a capital, which Whisper writes letters as."""
        text = word.upper() if len(word) == 1 else word.capitalize() if first and self._capital else word
        return tuple(self._tokens.encode(f" {text}", add_special_tokens=False).ids)

    def sentence(self, words: Sequence[str]) -> Tokens:
        """Tokens of the words that begin a sentence."""
        return tuple(token for at, word in enumerate(words) for token in self.spell(word, first=at == 0))


class WhisperScorer:
    """Log-probabilities of words after given words, for one encoded sound (:class:`~.grammar.Scorer`).

    Args:
        whisper: a ``faster_whisper.WhisperModel``.
        features: (1, bands, frames) log-mel features of the sound.
        capital: see :class:`WordTokens`.
    """

    def __init__(self, whisper: Any, features: NDArray[np.float32], *, capital: bool = False) -> None:
        self._view = require("ctranslate2").StorageView
        self._model = whisper.model
        self._words = WordTokens(whisper.hf_tokenizer, capital=capital)
        self._encoded = np.asarray(self._model.encode(self._view.from_array(features), to_cpu=True))
        control = ["<|startoftranscript|>"]
        control += ["<|en|>", "<|transcribe|>"] * self._model.is_multilingual + ["<|notimestamps|>"]
        self._end = whisper.hf_tokenizer.token_to_id("<|endoftext|>")
        self._prompt = [whisper.hf_tokenizer.token_to_id(token) for token in control]

    def extend(self, prefixes: Sequence[Sequence[str]], words: Sequence[str]) -> NDArray[np.float64]:
        """Log-probability (prefixes, words) of the tokens of each word after each prefix."""
        before = [self._words.sentence(prefix) for prefix in prefixes]
        spelled = [[self._words.spell(word, first=not prefix) for word in words] for prefix in prefixes]
        known = self._log_probabilities(
            {
                (*start, *word[:at]): {other[at] for other in row if len(other) > at and other[:at] == word[:at]}
                for start, row in zip(before, spelled, strict=True)
                for word in row
                for at in range(len(word))
            }
        )
        return np.array(
            [
                [sum(known[*start, *word[:at]][token] for at, token in enumerate(word)) for word in row]
                for start, row in zip(before, spelled, strict=True)
            ]
        )

    def end(self, sentences: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Log-probability (sentences,) of the end of the text after each sentence."""
        spelled = [self._words.sentence(sentence) for sentence in sentences]
        known = self._log_probabilities({tokens: {self._end} for tokens in spelled})
        return np.array([known[tokens][self._end] for tokens in spelled])

    def _log_probabilities(self, wanted: dict[Tokens, set[int]]) -> dict[Tokens, dict[int, float]]:
        """For each sequence the log-probabilities of the tokens wanted after it."""
        # What follows a part of a longer sequence is told on the way to that one.
        on_the_way = {sequence[:at] for sequence in wanted for at in range(len(sequence))}
        longest = sorted((sequence for sequence in wanted if sequence not in on_the_way), key=len)
        found: dict[Tokens, dict[int, float]] = {}
        for start in range(0, len(longest), _BATCH):
            batch = longest[start : start + _BATCH]
            for sequence, steps in zip(batch, self._logits(batch), strict=True):
                for at, logits in enumerate(steps):
                    part = sequence[:at]
                    if part in wanted and part not in found:
                        found[part] = _log_softmax(logits, wanted[part])
        return found

    def _logits(self, sequences: Sequence[Tokens]) -> Iterator[list[NDArray[np.float32]]]:
        """For each sequence of n tokens the logits (V,) at each of them and at the next, n + 1 in all.

        Tokens after ``<|notimestamps|>`` are forced by CTranslate2 one by one, and each step returns its logits.
        """
        steps = max(len(sequence) for sequence in sequences) + 1
        results = self._model.generate(
            self._view.from_array(np.ascontiguousarray(np.repeat(self._encoded, len(sequences), axis=0))),
            [[*self._prompt, *sequence] for sequence in sequences],
            beam_size=1,
            # CTranslate2 takes half of this as the limit of new tokens, and counts the prompt in the whole.
            max_length=max(2 * steps, len(self._prompt) + steps),
            return_logits_vocab=True,
            suppress_blank=False,
            suppress_tokens=[],
        )
        for result, sequence in zip(results, sequences, strict=True):
            yield [np.asarray(step).ravel() for step in result.logits[0][: len(sequence) + 1]]


def _log_softmax(logits: NDArray[np.float32], tokens: set[int]) -> dict[int, float]:
    highest = float(logits.max())
    total = float(np.log(np.exp(logits - highest).sum(dtype=np.float64)))
    return {token: float(logits[token]) - highest - total for token in tokens}
