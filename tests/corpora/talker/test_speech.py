# ruff: noqa: RUF001 (phonetic symbols are meant)
from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.skips import needs_synthesiser

from unsilent.corpora.talker import fit, speech
from unsilent.corpora.talker.alignment import HOP_SECONDS, features, load_models, states_of
from unsilent.corpora.talker.phones import SILENCE
from unsilent.corpora.talker.sentences import draw, open_text
from unsilent.corpora.talker.speech import SAMPLE_RATE, Spoken, Synthesiser, Voice, load_synthesiser
from unsilent.errors import CorpusError

LOW = Voice(pitch=110, formants=0.86, pace=0.9)
HIGH = Voice(pitch=225, formants=1.07, pace=0.9)


@pytest.fixture(scope="module")
def synthesiser() -> Synthesiser:
    needs_synthesiser()
    return load_synthesiser()


def level(samples: NDArray[np.float32], start: float, end: float) -> float:
    """Loudness in dB, above 300 Hz: lips that close leave the hum of the voice."""
    spectrum = np.fft.rfft(samples)
    spectrum[: round(300 * len(samples) / SAMPLE_RATE)] = 0
    part = np.fft.irfft(spectrum, len(samples))[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    return float(10 * np.log10(np.mean(part**2) + 1e-10))


def median_pitch(spoken: Spoken) -> float:
    """By the cepstrum below 3 kHz, in the louder frames."""
    frames = np.lib.stride_tricks.sliding_window_view(spoken.samples, 2400)[::600] * np.hanning(2400)
    frames = frames[frames.std(axis=1) > 0.4 * frames.std(axis=1).max()]
    spectra = np.log(np.abs(np.fft.rfft(frames, SAMPLE_RATE))[:, :3000] + 1e-3)
    spectra -= spectra.mean(axis=1, keepdims=True)
    cepstra = np.abs(np.fft.rfft(spectra * np.hanning(3000), SAMPLE_RATE))
    periods = np.arange(SAMPLE_RATE // 320, SAMPLE_RATE // 70)
    return float(np.median(SAMPLE_RATE / periods[cepstra[:, periods].argmax(axis=1)]))


@pytest.mark.parametrize("voice", [Voice(), LOW, HIGH])
def test_phones_cover_the_sound_without_a_gap(synthesiser: Synthesiser, voice: Voice) -> None:
    spoken = synthesiser.say("place red with b nine please", voice, letters=True)
    assert spoken.phones[0].start == 0
    assert spoken.phones[-1].end == pytest.approx(len(spoken.samples) / SAMPLE_RATE, abs=1e-3)
    for before, after in zip(spoken.phones, spoken.phones[1:], strict=False):
        assert before.end == after.start
        assert before.start < before.release <= before.end
    said = [phone.phone for phone in spoken.phones if phone.phone != SILENCE]
    assert said == ["p", "l", "eɪ", "s", "ɹ", "ɛ", "d", "w", "ɪ", "ð", "b", "i", "n", "aɪ", "n", "p", "l", "i", "z"]
    assert [word.word for word in spoken.words] == ["place", "red", "with", "b", "nine", "please"]
    assert all(0 < word.end - word.start < 1 for word in spoken.words)


@pytest.mark.parametrize("voice", [LOW, HIGH])
def test_closures_are_quiet_and_their_releases_are_not(synthesiser: Synthesiser, voice: Voice) -> None:
    depths, bursts = [], []
    for text in (
        "Bob put a paper map above the pump.",
        "A big pony bit the apple by the boat.",
        "Maybe pepper beats bread.",
    ):
        spoken = synthesiser.say(text, voice)
        for before, phone, after in zip(spoken.phones, spoken.phones[1:], spoken.phones[2:], strict=False):
            if phone.phone in "pb" and before.phone not in (SILENCE, "m") and after.phone not in ("p", "b", SILENCE):
                middle = (phone.start + phone.release) / 2
                closed = level(spoken.samples, middle - 0.01, middle + 0.01)
                depths.append(level(spoken.samples, after.start, after.end) - closed)
                bursts.append(level(spoken.samples, phone.release, phone.release + 0.02) - closed)
    assert len(depths) >= 6
    assert np.median(depths) > 15
    assert np.mean(np.array(depths) > 6) > 0.8
    assert np.median(bursts) > 8


def test_voices_differ_in_pitch_and_not_in_duration(synthesiser: Synthesiser) -> None:
    low, high = (synthesiser.say("lay green by m four now", voice, letters=True) for voice in (LOW, HIGH))
    assert median_pitch(low) == pytest.approx(110, rel=0.12)
    assert median_pitch(high) == pytest.approx(225, rel=0.12)
    assert len(low.samples) == pytest.approx(len(high.samples), rel=0.06)


def test_speech_is_a_function_of_text_voice_and_seed(synthesiser: Synthesiser) -> None:
    first, again, other = (synthesiser.say("Come here.", LOW, seed).samples for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_letter_is_no_article(synthesiser: Synthesiser) -> None:
    assert synthesiser.spelling("at a two", letters=True) != synthesiser.spelling("at a two")
    assert "A" in synthesiser.spelling("at a two", letters=True).split()[1]


def test_every_sentence_is_spoken_as_its_words(synthesiser: Synthesiser) -> None:
    slots = open_text().slots
    texts = [*open_text().sentences, *(f"{word}." for words in slots.values() for word in words)]
    for text in texts:
        for slot, words in slots.items():
            text = text.replace(f"[{slot}]", words[0])
        assert len(synthesiser.spelling(text).split()) == len(text.split()), text


def test_what_cannot_be_said(synthesiser: Synthesiser) -> None:
    with pytest.raises(CorpusError, match="2 sentences"):
        synthesiser.say("Come here. Sit down.", LOW)
    with pytest.raises(CorpusError, match="0 sentences"):
        synthesiser.say("", LOW)
    with pytest.raises(CorpusError, match="one word for each"):
        synthesiser.say("It cost $5 then.", LOW)


def test_missing_package_and_other_network_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "hibari.tts", None)
        with pytest.raises(CorpusError, match=r"hibari-tts cannot be imported .*pip install 'unsilent\[talker\]'"):
            Synthesiser()
    needs_synthesiser()
    monkeypatch.setattr(speech, "MODEL_SHA256", "0" * 64)
    with pytest.raises(CorpusError, match=r"hibari.onnx: is not the network of hibari-tts 0.2.1"):
        Synthesiser()


def test_frames_of_the_aligner_lie_where_they_say() -> None:
    samples = np.zeros(SAMPLE_RATE, np.float32)
    samples[12_000] = 1
    heard = features(samples)
    assert heard.shape == (201, 26)
    assert heard[:, 0].argmax() * HOP_SECONDS == pytest.approx(0.5, abs=HOP_SECONDS)


def test_fitting_again_gives_models_like_those_that_come_along() -> None:
    needs_synthesiser()
    recordings = fit.record(16)
    models, shipped = fit.fit(recordings, rounds=3), load_models()
    assert set(models.means) <= set(shipped.means)
    for phone, means in models.means.items():
        assert means.shape == (states_of(phone), 26)
        assert np.isfinite(means).all()
        assert (models.variances[phone] > 0).all()
    np.testing.assert_allclose(models.means[SILENCE][0, 0], shipped.means[SILENCE][0, 0], rtol=0.15)


def test_sentences_that_are_drawn_can_be_said(synthesiser: Synthesiser) -> None:
    for number in range(6):
        text = draw("open", "train", np.random.default_rng(number))
        assert len(synthesiser.say(text, HIGH).words) == len(text.split())
