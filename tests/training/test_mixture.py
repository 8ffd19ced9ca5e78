"""The order of a mixture: every row once an epoch, shares exact, any position reachable, memory bounded."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_speech_shards import speech_row, write
from torch.utils.data import DataLoader

from unsilent.errors import RecipeError, ShardError
from unsilent.shards import SPEECH, ShardWriter
from unsilent.training.mixture import MixtureOrder, SpeechData, SpeechSample, StreamOrder, draws_by_weight, open_sources
from unsilent.training.order import SampleKey
from unsilent.training.pretrain_recipe import SpeechSource

sizes_of_groups = st.lists(st.integers(1, 9), min_size=1, max_size=12)


class Rows:
    def __init__(self, *sizes: int) -> None:
        self.group_sizes = np.array(sizes)


def order(start: int = 0, epochs: int = 3, seed: int = 0, **changes: int) -> MixtureOrder:
    settings = {"samples_per_epoch": 20, "batch_size": 4, "window_groups": 2, **changes}
    sources = [Rows(5, 5, 5), Rows(3, 4)]
    return MixtureOrder(sources, [3.0, 1.0], seed=seed, epochs=epochs, start=start, **settings)


# --- one source ----------------------------------------------------------------------------------------------------


@given(sizes_of_groups, st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_every_row_comes_once_an_epoch(sizes: list[int], seed: int, window: int) -> None:
    stream = StreamOrder(np.array(sizes), seed, window_groups=window)
    assert len(stream) == sum(sizes)
    for epoch in range(2):
        rows = [stream.row(epoch * len(stream) + place) for place in range(len(stream))]
        assert sorted(rows) == list(range(len(stream)))


@given(sizes_of_groups, st.integers(0, 99), st.lists(st.integers(0, 400), max_size=8))
def test_any_position_is_the_same_alone(sizes: list[int], seed: int, positions: list[int]) -> None:
    walked = StreamOrder(np.array(sizes), seed, window_groups=3)
    whole = [walked.row(position) for position in range(max(positions, default=0) + 1)]
    jumping = StreamOrder(np.array(sizes), seed, window_groups=3)
    assert [jumping.row(position) for position in positions] == [whole[position] for position in positions]


@given(sizes_of_groups, st.integers(0, 99), st.integers(1, 4))
def test_few_groups_are_in_use_at_a_time(sizes: list[int], seed: int, window: int) -> None:
    stream = StreamOrder(np.array(sizes), seed, window_groups=window)
    ends = np.cumsum(sizes)
    groups = [int(np.searchsorted(ends, stream.row(i), side="right")) for i in range(len(stream))]
    windows = [groups[a:b] for a, b in _windows(groups, window)]
    seen: set[int] = set()
    for part in windows:
        assert not seen & set(part)
        seen |= set(part)


def _windows(groups: list[int], window: int) -> list[tuple[int, int]]:
    """Cut where a new group comes after ``window`` different ones."""
    cuts, held = [0], set[int]()
    for place, group in enumerate(groups):
        if group not in held and len(held) == window:
            cuts.append(place)
            held = set()
        held.add(group)
    return list(zip(cuts, [*cuts[1:], len(groups)], strict=True))


def test_epochs_streams_and_seeds_differ() -> None:
    sizes = np.array([10] * 6)
    walks = [
        [StreamOrder(sizes, seed, stream, 2).row(epoch * 60 + i) for i in range(60)]
        for seed, stream, epoch in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    ]
    assert len({tuple(walk) for walk in walks}) == 4


# --- the mixture ---------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=5), st.integers(200, 2000))
def test_draws_follow_weights(weights: list[float], draws: int) -> None:
    counts = draws_by_weight(weights, draws)
    assert sum(counts) == draws
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - draws * weight / sum(weights)) < 1


def test_source_without_a_draw_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"data.samples_per_epoch: 10 samples give source 1 none"):
        draws_by_weight([1000.0, 1.0], 10)
    with pytest.raises(RecipeError, match=r"is less than run\.batch_size"):
        order(samples_per_epoch=3)


def test_shares_are_exact_in_every_epoch() -> None:
    batches = list(order())
    assert len(batches) == len(order()) == order().total == 15
    for epoch in range(3):
        keys = [key for batch in batches[5 * epoch : 5 * epoch + 5] for key in batch]
        assert [key.epoch for key in keys] == [epoch] * 20
        assert [key.position for key in keys] == list(range(20))
        assert sum(key.sample < 15 for key in keys) == 15
    first = Counter(key.sample for batch in batches[:5] for key in batch if key.sample < 15)
    assert set(first.values()) == {1}


def test_small_source_goes_on_where_it_was() -> None:
    drawn = [key.sample - 15 for batch in order(epochs=7) for key in batch if key.sample >= 15]
    assert len(drawn) == 35
    for first in range(0, 35, 7):
        assert sorted(drawn[first : first + 7]) == list(range(7))


@given(st.integers(0, 15), st.integers(0, 9))
def test_any_step_can_be_resumed(start: int, seed: int) -> None:
    assert list(order(start=start, seed=seed)) == list(order(seed=seed))[start:]
    assert len(order(start=start)) == 15 - start


# --- samples -------------------------------------------------------------------------------------------------------


def test_stretches(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, layout=SPEECH) as writer:
        writer.write_all([speech_row(1, seconds=1.0), speech_row(2, seconds=0.1)])
    (rows,) = open_sources([SpeechSource(shards=str(tmp_path))])
    data = SpeechData([rows], segment_samples=4800, seed=0)
    assert len(data) == 2
    whole = rows[0].audio()
    starts = set()
    for position in range(5):
        sample = data[SampleKey(0, position, 0)]
        (place,) = np.flatnonzero(
            (np.lib.stride_tricks.sliding_window_view(whole, 4800)[:, :16] == sample.samples[:16]).all(1)
        )
        assert np.array_equal(sample.samples, whole[place : place + 4800])
        assert (sample.valid_samples, sample.bandwidth) == (4800, 8000.0)
        starts.add(int(place))
        assert np.array_equal(data[SampleKey(0, position, 0)].samples, sample.samples)
    assert len(starts) > 3
    short = data[SampleKey(0, 0, 1)]
    assert short.valid_samples == 2400
    assert np.array_equal(short.samples[:2400], rows[1].audio())
    assert not short.samples[2400:].any()
    assert np.array_equal(data[0].samples, whole[9600:14400])


def test_backwards() -> None:
    sample = SpeechSample(np.array([1, 2, 3, 0, 0], np.float32), 8000.0, 3, np.arange(2, dtype=np.float32)).reversed()
    assert sample.samples.tolist() == [3, 2, 1, 0, 0]
    assert sample.valid_samples == 3


def test_sources_minutes_and_rate(tmp_path: Path) -> None:
    write(tmp_path / "a", 100, seconds=0.6)
    source = SpeechSource(shards=str(tmp_path / "a"), minutes=0.2)
    first, again = open_sources([source, source])
    assert 20 <= len(first) <= 21
    assert [row.id for row in first] == [row.id for row in again]
    with ShardWriter(tmp_path / "b", layout=SPEECH) as writer:
        writer.write(speech_row(1, sample_rate=16_000))
    rows = open_sources([SpeechSource(shards=str(tmp_path / "b"))])
    with pytest.raises(ShardError, match=r"c/0001 is at 16000 Hz, not 24000"):
        SpeechData(rows, segment_samples=100, seed=0)[0]


def test_workers_change_nothing(tmp_path: Path) -> None:
    write(tmp_path, 30, row_group_bytes=40_000)
    rows = open_sources([SpeechSource(shards=str(tmp_path), split=None)])
    data = SpeechData(rows, segment_samples=960, seed=3)
    batches = MixtureOrder(rows, [1.0], samples_per_epoch=8, batch_size=4, seed=3, epochs=1, window_groups=2)
    alone = [[sample.samples for sample in batch] for batch in DataLoader(data, batch_sampler=batches, collate_fn=list)]
    loader = DataLoader(
        pickle.loads(pickle.dumps(data)),
        batch_sampler=batches,
        collate_fn=list,
        num_workers=1,
        multiprocessing_context="fork",
    )
    there = [[sample.samples for sample in batch] for batch in loader]
    assert np.array_equal(alone, there)
