from __future__ import annotations

import time

import pytest

from unsilent.marks import part, timed_parts


def test_parts_are_timed_only_in_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def work(seconds: float) -> None:
        with part("work"):
            now[0] += seconds

    work(8)
    with timed_parts() as found:
        work(1)
        now[0] += 16
        work(2)
    work(32)
    assert found == {"work": 3}
