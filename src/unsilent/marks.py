"""Marks in the code at which a benchmark tells time apart; where nobody measures, they do nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["part", "timed_parts"]

_measured: ContextVar[dict[str, float] | None] = ContextVar("measured", default=None)


@contextmanager
def timed_parts() -> Iterator[dict[str, float]]:
    """Yield the seconds by name of the parts that this thread goes through in the block; final at its end."""
    seconds: dict[str, float] = {}
    token = _measured.set(seconds)
    try:
        yield seconds
    finally:
        _measured.reset(token)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Mark work that has a name of its own in `timed_parts`."""
    seconds = _measured.get()
    if seconds is None:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
