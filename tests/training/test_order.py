"""The order of samples is a function of (seed, epoch, position) and of nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.errors import RecipeError
from unsilent.training.order import BatchOrder, RankOrder, SampleKey, sample_rng

SIZES = {"samples": st.integers(1, 40), "batch_size": st.integers(1, 12), "epochs": st.integers(1, 4)}


@given(seed=st.integers(0, 9), **SIZES)
def test_every_sample_is_seen_at_most_once_an_epoch(samples: int, batch_size: int, epochs: int, seed: int) -> None:
    order = BatchOrder(samples, batch_size, seed, epochs)
    batches = list(order)
    assert len(batches) == len(order) == order.total
    size = min(batch_size, samples)
    assert all(len(batch) == size for batch in batches)
    for epoch in range(epochs):
        keys = [key for batch in batches for key in batch if key.epoch == epoch]
        assert [key.position for key in keys] == list(range(samples // size * size))
        seen = [key.sample for key in keys]
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(range(samples))
        if samples % size == 0:
            assert set(seen) == set(range(samples))


@given(start=st.integers(0, 200), seed=st.integers(0, 9), **SIZES)
def test_resuming_anywhere_gives_the_rest(samples: int, batch_size: int, epochs: int, seed: int, start: int) -> None:
    whole = list(BatchOrder(samples, batch_size, seed, epochs))
    rest = BatchOrder(samples, batch_size, seed, epochs, start)
    assert list(rest) == whole[start:]
    assert len(rest) == len(whole[start:])
    assert rest.total == len(whole)


def test_epochs_and_seeds_differ() -> None:
    def samples(seed: int) -> list[list[int]]:
        batches = list(BatchOrder(30, 10, seed, 2))
        return [[key.sample for batch in batches[i : i + 3] for key in batch] for i in (0, 3)]

    first, second = samples(0)
    assert first != second
    assert first != sorted(first)
    assert samples(1) != [first, second]
    assert samples(0) == [first, second]


def test_generator_of_a_sample_is_its_own() -> None:
    def draw(seed: int, *key: int) -> float:
        return float(sample_rng(seed, SampleKey(*key)).random())

    assert draw(0, 1, 2, 3) == draw(0, 1, 2, 3)
    # Which sample it is does not matter, only where in the run.
    assert draw(0, 1, 2, 3) == draw(0, 1, 2, 9)
    draws = {draw(seed, epoch, position, 0) for seed in range(3) for epoch in range(3) for position in range(3)}
    assert len(draws) == 27


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("start", [0, 5])
def test_processes_share_every_batch_without_loss_or_repeats(world: int, start: int) -> None:
    whole = list(BatchOrder(20, 6, 3, 2, start))
    shares = [list(RankOrder(BatchOrder(20, 6, 3, 2, start), rank, world)) for rank in range(world)]
    for step, keys in enumerate(whole):
        together = [share[step] for share in shares]
        assert {len(each) for each in together} == {6 // world}
        assert sorted(key for each in together for key in each) == sorted(keys)
    assert {len(share) for share in shares} == {len(whole)}
    assert len(RankOrder(BatchOrder(20, 6, 3, 2, start), 0, world)) == len(whole)


@pytest.mark.parametrize(("world", "accumulate"), [(4, 1), (2, 2), (1, 4)])
def test_batch_that_cannot_be_divided_names_what_can(world: int, accumulate: int) -> None:
    with pytest.raises(RecipeError, match=r"run\.batch_size: 6 samples .* multiple of 4"):
        next(iter(RankOrder(BatchOrder(20, 6, 3, 2), 0, world, accumulate)))
