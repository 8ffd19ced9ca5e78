"""Word and character error rates: normalisation, counting with jiwer, and what guessing would score.

**Normalisation**, applied to the reference and to what a recogniser wrote, in this order: Unicode NFKC, lower case;
apostrophes dropped, any other character that is no letter or digit becomes a space; a digit and a letter that touch
are parted ("F2" -> "f 2"); every digit becomes its word ("2" -> "two", "10" -> "one zero"). For corpora whose
sentences hold letters of the alphabet (GRID), the names of letters become the letter ("queue" -> "q", "are" -> "r"):
they sound alike, and only the spelling of a recogniser tells them apart.

**The rate** of a corpus is the sum of errors over the sum of reference words (or characters, the spaces between words
among them), not the mean of the clips' rates.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from unsilent.errors import EvaluationError
from unsilent.evaluation.optional import require

__all__ = [
    "LETTER_NAMES",
    "Grammar",
    "WordErrors",
    "chance_wer",
    "count_character_errors",
    "count_errors",
    "is_sentence",
    "majority_wer",
    "normalise",
]

Grammar = Sequence[Sequence[str]]
"""The words allowed in each slot of a sentence."""

_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

LETTER_NAMES: Final[Mapping[str, str]] = {
    name: letter
    for letter, names in {
        "b": "be bee",
        "c": "see sea cee",
        "d": "dee",
        "f": "ef eff",
        "g": "gee",
        "h": "aitch",
        "i": "eye aye",
        "j": "jay",
        "k": "kay",
        "l": "el ell",
        "m": "em",
        "n": "en",
        "o": "oh owe",
        "p": "pee pea",
        "q": "queue cue kew",
        "r": "are ar",
        "s": "ess",
        "t": "tee tea",
        "u": "you ewe",
        "v": "vee",
        "x": "ex",
        "y": "why wye",
        "z": "zed zee",
    }.items()
    for name in names.split()
}
"""Spellings that sound like the name of a letter; none of them is a word of GRID."""


def normalise(text: str, *, letters: bool = False) -> str:
    """Bring a transcript into the form that is compared; see the module.

    Args:
        text: any transcript.
        letters: turn names of letters into letters.
    """
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"['\u2018\u2019`]", "", text)
    text = "".join(char if char.isalnum() else " " for char in text)
    text = re.sub(r"[0-9]", lambda match: f" {_DIGITS[int(match[0])]} ", text)
    words = text.split()
    return " ".join(LETTER_NAMES.get(word, word) for word in words) if letters else " ".join(words)


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Errors of one transcript: substitutions + deletions + insertions, and the words of its reference.

    For a character error rate both are counted in characters.
    """

    errors: int
    words: int

    @property
    def rate(self) -> float:
        """Errors over words; above 1 where much was inserted."""
        return self.errors / self.words


def count_errors(reference: str, hypothesis: str, *, letters: bool = False) -> WordErrors:
    """Normalise two transcripts and count the word errors of the second by jiwer's alignment.

    Raises:
        EvaluationError: jiwer is missing, or the reference holds no word.
    """
    expected, heard = _normalised(reference, hypothesis, letters)
    result = require("jiwer").process_words(expected, heard)
    return WordErrors(result.substitutions + result.deletions + result.insertions, len(expected.split()))


def count_character_errors(reference: str, hypothesis: str, *, letters: bool = False) -> WordErrors:
    """As :func:`count_errors`, in characters; a space between two words is one."""
    expected, heard = _normalised(reference, hypothesis, letters)
    result = require("jiwer").process_characters(expected, heard)
    return WordErrors(result.substitutions + result.deletions + result.insertions, len(expected))


def _normalised(reference: str, hypothesis: str, letters: bool) -> tuple[str, str]:
    expected = normalise(reference, letters=letters)
    if not expected:
        raise EvaluationError("the clip has no text to compare with")
    return expected, normalise(hypothesis, letters=letters)


def chance_wer(grammar: Grammar) -> float:
    """Expected word error rate of a legal sentence drawn at random: .81 for GRID."""
    return sum(1 - 1 / len(slot) for slot in grammar) / len(grammar)


def is_sentence(text: str, grammar: Grammar) -> bool:
    """Whether a text, once normalised, has one word of every slot in the grammar's order."""
    words = normalise(text).split()
    return len(words) == len(grammar) and all(
        word in slot or word in map(normalise, slot) for word, slot in zip(words, grammar, strict=True)
    )


def majority_wer(texts: Sequence[str], grammar: Grammar) -> float:
    """Word error rate on ``texts`` of the one sentence that has the most frequent word of ``texts`` in every slot.

    Raises:
        EvaluationError: a text is not of the grammar, or there is none.
    """
    for text in texts:
        if not is_sentence(text, grammar):
            raise EvaluationError(f"{text}: is no sentence of the grammar")
    sentences = [normalise(text).split() for text in texts]
    if not sentences:
        raise EvaluationError("no text; nothing to count")
    best = sum(Counter(column).most_common(1)[0][1] for column in zip(*sentences, strict=True))
    return 1 - best / (len(sentences) * len(grammar))
