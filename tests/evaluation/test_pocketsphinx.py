from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.evaluation.sounds import speech

from unsilent.corpora.grid import GRAMMAR
from unsilent.errors import EvaluationError
from unsilent.evaluation.metrics import SAMPLE_RATE
from unsilent.evaluation.recogniser import load_recogniser
from unsilent.evaluation.scoring import Recogniser

GRID = tuple(tuple(slot.values()) for slot in GRAMMAR)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    pytest.importorskip("pocketsphinx")
    return load_recogniser("pocketsphinx")


def test_sentence_of_real_speech(recogniser: Recogniser, shared_data: Any) -> None:
    from unsilent.media import read_audio

    samples = read_audio(shared_data / "grid" / "s1" / "bbiz3a.mp4", SAMPLE_RATE)
    heard = recogniser.transcribe_grammar(samples, GRID, SAMPLE_RATE).split()
    assert all(word in slot for word, slot in zip(heard, GRID, strict=True))
    assert sum(a == b for a, b in zip(heard, ["bin", "blue", "in", "z", "three", "again"], strict=True)) >= 4
    assert recogniser.transcribe_grammar(samples, GRID, SAMPLE_RATE).split() == heard


def test_silence_is_heard_as_nothing(recogniser: Recogniser) -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    assert recogniser.transcribe(silence, SAMPLE_RATE) == ""
    assert recogniser.transcribe_grammar(silence, GRID) == ""


def test_noise_gives_a_legal_sentence_or_nothing(recogniser: Recogniser) -> None:
    heard = recogniser.transcribe_grammar(speech(1.0), GRID).split()
    assert not heard or all(word in slot for word, slot in zip(heard, GRID, strict=True))


def test_words_that_it_does_not_know(recogniser: Recogniser) -> None:
    with pytest.raises(EvaluationError, match=r"unsilentish: not in the dictionary of pocketsphinx \(1 words\)"):
        recogniser.transcribe_grammar(speech(0.5), (("two", "unsilentish"),))
    with pytest.raises(EvaluationError, match="without words"):
        recogniser.transcribe_grammar(speech(0.5), (("two",), ()))


def test_broken_sound_is_an_error(recogniser: Recogniser) -> None:
    with pytest.raises(EvaluationError, match="not mono, or holds NaN"):
        recogniser.transcribe(np.full(100, np.nan, np.float32), SAMPLE_RATE)


def test_name_and_version(recogniser: Recogniser) -> None:
    assert recogniser.name == "pocketsphinx-en-us"
    assert recogniser.version.startswith("pocketsphinx 5")
