from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.evaluation.sounds import speech

from unsilent.errors import EvaluationError
from unsilent.evaluation import metrics
from unsilent.evaluation.metrics import resample
from unsilent.evaluation.pitch import RATE, f0_rmse, pitch, voicing_error

pytest.importorskip("swift_f0")


def voice(hertz: float, seconds: float = 1.0) -> NDArray[np.float32]:
    """A buzz of twenty harmonics, between two silences of half a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 20))
    return np.asarray(np.pad(0.2 * buzz, RATE // 2), np.float32)


@pytest.mark.parametrize("hertz", [90.0, 140.0, 220.0])
def test_pitch_of_a_buzz(hertz: float) -> None:
    found = pitch(voice(hertz))
    assert len(found) == 2 * RATE // 256
    assert np.isnan(found[:25]).all()
    assert np.nanmedian(found) == pytest.approx(hertz, rel=0.01)
    assert 55 <= (~np.isnan(found)).sum() <= 70


def test_pitch_follows_a_gliding_voice() -> None:
    samples = resample(speech(3.0), RATE)
    time = (np.arange(len(samples) // 256)) * 256 / RATE
    # As `speech` draws it: 110 Hz and 20 Hz of swing, with a phase out of its seed.
    phase = np.random.default_rng(0).uniform(0, 6)
    expected = 110 + 20 * np.sin(2 * np.pi * 0.7 * time + phase)
    found = pitch(samples)[: len(expected)]
    voiced = ~np.isnan(found)
    assert voiced.mean() > 0.3
    assert np.median(np.abs(found[voiced] - expected[voiced])) < 4


def test_difference_of_two_voices() -> None:
    assert f0_rmse(voice(140), voice(140)) == 0
    assert f0_rmse(voice(140), voice(150)) == pytest.approx(10, abs=2)


def test_frames_that_one_alone_voices() -> None:
    assert voicing_error(voice(140), voice(140)) == 0
    half = voice(140)
    half[RATE:] = 0
    assert voicing_error(voice(140), half) == pytest.approx(0.25, abs=0.03)


def test_nothing_voiced_in_both_is_an_error() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    with pytest.raises(EvaluationError, match="voiced in both"):
        f0_rmse(voice(140), noise)
    with pytest.raises(EvaluationError, match="empty"):
        pitch(np.zeros(0, np.float32))


def test_silence_has_a_voicing_error_and_no_pitch() -> None:
    sound = speech()
    assert 0.1 < metrics.voicing_error(sound, np.zeros_like(sound)) < 1
    assert "silence" in str(metrics.measure("f0_rmse", sound, np.zeros_like(sound)).reason)
    assert "silence" in str(metrics.measure("voicing_error", np.zeros_like(sound), sound).reason)
