"""Working ahead: one stage of a pipeline in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")
_END = object()
_TICK = 0.1
"""Seconds after which a producer that waits for room looks whether anybody still listens."""


def ahead(source: Iterable[T], depth: int = 16) -> Iterator[T]:
    """Yield what ``source`` yields, made by a thread that is at most ``depth`` items ahead.

    For sources that leave the interpreter free while they work, as decoding video does. What ``source`` raises is
    raised here; if the reader stops early, the thread ends and closes the source.
    """
    line: queue.Queue[object] = queue.Queue(depth)
    left = threading.Event()
    failures: list[BaseException] = []

    def put(item: object) -> bool:
        while not left.is_set():
            try:
                line.put(item, timeout=_TICK)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        iterator = iter(source)
        try:
            for item in iterator:
                if not put(item):
                    break
        except BaseException as error:  # noqa: BLE001 (handed to the reader, who raises it)
            failures.append(error)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
            put(_END)

    worker = threading.Thread(target=work, name="unsilent-ahead", daemon=True)
    worker.start()
    try:
        while (item := line.get()) is not _END:
            yield item  # type: ignore[misc]
        if failures:
            raise failures[0]
    finally:
        left.set()
        worker.join()
