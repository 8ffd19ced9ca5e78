"""What applies a function to many items: the cores of this machine, or a cluster; the results are the same."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sized
from typing import Final, Protocol, TypeVar

from unsilent.errors import UnsilentError
from unsilent.workers.pool import Failed, cores, map_in_order

__all__ = ["ENGINES", "Engine", "LocalEngine", "open_engine"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

ENGINES: Final = ("local", "ray")
"""Names that :func:`open_engine` knows."""


class Engine(Protocol):
    """A place where work is done."""

    def map(
        self, items: Iterable[ItemT], work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT]
    ) -> Generator[tuple[ItemT, ResultT]]:
        """Yield every item once with its result, in order.

        ``work`` may be called more than once for an item, so what it writes is named by the item and renamed into
        place. An item that ends its process every time gets what ``failed`` makes of it, and costs no other item.

        Args:
            items: taken as they are needed.
            work: a pure function, importable from its module (or a ``partial`` of one).
            failed: what stands for the result where ``work`` raised, or took its process down.
        """


class LocalEngine:
    """Processes of this machine.

    Args:
        workers: how many; None means one a core, 0 works in this process, where exceptions pass through.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def map(
        self, items: Iterable[ItemT], work: Callable[[ItemT], ResultT], failed: Failed[ItemT, ResultT]
    ) -> Generator[tuple[ItemT, ResultT]]:
        """Yield every item with its result: see :class:`Engine`."""
        workers = cores() if self.workers is None else self.workers
        return map_in_order(items, work, failed, min(workers, len(items)) if isinstance(items, Sized) else workers)


def open_engine(name: str, workers: int | None = None, *, heavy: bool = False) -> Engine:
    """The engine of this name.

    Args:
        name: one of :data:`ENGINES`. ``ray`` uses the cluster that ``RAY_ADDRESS`` names, or that runs on this
            machine, or starts one of this machine.
        workers: processes at a time; None means one a core.
        heavy: items are of megabytes, so that few of them are held at a time.

    Raises:
        UnsilentError: there is no such engine, or its package is not installed.
    """
    if name == "local":
        return LocalEngine(workers)
    if name != "ray":
        raise UnsilentError(f"--engine {name}: is none of {', '.join(ENGINES)}")
    if workers == 0:
        raise UnsilentError("--workers 0: works in this process, which --engine ray does not; give 1 or more")
    from unsilent.workers.cluster import RayEngine

    return RayEngine(workers, heavy=heavy)
