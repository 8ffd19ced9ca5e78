from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from unsilent.synthesis.clock import Clock


@pytest.fixture
def time_passes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_the_innermost_stage_is_charged(time_passes: list[float]) -> None:
    clock = Clock()
    with clock.stage("outer"):
        time_passes[0] += 1
        with clock.stage("inner"):
            time_passes[0] += 2
        time_passes[0] += 4
    time_passes[0] += 8
    assert clock.seconds == {"outer": 5, "inner": 2}


def test_time_between_items_is_not_charged(time_passes: list[float]) -> None:
    def slow() -> Iterator[int]:
        for number in range(3):
            time_passes[0] += 1
            yield number

    clock = Clock()
    for _ in clock.iterate("source", slow()):
        time_passes[0] += 10
    assert clock.seconds == {"source": 3}


def test_a_stage_that_fails_is_left(time_passes: list[float]) -> None:
    clock = Clock()

    def fail() -> None:
        with clock.stage("fails"):
            time_passes[0] += 1
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    with clock.stage("next"):
        time_passes[0] += 1
    assert clock.seconds == {"fails": 1, "next": 1}
