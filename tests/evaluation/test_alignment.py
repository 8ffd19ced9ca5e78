"""Finding how far two recordings are out of step, and moving one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.sounds import speech, with_noise

from unsilent.errors import EvaluationError
from unsilent.evaluation.alignment import MAX_OFFSET, move, offset
from unsilent.evaluation.metrics import estoi, estoi_aligned, measure, offset_ms, stoi, stoi_aligned

RATE = 24_000


@pytest.mark.parametrize("seconds", [-0.08, -0.0123, 0.0, 0.02, 0.1])
def test_a_known_offset_is_found_in_noise(seconds: float) -> None:
    clean = speech(2.5)
    late = with_noise(move(clean, round(seconds * RATE)), 15)
    assert offset(clean, late) == pytest.approx(-seconds, abs=0.003)


def test_silence_and_shortness_have_none() -> None:
    clean = speech(2.0)
    with pytest.raises(EvaluationError, match="never changes"):
        offset(clean, np.zeros_like(clean))
    with pytest.raises(EvaluationError, match=r"too short to find their offset \(0\.25 s, 0\.6 s are needed\)"):
        offset(clean[:6000], clean[:6000])
    assert offset(clean[:14_400], clean[:14_400]) == pytest.approx(0, abs=1e-3), "0.6 s are enough"


def test_metrics_of_short_clips_are_missing_and_not_the_plain_ones() -> None:
    clean = speech(0.55)
    late = move(clean, 480)
    for name in ("offset_ms", "stoi_aligned", "estoi_aligned"):
        found = measure(name, clean, late)
        assert found.value is None
        assert found.reason is not None
        assert "too short to find their offset" in found.reason
    assert measure("mel_l1", clean, late).value is not None


@given(st.integers(0, 50), st.integers(-60, 60))
def test_moving_keeps_the_length_and_what_stays_inside(length: int, count: int) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    moved = move(samples, count)
    assert len(moved) == length
    for index in range(length):
        source = index - count
        assert moved[index] == (samples[source] if 0 <= source < length else 0)


def test_aligned_metrics_forgive_an_offset_that_the_plain_ones_punish() -> None:
    pytest.importorskip("pystoi")
    clean = speech(2.5)
    late = move(clean, round(0.03 * RATE))
    assert estoi(clean, late) < 0.8
    assert estoi_aligned(clean, late) > 0.97
    assert stoi_aligned(clean, late) > stoi(clean, late)
    assert offset_ms(clean, late) == pytest.approx(30, abs=3)
    assert offset_ms(clean, clean) == pytest.approx(0, abs=1)
    assert MAX_OFFSET > 0.1
