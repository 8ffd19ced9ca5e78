from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.errors import EvaluationError
from unsilent.evaluation import bootstrap_mean, bootstrap_ratio, statistics
from unsilent.evaluation.statistics import bootstrap_paired, bootstrap_seeds

values = st.lists(st.floats(-100, 100), min_size=1, max_size=40)


@given(values)
def test_interval_contains_the_mean(numbers: list[float]) -> None:
    found = bootstrap_mean(numbers)
    assert found.mean == pytest.approx(np.mean(numbers))
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9
    assert found.n == len(numbers)


@given(values, st.integers(0, 100))
def test_interval_is_deterministic(numbers: list[float], seed: int) -> None:
    assert bootstrap_mean(numbers, seed=seed) == bootstrap_mean(numbers, seed=seed)


def test_seeds_differ() -> None:
    numbers = np.random.default_rng(0).standard_normal(30).tolist()
    assert bootstrap_mean(numbers, seed=0) != bootstrap_mean(numbers, seed=1)


def test_interval_has_the_width_theory_gives() -> None:
    numbers = np.random.default_rng(0).standard_normal(400)
    found = bootstrap_mean(numbers.tolist())
    expected = 2 * 1.96 * numbers.std() / np.sqrt(len(numbers))
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        found = bootstrap_mean(random.standard_normal(50).tolist(), seed=seed, resamples=300)
        hits += found.low <= 0 <= found.high
    assert 0.90 <= hits / 200 <= 0.99


def test_ratio_is_of_sums_not_the_mean_of_ratios() -> None:
    found = bootstrap_ratio([0, 6], [2, 6])
    assert found.mean == 0.75
    assert (found.low, found.high) == (0.0, 1.0)


def test_drawing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0).standard_normal(30).tolist()
    whole = bootstrap_mean(numbers)
    monkeypatch.setattr(statistics, "_CELLS", 1000)
    assert bootstrap_mean(numbers) == whole


def test_nothing_cannot_be_averaged() -> None:
    with pytest.raises(EvaluationError, match="no clip has this metric"):
        bootstrap_mean([])
    with pytest.raises(EvaluationError, match="no clip has this metric"):
        bootstrap_ratio([1], [0])


def test_seeds_and_clips_both_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    clips = random.normal(0, 1, (1, 400))
    alike = bootstrap_seeds(np.repeat(clips, 3, axis=0))
    apart = bootstrap_seeds(clips + np.array([[-1.0], [0.0], [1.0]]))
    assert alike.mean == pytest.approx(clips.mean())
    assert alike.high - alike.low == pytest.approx(4 * clips.std() / 20, rel=0.15)
    assert apart.high - apart.low > 5 * (alike.high - alike.low)
    constant = bootstrap_seeds(np.full((3, 10), 0.25))
    assert (constant.low, constant.mean, constant.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("values", [np.empty((0, 0)), np.empty((3, 0)), np.ones(4)])
def test_no_seeds_or_clips_is_an_error(values: np.ndarray) -> None:
    with pytest.raises(EvaluationError):
        bootstrap_seeds(values)


def test_paired_difference_of_means_is_the_mean_of_differences() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(1, 1, 40), random.normal(0.5, 1, 40)
    found = bootstrap_paired(first.tolist(), second.tolist())
    expected = bootstrap_mean((first - second).tolist())
    assert found.mean == pytest.approx(expected.mean)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.n == 40


def test_pairing_takes_out_what_is_hard_about_a_clip() -> None:
    random = np.random.default_rng(1)
    hard = random.normal(0, 5, 60)
    first, second = hard + 0.3 + random.normal(0, 0.2, 60), hard + random.normal(0, 0.2, 60)
    found = bootstrap_paired(first.tolist(), second.tolist())
    assert 0 < found.low < 0.3 < found.high
    apart = [bootstrap_mean(values.tolist()) for values in (first, second)]
    assert apart[0].low < apart[1].high


def test_paired_difference_of_ratios_is_that_of_the_sums() -> None:
    first, second = [(1.0, 6.0), (0.0, 6.0), (3.0, 2.0)], [(2.0, 6.0), (1.0, 6.0), (3.0, 2.0)]
    found = bootstrap_paired(first, second)
    assert found.mean == pytest.approx(4 / 14 - 6 / 14)
    assert found.low <= found.mean <= found.high <= 0


def test_paired_values_have_to_match() -> None:
    with pytest.raises(EvaluationError, match="1 and 2 clips"):
        bootstrap_paired([1.0], [1.0, 2.0])
    with pytest.raises(EvaluationError, match="0 and 0 clips"):
        bootstrap_paired([], [])
    with pytest.raises(EvaluationError, match="nothing to compare"):
        bootstrap_paired([(0.0, 0.0)], [(1.0, 1.0)])
    with pytest.raises(EvaluationError, match="one pair, a clip"):
        bootstrap_paired([(1.0, 2.0, 3.0)], [1.0])  # type: ignore[arg-type]
