from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unsilent.corpora.talker.head import BLINK_LEVELS
from unsilent.corpora.talker.motion import blinks, brow_raises, sway

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS)
@settings(max_examples=30)
def test_a_head_sways_slowly_about_its_place(seed: int) -> None:
    moved = sway(np.random.default_rng(seed), 25 * 600, 25.0, (2.0, 6.0))
    assert abs(moved.mean()) < 0.1
    assert 0.8 < moved.std() < 1.2
    # No wave is faster than one in two seconds: from frame to frame it moves by a small part of its range.
    assert np.abs(np.diff(moved)).max() <= 2 * np.pi / 2.0 / 25 * np.sqrt(2 * 5)


@given(SEEDS, st.integers(1, 500))
@settings(max_examples=50)
def test_lids_close_and_open_again_every_few_seconds(seed: int, frames: int) -> None:
    levels = blinks(np.random.default_rng(seed), frames, 25.0)
    assert levels.shape == (frames,)
    assert levels.min() >= 0
    assert levels.max() < len(BLINK_LEVELS)
    shut = np.flatnonzero(np.diff(np.concatenate([[0], levels > 0])) == 1)
    assert (np.diff(shut) >= 1.6 * 25).all()
    assert len(shut) >= frames // (25 * 5) - 1


@given(SEEDS)
@settings(max_examples=30)
def test_brows_rise_and_never_fall_below_rest(seed: int) -> None:
    raised = brow_raises(np.random.default_rng(seed), 25 * 30, 25.0)
    assert raised.min() >= 0
    assert raised.max() <= 4.5
    assert np.median(raised) < 1.0
