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


def ordered_map(
    function: Callable[[_Job], _Result],
    jobs: Iterable[_Job],
    workers: int,
    *,
    known: Callable[[_Job], _Result | None] = lambda job: None,
) -> Iterator[_Result]:
    """Results of ``function`` in the order of ``jobs``, at most a few of which are waiting at any time.

    Args:
        function: importable from its module; a pure function of its job.
        jobs: taken one by one, so that making them overlaps with the work.
        workers: processes of one thread each, started at the first job that needs one; 0 works in this process.
        known: the result of a job that needs no work, else None; called here.

    Raises:
        EvaluationError: a process died (killed, or a defect in a compiled metric).
    """
    if workers <= 0:
        for job in jobs:
            found = known(job)
            yield function(job) if found is None else found
        return
    with one_thread_each():
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_worker)
        waiting: deque[Future[_Result]] = deque()
        try:
            for job in jobs:
                found = known(job)
                waiting.append(pool.submit(function, job) if found is None else _finished(found))
                if len(waiting) >= workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise EvaluationError("a worker process died; run again with --workers 0 to see where") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _finished(result: _Result) -> Future[_Result]:
    future: Future[_Result] = Future()
    future.set_result(result)
    return future
