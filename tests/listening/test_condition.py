"""Conditioning: pauses go, pieces keep to their lengths and loudness, and what is unfit says why."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.speech_sounds import RATE, silence, speech

from unsilent.listening import ConditionConfig, Conditioned, Unfit, active_level, condition, frame_power, normalise
from unsilent.listening import speech_activity as activity
from unsilent.listening.condition import _joined, plan_pieces

OUT = 24_000
CONFIG = ConditionConfig()


def made(*parts: float, config: ConditionConfig = CONFIG) -> Conditioned:
    result = condition(speech(*parts), config)
    assert isinstance(result, Conditioned), result
    return result


def reason(samples: np.ndarray, config: ConditionConfig = CONFIG, limit: float = 24_000) -> str:
    result = condition(np.asarray(samples, np.float32), config, limit)
    assert isinstance(result, Unfit), result
    assert result.detail
    return result.reason


def test_silence_at_both_ends_goes() -> None:
    result = made(-2.0, 3.0, -2.0)
    (piece,) = result.pieces
    assert len(piece.samples) / OUT == pytest.approx(3.0, abs=0.4)
    assert piece.start == pytest.approx(2.0, abs=0.25)
    assert result.bandwidth > 20_000
    assert result.ratio > 20


def test_long_pause_is_shortened() -> None:
    (piece,) = made(2.0, -3.0, 2.0).pieces
    assert len(piece.samples) / OUT == pytest.approx(4.0 + CONFIG.pause, abs=0.5)


def test_long_pause_ends_a_piece_that_is_long_enough() -> None:
    first, second = made(5.0, -2.0, 3.0).pieces
    assert second.start == pytest.approx(7.0, abs=0.3)
    assert len(first.samples) / OUT == pytest.approx(5.0, abs=0.5)


def test_speech_without_pauses_is_cut() -> None:
    pieces = made(16.0).pieces
    lengths = [len(piece.samples) / OUT for piece in pieces]
    assert max(lengths) <= CONFIG.longest
    assert sum(lengths) == pytest.approx(16.0, abs=0.7)


def test_word_keeps_silence_around_it() -> None:
    (piece,) = made(-1.0, 0.4, -1.0).pieces
    assert len(piece.samples) / OUT == pytest.approx(CONFIG.shortest, abs=0.02)


@pytest.mark.parametrize("gain", [0.02, 0.2, 2.0])
def test_one_loudness(gain: float) -> None:
    result = condition(speech(-0.5, 3.0, -0.5) * np.float32(gain), CONFIG.model_copy(update={"lowest_ratio": 0.0}))
    assert isinstance(result, Conditioned)
    samples = result.pieces[0].samples
    power = frame_power(samples, OUT)
    assert active_level(power, activity(samples, OUT, power)) == pytest.approx(-25, abs=0.5)
    assert np.abs(samples).max() <= 0.97 + 1e-6


def test_loudness_may_stay() -> None:
    config = CONFIG.model_copy(update={"loudness": None})
    samples = speech(-0.5, 3.0, -0.5)
    (piece,) = made(-0.5, 3.0, -0.5, config=config).pieces
    assert np.abs(piece.samples).max() == pytest.approx(np.abs(samples).max(), rel=0.05)


def test_peak_limits_the_gain() -> None:
    spiky = np.zeros(1000, np.float32)
    spiky[500] = 0.5
    assert np.abs(normalise(spiky, -60.0, -10.0)).max() == pytest.approx(0.97)
    assert np.array_equal(normalise(spiky, float("-inf"), -10.0), spiky)


def test_the_unfit_say_why() -> None:
    assert reason(np.zeros(RATE * 3)) == "silent"
    assert reason(speech(0.5)) == "too short"
    assert reason(np.clip(speech(-0.5, 3.0) * 20, -1, 1)) == "clipped"
    assert reason(speech(-1.0, 3.0, -1.0) + silence(5.0, noise=0.06)) == "noisy"
    narrow = soxr.resample(soxr.resample(speech(-1.0, 3.0, -1.0), RATE, 4_000), 4_000, RATE)
    assert reason(narrow) == "narrow band"
    click = np.zeros(RATE * 2)
    click[RATE] = 0.5
    assert reason(click) == "no speech"


def test_stored_rate_limits_the_band() -> None:
    result = condition(speech(-0.5, 3.0, -0.5), CONFIG, 8_000)
    assert isinstance(result, Conditioned)
    assert result.bandwidth == 8_000


def test_seams_do_not_click() -> None:
    config = CONFIG.model_copy(update={"loudness": None})
    # Cut in the middle of a loud tone, a seam without fades would jump by up to twice its amplitude.
    tone = 0.3 * np.sin(2 * np.pi * 97 * np.arange(OUT * 2) / OUT).astype(np.float32)
    joined = _joined(tone, [(0, 33), (71, 150)])
    assert np.abs(np.diff(joined)).max() <= 1.5 * np.abs(np.diff(tone)).max()
    assert len(joined) == (33 + 79) * 240
    assert len(made(2.0, -3.0, 2.0, config=config).pieces) == 1


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(1, 400)), min_size=0, max_size=12),
    st.floats(0.3, 2.0),
    st.floats(2.0, 9.0),
    st.floats(0.0, 1.0),
)
def test_any_pattern_gives_pieces_in_bounds(
    runs: list[tuple[int, int]], shortest: float, longest: float, pause: float
) -> None:
    active = np.concatenate([np.zeros(0, np.bool_), *(np.repeat([True, False], run) for run in runs)])
    power = np.random.default_rng(0).random(len(active))
    config = ConditionConfig(shortest=shortest, longest=longest, pause=pause, good_length=1.5)
    pieces = plan_pieces(active, power, config)
    covered = np.zeros(len(active), np.int64)
    for piece in pieces:
        length = sum(end - start for start, end in piece)
        assert round(100 * shortest) <= length <= round(100 * longest)
        assert all(0 <= start < end <= len(active) for start, end in piece)
        assert all(a[1] <= b[0] for a, b in pairwise(piece))
        for start, end in piece:
            covered[start:end] += 1
    # Nothing that is said is left out, unless the whole recording is too short.
    if len(active) >= round(100 * shortest):
        assert not (active & (covered == 0)).any()
    starts = [piece[0][0] for piece in pieces]
    assert starts == sorted(starts)
