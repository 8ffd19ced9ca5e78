"""A bounded pool of processes that gives results in order while the next jobs are still being made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Final, TypeVar

from unsilent.errors import EvaluationError
from unsilent.workers import one_thread_each, start_worker

__all__ = ["ordered_map"]

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_AHEAD: Final = 3


def ordered_map(function: Callable[[_Job], _Result], jobs: Iterable[_Job], workers: int) -> Iterator[_Result]:
    """Results of ``function`` in the order of ``jobs``, at most a few of which are waiting at any time.

    Args:
        function: importable from its module; a pure function of its job.
        jobs: taken one by one, so that making them overlaps with the work.
        workers: processes of one thread each; 0 works in this process.

    Raises:
        EvaluationError: a process died (killed, or a defect in a compiled metric).
    """
    if workers <= 0:
        yield from map(function, jobs)
        return
    with one_thread_each():
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_worker)
        waiting: deque[Future[_Result]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) >= workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise EvaluationError("a worker process died; run again with --workers 0 to see where") from error
        finally:
            pool.shutdown(cancel_futures=True)
