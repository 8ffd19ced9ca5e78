"""Work on a Ray cluster, by Ray Data (Moritz et al., OSDI 2018; https://docs.ray.io/en/latest/data/data.html).

Ray gives at-least-once: a task whose process or machine is lost runs again elsewhere. Results come back by value and in
order, so nothing is lost or repeated. An item that ends its process every time fails its block; the items of that
block are then run one by one, so that it alone is given up.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

import cv2

from unsilent.errors import UnsilentError
from unsilent.workers.pool import CRASHED, Failed, attempt

try:
    import ray
    import ray.data
    from ray import cloudpickle
except ImportError as _error:
    raise UnsilentError(f"--engine ray: ray cannot be imported ({_error}); pip install 'unsilent[cluster]'") from _error

__all__ = ["RayEngine"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

RETRIES: Final = 1
"""How often a task runs again whose process was lost, in its block and then alone: a machine may be taken away."""
_BLOCK: Final = 16
"""Most items of a task: what a lost process costs."""
_BLOCKS_A_CORE: Final = 8
_SLICE: Final = 4096
_SLICE_A_CORE: Final = 64
"""Items of which Ray Data knows at a time, the larger of the two, so that they may be a stream."""
_HEAVY_A_CORE: Final = 16
"""The same of heavy items: some hundred megabytes a core."""


class RayEngine:
    """A Ray cluster. Where none runs, one of this machine is started and ended with the work.

    Its machines need the same installation of unsilent, and see the same files: on a shared file system, or by URL.

    Args:
        workers: tasks at a time, each of one core; None means as many as the cluster has cores.
        heavy: items are of megabytes.
    """

    def __init__(self, workers: int | None = None, *, heavy: bool = False) -> None:
        self.workers, self._heavy = workers, heavy

    def map(
        self, items: Iterable[ItemT], work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT]
    ) -> Generator[tuple[ItemT, ResultT]]:
        """Yield every item with its result: see :class:`unsilent.workers.Engine`."""
        stream = iter(items)
        first = list(islice(stream, 1))
        if not first:
            return
        with _connected():
            cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
            size = _HEAVY_A_CORE * cpus if self._heavy else max(_SLICE, _SLICE_A_CORE * cpus)
            part = first + list(islice(stream, size - 1))
            while part:
                yield from _in_order(part, work, failed, self.workers or cpus)
                part = list(islice(stream, size))


@contextmanager
def _connected() -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    # Ray reports its use to its makers unless it is told not to; what is done here is nobody's business.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UnsilentError(f"--engine ray: no cluster ({reason}); check RAY_ADDRESS and `ray status`") from error
    try:
        yield
    finally:
        ray.shutdown()


def _in_order(
    items: list[ItemT], work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT], tasks: int
) -> Iterator[tuple[ItemT, ResultT]]:
    done = 0
    for number, result in _results(items, work, failed, tasks):
        while done < number:  # their block was given up
            yield items[done], _alone(items[done], work, failed)
            done += 1
        yield items[number], result
        done += 1
    for item in items[done:]:
        yield item, _alone(item, work, failed)


def _results(
    items: list[ItemT], work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT], tasks: int
) -> Iterator[tuple[int, ResultT]]:
    """Numbers of items with their results, rising, without the items of blocks that failed."""

    def run(row: dict[str, Any]) -> dict[str, Any]:
        return {"number": row["number"], "result": cloudpickle.dumps(_work(cloudpickle.loads(row["item"])))}

    def _work(item: ItemT) -> ResultT:
        return _one_thread(item, work, failed)

    # Packed, items and results pass through Ray's tables as they are.
    rows = [{"number": number, "item": cloudpickle.dumps(item)} for number, item in enumerate(items)]
    size = max(1, min(_BLOCK, len(items) // (tasks * _BLOCKS_A_CORE)))
    with _quiet():
        data = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size))
        data.context.execution_options.preserve_order = True
        data.context.max_errored_blocks = -1
        data.context.enable_progress_bars = False
        data.context.print_on_execution_start = False
        with warnings.catch_warnings():
            # Ray 2.64 is to have another way to say how often; without a limit it would never give up.
            warnings.simplefilter("ignore", DeprecationWarning)
            mapped = data.map(run, num_cpus=1, concurrency=tasks, max_retries=RETRIES)
        for row in mapped.iter_rows():
            yield row["number"], cloudpickle.loads(row["result"])


def _alone(item: ItemT, work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT]) -> ResultT:
    task = ray.remote(_one_thread).options(num_cpus=1, max_retries=RETRIES)
    try:
        result: ResultT = ray.get(task.remote(item, work, failed))
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
        return failed(item, *CRASHED)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise UnsilentError(f"--engine ray: the cluster fails ({reason}); run again once it is well") from error
    return result


def _one_thread(item: ItemT, work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT]) -> ResultT:
    """Run one item in a process of the cluster, whose tasks have a core each."""
    cv2.setNumThreads(1)
    return attempt(item, work, failed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Ray Data says about every run; a block that fails is seen to here."""
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
