"""So many minutes, always the same ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.errors import TrainingError
from unsilent.training.subset import choose_minutes


@given(
    st.lists(st.floats(0.5, 20), min_size=1, max_size=200),
    st.floats(0.01, 1).flatmap(lambda share: st.tuples(st.just(share), st.floats(0.001, share))),
)
def test_enough_not_more_than_needed_and_nested(seconds: list[float], shares: tuple[float, float]) -> None:
    total = sum(seconds) / 60
    more, fewer = (choose_minutes(seconds, share * total * 0.999) for share in shares)
    assert set(fewer) <= set(more)
    lengths = np.array(seconds)
    assert (np.diff(more) > 0).all()
    assert lengths[more].sum() >= 60 * shares[0] * total * 0.999 - 1e-6
    assert lengths[more].sum() - lengths[more].max() <= 60 * shares[0] * total


def test_the_choice_is_random_but_the_same() -> None:
    chosen = choose_minutes([3.0] * 800, 5.0)
    assert len(chosen) == 100
    assert np.array_equal(chosen, choose_minutes([3.0] * 800, 5.0))
    assert not np.array_equal(chosen, np.arange(100))


@pytest.mark.parametrize("seconds", [[], [10.0, 20.0]])
def test_too_little_is_said_with_both_numbers(seconds: list[float]) -> None:
    with pytest.raises(TrainingError, match=rf"2 minutes are asked for, there are {sum(seconds) / 60:.1f}"):
        choose_minutes(seconds, 2.0)
