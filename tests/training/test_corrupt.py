from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.training.corrupt import corrupt
from unsilent.training.pretrain_recipe import CorruptConfig

RATE = 8000


def speech(seconds: float = 3.0) -> NDArray[np.float32]:
    return np.random.default_rng(5).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


def made(config: CorruptConfig, seed: int = 0) -> NDArray[np.float32]:
    return corrupt(speech(), config, RATE, np.random.default_rng(seed))


def test_nothing_asked_for_is_nothing_done() -> None:
    np.testing.assert_array_equal(made(CorruptConfig(noise=0.0, mask=0.0, shift=0.0)), speech())


@given(st.floats(-5, 30), st.integers(0, 50))
@settings(max_examples=25)
def test_noise_has_the_level_that_is_asked_for(decibels: float, seed: int) -> None:
    config = CorruptConfig(noise=1.0, noise_db=(decibels, decibels), mask=0.0)
    noise = made(config, seed) - speech()
    found = 10 * np.log10(np.mean(speech() ** 2) / np.mean(noise**2))
    assert found == pytest.approx(decibels, abs=0.05)


@given(st.floats(0.01, 0.9), st.integers(0, 50))
@settings(max_examples=25)
def test_in_each_second_one_stretch_is_silenced_and_the_rest_untouched(mask: float, seed: int) -> None:
    before, clean = speech(), speech()
    heard = corrupt(clean, CorruptConfig(noise=0.0, mask=mask), RATE, np.random.default_rng(seed))
    np.testing.assert_array_equal(clean, before)
    gone = heard == 0
    np.testing.assert_array_equal(heard[~gone], clean[~gone])
    for second in range(3):
        edges = np.diff(gone[second * RATE : (second + 1) * RATE].astype(int))
        assert gone[second * RATE : (second + 1) * RATE].sum() <= mask * RATE + 1
        assert np.count_nonzero(edges) <= 2


def test_a_shift_is_bounded_and_loses_no_sample() -> None:
    shifts = set()
    for seed in range(20):
        heard = made(CorruptConfig(noise=0.0, mask=0.0, shift=0.01), seed)
        lags = [lag for lag in range(-80, 81) if np.array_equal(np.roll(speech(), lag), heard)]
        assert len(lags) == 1
        shifts.add(lags[0])
    assert len(shifts) > 5


def test_the_same_draws_make_the_same() -> None:
    config = CorruptConfig(noise=0.5, noise_db=(0.0, 20.0), mask=0.3)
    np.testing.assert_array_equal(made(config, 3), made(config, 3))
    assert not np.array_equal(made(config, 3), made(config, 4))
