from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.listening.loudness import LOUDEST_PEAK, active_level, normalise


def test_the_level_is_that_of_the_frames_with_speech() -> None:
    power = np.array([0.01, 1e-8, 0.01, 1e-8])
    assert active_level(power, np.array([True, False, True, False])) == pytest.approx(-20.0)
    assert active_level(power, np.zeros(4, np.bool_)) == float("-inf")
    assert active_level(np.zeros(4), np.ones(4, np.bool_)) == float("-inf")


@given(st.floats(-60, 0), st.floats(-40, 0), st.floats(0.01, 1.0))
def test_the_target_is_met_unless_the_peak_would_clip(level: float, target: float, peak: float) -> None:
    samples = np.array([0.0, -peak, peak / 2], np.float32)
    made = normalise(samples, level, target)
    gain = float(np.abs(made).max()) / float(np.abs(samples).max())
    assert np.abs(made).max() <= LOUDEST_PEAK + 1e-6
    wanted = 10 ** ((target - level) / 20)
    assert gain == pytest.approx(min(wanted, LOUDEST_PEAK / peak), rel=1e-5)


def test_silence_and_an_unknown_level_stay_as_they_are() -> None:
    silence, sound = np.zeros(10, np.float32), np.full(10, 0.1, np.float32)
    assert normalise(silence, -30.0, -25.0) is silence
    assert normalise(sound, float("-inf"), -25.0) is sound
    assert len(normalise(np.zeros(0, np.float32), -30.0, -25.0)) == 0
