"""Activity: speech is found where it is, at any level; silence, hum and noise are not."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.speech_sounds import silence, speech

from unsilent.listening import frame_power, signal_to_noise, speech_activity, stretches

RATE = 24_000


def sound(*parts: float) -> NDArray[np.float32]:
    return np.asarray(soxr.resample(speech(*parts), 48_000, RATE), np.float32)


def test_speech_is_found_between_pauses() -> None:
    active = speech_activity(sound(-1.0, 2.0, -1.5, 1.0, -0.5), RATE)
    assert len(active) == 600
    found = stretches(active)
    assert len(found) == 2
    for (start, end), (first, last) in zip(found, [(100, 300), (450, 550)], strict=True):
        assert abs(start - first) <= 25
        assert abs(end - last) <= 25


@pytest.mark.parametrize("gain", [1e-3, 0.1, 3.0])
def test_level_does_not_matter(gain: float) -> None:
    samples = sound(-0.5, 1.5, -1.0, 1.0)
    here, there = speech_activity(samples, RATE), speech_activity(samples * np.float32(gain), RATE)
    assert np.mean(here == there) > 0.98


def test_short_gaps_are_speech() -> None:
    assert len(stretches(speech_activity(sound(1.0, -0.12, 1.0), RATE))) == 1


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(RATE), np.zeros(100)])
def test_silence_is_no_speech(samples: NDArray[np.float64]) -> None:
    assert not speech_activity(samples.astype(np.float32), RATE).any()


def test_hum_under_speech_does_not_count() -> None:
    samples = sound(-1.0, 2.0, -1.0)
    hum = 0.1 * np.sin(2 * np.pi * 30 * np.arange(len(samples)) / RATE).astype(np.float32)
    power = frame_power(samples + hum, RATE)
    active = speech_activity(samples + hum, RATE, power)
    assert abs(int(active.sum()) - 200) < 50
    assert signal_to_noise(power, active) > 20


@pytest.mark.parametrize("noise", [1e-3, 1e-2])
def test_ratio_is_measured(noise: float) -> None:
    samples = sound(-1.0, 2.0, -1.0)
    active = speech_activity(samples, RATE)
    noisy = samples + silence(4.0, noise=noise, rate=RATE)
    expected = 10 * np.log10(frame_power(samples, RATE)[active].mean() / noise**2)
    assert signal_to_noise(frame_power(noisy, RATE), active) == pytest.approx(expected, abs=1.0)


def test_ratio_without_pause_or_speech() -> None:
    power = frame_power(sound(1.0), RATE)
    assert signal_to_noise(power, np.ones(100, np.bool_)) > 5
    assert signal_to_noise(power, np.zeros(100, np.bool_)) == 0
    assert signal_to_noise(np.zeros(0), np.zeros(0, np.bool_)) == 0


@settings(max_examples=50)
@given(st.lists(st.booleans(), max_size=60))
def test_stretches_say_where_it_is_true(flags: list[bool]) -> None:
    back = np.zeros(len(flags), np.bool_)
    for start, end in stretches(np.array(flags, np.bool_)):
        assert start < end
        assert not back[max(0, start - 1) : end].any()
        back[start:end] = True
    assert back.tolist() == flags
