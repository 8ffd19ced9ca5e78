"""Seconds by stage of work that is interleaved by generators."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["Clock"]

T = TypeVar("T")


class Clock:
    """Charges wall-clock time to the innermost stage that runs; a stage that waits for another is not charged."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Context in which time belongs to ``name``."""
        self._charge()
        self._running.append(name)
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def iterate(self, name: str, source: Iterable[T]) -> Iterator[T]:
        """Pass items through; the time that ``source`` takes to make each belongs to ``name``."""
        iterator = iter(source)
        while True:
            try:
                with self.stage(name):
                    item = next(iterator)
            except StopIteration:
                return
            yield item

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now
