from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.evaluation.sounds import speech, with_noise

from unsilent.evaluation.mcd import (
    ORDER,
    RATE,
    log_spectral_distance,
    mel_cepstra,
    mel_cepstral_distortion,
    warped_mean,
)
from unsilent.evaluation.metrics import resample


def _plain_warp(first: NDArray[np.float64], second: NDArray[np.float64], reach: int) -> float:
    """The textbook's table."""
    gaps = np.linalg.norm(first[:, None] - second[None], axis=2)
    costs, lengths = (np.full((len(first) + 1, len(second) + 1), value) for value in (np.inf, 0.0))
    costs[0, 0] = 0
    for i in range(len(first)):
        for j in range(len(second)):
            if abs(i - j) <= reach:
                _, _, before = min((costs[at], rank, at) for rank, at in enumerate([(i, j), (i, j + 1), (i + 1, j)]))
                costs[i + 1, j + 1] = costs[before] + gaps[i, j]
                lengths[i + 1, j + 1] = lengths[before] + 1
    return float(costs[-1, -1] / lengths[-1, -1])


@settings(max_examples=40)
@given(st.integers(1, 25), st.integers(1, 25), st.integers(0, 30), st.integers(0, 99))
def test_warping_is_the_textbooks(first: int, second: int, reach: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.normal(size=(first, 3)), random.normal(size=(second, 3))
    expected = _plain_warp(one, other, max(reach, abs(first - second)))
    assert warped_mean(one, other, reach=reach) == pytest.approx(expected)


def test_cepstra_are_the_cosine_series_of_the_warped_log_spectrum() -> None:
    # A recursive filter has the mel-cepstrum of its own log spectrum, worked out here by a sum over the warped axis.
    random = np.random.default_rng(0)
    sound = random.standard_normal(RATE).astype(np.float32)
    coloured = np.zeros_like(sound)
    for at in range(1, len(sound)):
        coloured[at] = sound[at] + 0.9 * coloured[at - 1]
    steps = np.linspace(0, np.pi, 20_001)
    warped = steps + 2 * np.arctan2(0.41 * np.sin(steps), 1 - 0.41 * np.cos(steps))
    logs = -np.log(np.abs(1 - 0.9 * np.exp(-1j * steps)))
    orders = np.arange(1, ORDER + 1)[:, None]
    expected = 2 / np.pi * np.trapezoid(logs * np.cos(orders * warped), warped, axis=1)
    found = mel_cepstra(coloured)[20:-20].mean(axis=0) - mel_cepstra(sound)[20:-20].mean(axis=0)
    assert np.abs(found - expected).max() < 0.06
    assert expected[0] > 0.5


def test_distortion_of_a_known_tilt() -> None:
    # Adding 0.1 to c1 adds 0.1 cos(w) to the natural log amplitude: 10 / ln 10 * sqrt(2) * 0.1 dB.
    steps = np.linspace(0, np.pi, RATE + 1)
    warped = steps + 2 * np.arctan2(0.41 * np.sin(steps), 1 - 0.41 * np.cos(steps))
    sound = np.random.default_rng(1).standard_normal(2 * RATE)
    tilted = np.fft.irfft(np.fft.rfft(sound) * np.exp(0.1 * np.cos(warped)))
    found = mel_cepstral_distortion(sound.astype(np.float32), tilted.astype(np.float32))
    assert found == pytest.approx(10 / np.log(10) * np.sqrt(2) * 0.1, rel=0.1)


def test_distortion_ignores_gain_and_a_small_delay() -> None:
    sound = resample(speech(), RATE)
    assert mel_cepstral_distortion(sound, sound) == 0
    assert mel_cepstral_distortion(sound, 0.1 * sound) < 1e-3
    late = np.concatenate([np.zeros(800, np.float32), sound])[: len(sound)]
    noisy = resample(with_noise(speech(), 20), RATE)
    assert mel_cepstral_distortion(sound, late) < 0.5 * mel_cepstral_distortion(sound, noisy)


def test_log_spectral_distance_of_a_gain_is_the_gain() -> None:
    sound = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert log_spectral_distance(sound, sound) == 0
    assert log_spectral_distance(sound, 2 * sound) == pytest.approx(20 * np.log10(2), abs=1e-3)
    # Silence lies on the floor, so that the distance is bounded.
    assert 20 < log_spectral_distance(sound, np.zeros_like(sound)) < 60
