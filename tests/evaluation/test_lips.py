from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.lips import MAX_OFFSET, RATE, lip_offset


def talking(delay: float, seconds: float = 3.0, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lips (T,) that open at random, and a hum that is as loud as they are open, ``delay`` seconds later."""
    random = np.random.default_rng(seed)
    fine = np.convolve(random.standard_normal(round(100 * (seconds + 1))), np.hanning(30), "same")
    opening = np.clip(fine / fine.std() + 1, 0.05, None)

    def at(times: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.interp(times, np.arange(len(opening)) / 100 - 0.5, opening), np.float64)

    aperture = 0.1 * at((np.arange(round(25 * seconds)) + 0.5) / 25)
    times = np.arange(round(RATE * seconds)) / RATE
    hum = sum(np.sin(2 * np.pi * 150 * k * times) for k in range(1, 20))
    sound = 0.02 * hum * at(times - delay)
    return aperture.astype(np.float32), sound.astype(np.float32)


@pytest.mark.parametrize("delay", [-0.08, -0.02, 0.0, 0.05, 0.1])
def test_delay_is_found(delay: float) -> None:
    found = np.median([lip_offset(*talking(delay, seed=seed)) for seed in range(3)])
    assert found == pytest.approx(delay, abs=0.012)


def test_other_lips_are_no_match() -> None:
    (aperture, _), (_, sound) = talking(0.0, seed=1), talking(0.0, seed=2)
    with pytest.raises(EvaluationError, match=r"too loosely to find an offset \(correlation"):
        lip_offset(aperture, sound)


def test_still_lips_and_silence() -> None:
    aperture, sound = talking(0.0)
    with pytest.raises(EvaluationError, match="too loosely"):
        lip_offset(np.zeros_like(aperture), sound)
    with pytest.raises(EvaluationError, match="silence"):
        lip_offset(aperture, np.zeros_like(sound))
    with pytest.raises(EvaluationError, match="less than a second"):
        lip_offset(aperture[:20], sound)


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 60_000), st.integers(0, 99))
def test_any_lengths_give_an_offset_or_a_reason(frames: int, samples: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    try:
        found = lip_offset(random.random(frames, np.float32), random.standard_normal(samples).astype(np.float32))
    except EvaluationError:
        return
    assert abs(found) <= MAX_OFFSET + 0.005
