from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.synthesis.ahead import ahead


@given(st.lists(st.integers()), st.integers(1, 5))
def test_the_same_items_in_the_same_order(items: list[int], depth: int) -> None:
    assert list(ahead(items, depth)) == items


def test_what_the_source_raises_is_raised_after_what_it_yielded() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    stream = ahead(failing())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)


def test_a_reader_that_stops_early_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    stream = ahead(endless(), 2)
    assert next(stream) == 0
    stream.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert not any(thread.name == "unsilent-ahead" for thread in threading.enumerate())


def test_the_source_is_never_more_than_the_depth_ahead() -> None:
    made: list[int] = []

    def counting() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    for number in ahead(counting(), 3):
        assert len(made) <= number + 3 + 2  # the queue, the one in hand, the one being put
