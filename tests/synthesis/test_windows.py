from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.synthesis.windows import WindowPlan, windowed_mel, windowed_samples

PLAN = WindowPlan(core=20, context=6, fade=3)


def _crops(count: int) -> list[NDArray[np.uint8]]:
    return [np.full((2, 2), number % 251, np.uint8) for number in range(count)]


def _local_model(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each frame becomes four mel frames that depend on it and its two neighbours on either side."""
    values = np.pad(crops[:, 0, 0].astype(np.float32), 2)
    mixed = np.convolve(values, np.array([1, 2, 3, 2, 1], np.float32), "valid")
    return np.repeat(mixed, 4)[None].repeat(3, axis=0)


@given(st.integers(1, 120))
def test_a_local_model_in_windows_equals_one_pass(frames: int) -> None:
    crops = _crops(frames)
    pieces = list(windowed_mel(iter(crops), _local_model, PLAN, 4))
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), _local_model(np.stack(crops)), rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 31, 32, 33, 52, 53, 200])
def test_every_frame_is_answered_once_and_windows_stay_bounded(frames: int) -> None:
    seen: list[int] = []

    def model(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(len(crops))
        return np.zeros((3, 4 * len(crops)), np.float32)

    pieces = list(windowed_mel(iter(_crops(frames)), model, PLAN, 4))
    assert sum(piece.shape[1] for piece in pieces) == 4 * frames
    assert max(seen) <= PLAN.core + 3 * PLAN.context + 1


def test_neighbouring_windows_are_faded_into_one_another() -> None:
    calls = iter(range(100))

    def model(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((1, 4 * len(crops)), next(calls), np.float32)  # every window says something else

    mel = np.concatenate(list(windowed_mel(iter(_crops(70)), model, PLAN, 4)), axis=1)[0]
    steps = np.abs(np.diff(mel))
    assert mel[0] == 0
    assert mel[-1] >= 1
    assert steps.max() <= 1 / (4 * PLAN.fade - 1) + 1e-6


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_a_local_vocoder_in_pieces_equals_one_pass(sizes: list[int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    pieces = [rng.standard_normal((2, size)).astype(np.float32) for size in sizes]

    def vocoder(mel: NDArray[np.float32]) -> NDArray[np.float32]:
        mixed = np.convolve(np.pad(mel[0], 4), np.ones(9, np.float32), "valid")
        return np.repeat(mixed, 5)

    made = np.concatenate(list(windowed_samples(iter(pieces), vocoder, 5, context=4)))
    np.testing.assert_allclose(made, vocoder(np.concatenate(pieces, axis=1)), atol=1e-4)


@pytest.mark.parametrize("plan", [(20, 0, 0), (20, 5, 6), (8, 5, 2)])
def test_an_impossible_plan_is_refused(plan: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="fade"):
        WindowPlan(*plan)
