"""One function over many items, in order, whatever kills a process: on one machine's cores, or on a Ray cluster."""

from unsilent.workers.engines import ENGINES, Engine, LocalEngine, open_engine
from unsilent.workers.pool import Failed, cores, map_in_order, one_thread_each, start_worker

__all__ = [
    "ENGINES",
    "Engine",
    "Failed",
    "LocalEngine",
    "cores",
    "map_in_order",
    "one_thread_each",
    "open_engine",
    "start_worker",
]
