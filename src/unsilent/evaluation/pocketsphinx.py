"""The small recogniser: PocketSphinx (Huggins-Daines et al. 2006; BSD) with the English model of its package.

Hidden Markov models of the nineties: 37 MB, and within a grammar a tenth of the time of Whisper at several times its
errors. It is a check that a difference between two systems is not a whim of one recogniser, and it runs where there is
little memory. Wider beams than the package's own cost time and change nothing: on every fifth clip of s1-val .10 of the
words of the real sound are wrong with its own beams, with 1e-60 and with 1e-80.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from unsilent.errors import EvaluationError
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples, resample
from unsilent.evaluation.optional import installed_version, require
from unsilent.evaluation.wer import Grammar

__all__ = ["PocketsphinxRecogniser"]

_RATE: Final = 16_000
_GRAMMAR: Final = "slots"
_ALSO: Final = {"z": ("zed",)}
"""Words that are said in a second way, and how the dictionary spells that."""


class PocketsphinxRecogniser:
    """PocketSphinx that transcribes freely, or within a grammar. Deterministic.

    Raises:
        EvaluationError: the package is missing.
    """

    name = "pocketsphinx-en-us"

    free_method = "Free decoding: the package's English trigram model and dictionary, default beams."
    constrained_method = (
        "Viterbi search of the grammar as a finite-state network, every word of a slot equally likely, default beams; "
        "legal sentences only, but no words where the search does not reach the end."
    )

    def __init__(self) -> None:
        self._package: Any = require("pocketsphinx")
        self._free: Any = None
        self._slots: tuple[tuple[str, ...], ...] | None = None
        self._bound: Any = None

    @property
    def version(self) -> str:
        """Version of the package, which brings the model."""
        return f"pocketsphinx {installed_version('pocketsphinx')}"

    def transcribe(self, samples: Samples, sample_rate: int = SAMPLE_RATE) -> str:
        """Words heard in (n,) samples.

        Raises:
            EvaluationError: the samples are not finite.
        """
        if self._free is None:
            self._free = self._package.Decoder(samprate=_RATE, loglevel="FATAL")
        return self._decode(self._free, samples, sample_rate)

    def transcribe_grammar(self, samples: Samples, grammar: Grammar, sample_rate: int = SAMPLE_RATE) -> str:
        """The sentence of the grammar that fits (n,) samples best; empty where the search finds none.

        Raises:
            EvaluationError: a slot is empty, a word is not in the dictionary, or the samples are not finite.
        """
        slots = tuple(tuple(slot) for slot in grammar)
        if self._slots != slots:
            self._bound = self._decoder(slots)
            self._slots = slots
        return " ".join(_word(entry) for entry in self._decode(self._bound, samples, sample_rate).split())

    def _decoder(self, slots: tuple[tuple[str, ...], ...]) -> Any:
        if not slots or not all(slots):
            raise EvaluationError("the grammar has a slot without words; give at least one word a slot")
        decoder = self._package.Decoder(samprate=_RATE, lm=None, loglevel="FATAL")
        unknown = sorted({word for slot in slots for word in slot if decoder.lookup_word(_entries(word)[0]) is None})
        if unknown:
            raise EvaluationError(
                f"{', '.join(unknown[:5])}: not in the dictionary of pocketsphinx ({len(unknown)} words); take Whisper"
            )
        entries = [[entry for word in slot for entry in _entries(word)] for slot in slots]
        rule = " ".join(f"({' | '.join(slot)})" for slot in entries)
        decoder.add_jsgf_string(_GRAMMAR, f"#JSGF V1.0; grammar {_GRAMMAR}; public <sentence> = {rule};")
        decoder.activate_search(_GRAMMAR)
        return decoder

    def _decode(self, decoder: Any, samples: Samples, sample_rate: int) -> str:
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise EvaluationError("the sound is not mono, or holds NaN or infinity; the system that made it is broken")
        heard = np.clip(resample(samples, _RATE, sample_rate), -1, 1)
        if not np.any(heard):
            return ""
        decoder.start_utt()
        decoder.process_raw((heard * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return "" if found is None else str(found.hypstr)


def _entries(word: str) -> tuple[str, ...]:
    """The word in the dictionary, where the name of a letter ends in a dot: "a" is the article, "a." the letter."""
    return (f"{word}." if len(word) == 1 else word, *_ALSO.get(word, ()))


def _word(entry: str) -> str:
    return next((word for word, others in _ALSO.items() if entry in others), entry.rstrip("."))
