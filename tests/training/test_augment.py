"""Augmentation: a function of the generator alone, the same in every frame, and what its options say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.models.video import centre_crop
from unsilent.training.augment import GREY, augment_crops, stretch
from unsilent.training.recipe import AugmentConfig

OFF = AugmentConfig(crop=False, flip=0, erase=0, time_mask=0, brightness=0)


def crops_of(frames: int = 6, side: int = 12) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (frames, side, side), dtype=np.uint8)


def augmented(seed: int, crops: NDArray[np.uint8], size: int = 10, **options: object) -> NDArray[np.uint8]:
    return augment_crops(crops, size, OFF.model_copy(update=options), np.random.default_rng(seed))


def test_nothing_asked_for_is_the_centre() -> None:
    crops = crops_of()
    out = augmented(0, crops)
    assert np.array_equal(out, centre_crop(crops, 10))
    out[:] = 0
    assert crops.any()


@given(
    seed=st.integers(0, 1000), frames=st.integers(1, 60), size=st.integers(1, 12),
    config=st.builds(
        AugmentConfig, crop=st.booleans(), flip=st.floats(0, 1), erase=st.floats(0, 1), erase_size=st.floats(0, 1),
        time_mask=st.floats(0, 3), brightness=st.floats(0, 1),
    ),
)  # fmt: skip
@settings(max_examples=60)
def test_any_options_give_a_clip_of_the_size_that_the_seed_decides(
    seed: int, frames: int, size: int, config: AugmentConfig
) -> None:
    crops = crops_of(frames)
    before = crops.copy()
    out, again = (augment_crops(crops, size, config, np.random.default_rng(seed)) for _ in range(2))
    assert out.shape == (frames, size, size)
    assert out.dtype == np.uint8
    assert np.array_equal(out, again)
    assert np.array_equal(crops, before)


def test_default_options_differ_from_seed_to_seed() -> None:
    crops = crops_of(30)
    results = {augment_crops(crops, 10, AugmentConfig(), np.random.default_rng(seed)).tobytes() for seed in range(10)}
    assert len(results) == 10


def test_random_crop_is_one_window_of_all_frames() -> None:
    crops = crops_of()
    seen = set()
    for seed in range(60):
        out = augmented(seed, crops, crop=True)
        places = [
            (top, left)
            for top in range(3)
            for left in range(3)
            if np.array_equal(out, crops[:, top : top + 10, left : left + 10])
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 9


def test_flip_mirrors_left_and_right_of_the_whole_clip() -> None:
    crops = crops_of()
    assert np.array_equal(augmented(0, crops, flip=1.0), centre_crop(crops, 10)[:, :, ::-1])
    flipped = sum(not np.array_equal(augmented(seed, crops, flip=0.5), centre_crop(crops, 10)) for seed in range(200))
    assert 70 < flipped < 130


def test_erasing_fills_one_rectangle_with_grey() -> None:
    crops = np.zeros((4, 12, 12), np.uint8)
    sizes = set()
    for seed in range(80):
        erased = augmented(seed, crops, erase=1.0, erase_size=0.4) == GREY
        assert (erased == erased[0]).all()
        rows, columns = erased[0].any(1).nonzero()[0], erased[0].any(0).nonzero()[0]
        height, width = len(rows), len(columns)
        assert erased[0].sum() == height * width
        assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == (height, width)
        sizes |= {height, width}
    assert sizes == {1, 2, 3, 4}


def test_time_mask_replaces_at_most_one_stretch_a_second_by_the_mean_frame() -> None:
    crops = crops_of(50)
    mean = centre_crop(crops, 10).mean(0).astype(np.uint8)
    lengths = set()
    for seed in range(60):
        out = augmented(seed, crops, time_mask=0.2)
        masked = (out == mean).all((1, 2))
        assert np.array_equal(out[~masked], centre_crop(crops, 10)[~masked])
        for second in (masked[:25], masked[25:]):
            runs = np.diff(np.concatenate(([0], second.astype(int), [0])))
            assert (runs == 1).sum() <= 1
            lengths.add(int(second.sum()))
    assert lengths == {0, 1, 2, 3, 4, 5}


def test_brightness_is_one_rising_curve_for_the_whole_clip() -> None:
    crops = np.broadcast_to(np.arange(144, dtype=np.uint8).reshape(1, 12, 12), (3, 12, 12)).copy()
    base, shifts = centre_crop(crops, 10)[0].astype(float), []
    for seed in range(40):
        out = augmented(seed, crops, brightness=0.2).astype(float)
        assert (out == out[0]).all()
        assert np.corrcoef(out[0].ravel(), base.ravel())[0, 1] > 0.99
        shifts.append(out[0].mean() - base.mean())
    assert min(shifts) < -5 < 5 < max(shifts)
    assert max(map(abs, shifts)) < 0.2 * GREY + 0.2 * 255


@pytest.mark.parametrize(("option", "value"), [("flip", 0.5), ("erase", 0.5), ("brightness", 0.2), ("time_mask", 0.4)])
def test_each_option_alone_does_something(option: str, value: float) -> None:
    crops = crops_of(30)
    options: dict[str, Any] = {option: value}
    results = {augmented(seed, crops, **options).tobytes() for seed in range(12)}
    assert len(results) > 1


@given(st.integers(1, 40), st.integers(1, 40))
def test_stretching_stays_between_neighbours_and_at_the_ends(before: int, after: int) -> None:
    values = np.cumsum(np.random.default_rng(0).uniform(0, 2, before)).astype(np.float32)
    out = stretch(values, after)
    assert len(out) == after
    assert (np.diff(out) >= -1e-5).all()
    assert out.min() >= values[0] - 1e-5
    assert out.max() <= values[-1] + 1e-5


def test_stretching_keeps_the_kind_of_number_and_the_other_axes() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (9, 5, 5), np.uint8)
    assert np.array_equal(stretch(crops, 9), crops)
    longer = stretch(crops, 18)
    assert longer.dtype == np.uint8
    assert longer.shape == (18, 5, 5)
    quarter = crops[0] * 0.75 + crops[1] * 0.25
    assert np.abs(longer[1].astype(float) - quarter).max() <= 0.5
