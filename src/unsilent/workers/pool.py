"""A pool of processes that applies one function to many items, in order, and survives what kills a process."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event
from typing import Final, Generic, TypeVar

import cv2

from unsilent.errors import UnsilentError

__all__ = ["CRASHED", "Failed", "attempt", "cores", "map_in_order", "one_thread_each", "start_worker"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_AHEAD: Final = 4
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Failed = Callable[[ItemT, str, str], ResultT]
"""Makes the result of an item from a reason (``unreadable``, ``unexpected error``, ``crashed``) and what happened."""
CRASHED: Final = ("crashed", "the process that read it died")
"""Reason, and what happened, where an item ends its process."""


def map_in_order(
    items: Iterable[ItemT],
    work: Callable[[ItemT], ResultT],
    failed: Failed[ItemT, ResultT],
    workers: int,
) -> Generator[tuple[ItemT, ResultT]]:
    """Yield every item with its result, in order, a bounded number of them under way.

    Args:
        items: taken as they are needed, so that they may be a stream.
        work: with workers, importable from its module; a pure function.
        failed: what stands for the result where ``work`` raised, or took its process down.
        workers: processes of one thread each; 0 works in this process, where exceptions pass through.
    """
    if workers == 0:
        yield from ((item, work(item)) for item in items)
        return
    pool = _Pool(iter(items), work, failed, workers)
    with one_thread_each():
        while True:
            try:
                yield from pool.run()
                return
            except BrokenProcessPool:
                # The work took its process down, and it is not known with which item: one by one those under way.
                while pool.waiting:
                    item = pool.waiting.popleft()
                    yield item, _alone(item, work, failed)


@dataclass(slots=True)
class _Pool(Generic[ItemT, ResultT]):
    items: Iterator[ItemT]
    work: Callable[[ItemT], ResultT]
    failed: Failed[ItemT, ResultT]
    workers: int
    waiting: deque[ItemT] = field(default_factory=deque)
    """Items that were taken and not answered."""

    def run(self) -> Iterator[tuple[ItemT, ResultT]]:
        """Yield items with results until the items end; BrokenProcessPool leaves ``waiting`` as it was."""
        answers: deque[Future[ResultT]] = deque()
        pool = ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=start_worker)
        try:
            for item in self.items:
                self.waiting.append(item)
                answers.append(pool.submit(self.work, item))
                if len(answers) >= self.workers * _AHEAD:
                    yield self._next(answers)
            while answers:
                yield self._next(answers)
        finally:
            pool.shutdown(cancel_futures=True)

    def _next(self, answers: deque[Future[ResultT]]) -> tuple[ItemT, ResultT]:
        answer = _answer(self.waiting[0], answers.popleft(), self.failed)
        return self.waiting.popleft(), answer


def _answer(item: ItemT, future: Future[ResultT], failed: Failed[ItemT, ResultT]) -> ResultT:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):
        raise error
    return failed(item, *_said(error))


def attempt(item: ItemT, work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT]) -> ResultT:
    """The result of ``work``, or what ``failed`` makes of its exception."""
    try:
        return work(item)
    except Exception as error:  # noqa: BLE001 (as a process pool does: one item's defect costs that item)
        return failed(item, *_said(error))


def _said(error: BaseException) -> tuple[str, str]:
    kind = "unreadable" if isinstance(error, UnsilentError) else "unexpected error"
    return kind, f"{type(error).__name__}: {error}".splitlines()[0]


def _alone(item: ItemT, work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT]) -> ResultT:
    try:
        return next(iter(_Pool(iter([item]), work, failed, 1).run()))[1]
    except BrokenProcessPool:
        return failed(item, *CRASHED)


def start_worker(give_up: Event | None = None) -> None:
    """Leave Ctrl-C to the parent, end with it, and use one thread: the pool already fills the cores.

    Args:
        give_up: set by the parent, ends the process in the middle of its work.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if give_up is not None:
        threading.Thread(target=_end_when_set, args=(give_up,), daemon=True).start()
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    # A worker whose parent was killed would wait for its next item for ever.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end_when_set(give_up: Event) -> None:
    give_up.wait()
    os._exit(1)


def cores() -> int:
    """The cores this process may use, which in a container or under ``taskset`` are not all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let processes that are started in the block compute with one thread."""
    # Thread pools read these when they are loaded, which is before a worker's initializer can run.
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
