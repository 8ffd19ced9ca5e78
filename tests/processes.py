"""A worker run in two processes that talk through gloo, as `accelerate launch --cpu` would start them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

WORLD = 2
PATIENCE = 850.0
"""Seconds until processes that wait for one another are ended."""


def in_two_processes(worker: Callable[[int, Path], None], folder: Path) -> None:
    """Call ``worker(rank, folder)`` in each; raises what it raised, with its traceback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = spawn(_enter, (worker, folder, port), WORLD, join=False)  # type: ignore[no-untyped-call]
    end = time.monotonic() + PATIENCE
    try:
        while not context.join(timeout=5):
            assert time.monotonic() < end, "the processes wait for one another"
    finally:
        for process in context.processes:
            if process.is_alive():
                process.kill()
            process.join()


def _enter(rank: int, worker: Callable[[int, Path], None], folder: Path, port: int) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(WORLD),
        "LOCAL_WORLD_SIZE": str(WORLD),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    try:
        worker(rank, folder)
    finally:
        distributed.destroy_process_group()
