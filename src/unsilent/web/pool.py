"""Worker processes that videos are worked on in: a bounded queue, a time limit, and no harm from one that dies.

What strangers send is decoded there, not in the process that holds everybody's connections. Parent and worker talk
in JSON, so that nothing a worker says can run code in its parent.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from unsilent.web.limits import Refused
from unsilent.workers import cores

__all__ = ["Job", "Pool"]

logger = logging.getLogger("unsilent.web")

Task = Callable[[Connection, int, list[str]], None]
"""What a worker process runs: it is given its end of a pipe, its number of threads and the models' names."""

_TICK = 0.2
_CRASHED = "the program that reads videos failed on this file; convert it to H.264 in mp4 and try again"


@dataclass(eq=False)
class Job:
    """One piece of work. ``listen`` is called from another thread with every message of the worker.

    Messages: ``{"progress": {...}}`` any number of times, then one of ``{"done": {...}}`` and
    ``{"error": str, "status": int}``.
    """

    request: dict[str, Any]
    listen: Callable[[dict[str, Any]], None]
    number: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)


class Pool:
    """Processes that take jobs in the order of their arrival.

    Args:
        task: what each process runs, importable from its module.
        models: given to each process.
        workers: how many processes.
        waiting: how many jobs may wait; one more is refused.
        job_seconds: after this long a job is given up and its process ended.
    """

    def __init__(self, task: Task, models: list[str], workers: int, waiting: int, job_seconds: float) -> None:
        self._task, self._models, self._seconds = task, models, job_seconds
        self._room = waiting + workers
        self._threads_each = max(1, cores() // workers)
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._guard = threading.Lock()
        self._numbers = itertools.count(1)
        self._under_way: dict[int, bool] = {}
        """Jobs that were taken in, by number: whether a worker has them."""
        self._closed = threading.Event()
        self._context = get_context("spawn")
        self._threads = [threading.Thread(target=self._serve, daemon=True, name="unsilent-web") for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Take a job in.

        Raises:
            Refused: the queue is full.
        """
        with self._guard:
            if len(self._under_way) >= self._room:
                raise Refused(429, "too many videos are waiting; try again in a minute", retry=30)
            job.number = next(self._numbers)
            self._under_way[job.number] = False
        self._jobs.put(job)

    def ahead(self, job: Job) -> int:
        """Return how many jobs wait before this one; -1 once a worker has it."""
        with self._guard:
            if self._under_way.get(job.number, True):
                return -1
            return sum(not running for number, running in self._under_way.items() if number < job.number)

    def state(self) -> dict[str, int]:
        """Return how many jobs are worked on and how many wait."""
        with self._guard:
            running = sum(self._under_way.values())
            return {"running": running, "waiting": len(self._under_way) - running}

    def close(self) -> None:
        """End the processes, in the middle of their work if need be; jobs that wait are answered with an error."""
        self._closed.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        with contextlib.suppress(queue.Empty):
            while True:
                self._finish(self._jobs.get_nowait(), {"error": "the server was stopped", "status": 503})

    def _finish(self, job: Job | None, message: dict[str, Any]) -> None:
        if job is not None:
            with self._guard:
                self._under_way.pop(job.number, None)
            job.listen(message)

    def _serve(self) -> None:
        """Hand jobs to one process after another, for as long as each lives."""
        worker: _Worker | None = None
        while not self._closed.is_set():
            if worker is None:
                worker = _Worker(
                    self._context.Process, self._context.Pipe, self._task, self._threads_each, self._models
                )
            job = self._jobs.get()
            if job is None:
                break
            if job.cancelled.is_set():
                self._finish(job, {"error": "cancelled", "status": 499})
                continue
            with self._guard:
                self._under_way[job.number] = True
            answer, alive = self._run(worker, job)
            if not alive:
                worker.end()
                worker = None
            self._finish(job, answer)
        if worker is not None:
            worker.end()

    def _run(self, worker: _Worker, job: Job) -> tuple[dict[str, Any], bool]:
        """Return the last message about a job, and whether the process can take another."""
        deadline = time.monotonic() + self._seconds
        told = False
        try:
            worker.send(job.request)
            while not self._closed.is_set():
                message = worker.receive(_TICK)
                if message is not None and "progress" not in message:
                    return message, True
                if message is not None:
                    job.listen(message)
                if job.cancelled.is_set() and not told:
                    told = True
                    worker.send({"cancel": True})
                if time.monotonic() > deadline:
                    text = f"took longer than {self._seconds:.0f} s and was given up; send a shorter or smaller video"
                    return {"error": text, "status": 422}, False
        except (EOFError, OSError, ValueError):
            logger.warning("a worker died with exit code %s; another one takes its place", worker.exit_code())
            return {"error": _CRASHED, "status": 422}, False
        return {"error": "the server was stopped", "status": 503}, False


class _Worker:
    """One process and the parent's end of its pipe."""

    def __init__(self, process: Any, pipe: Any, task: Task, threads: int, models: list[str]) -> None:
        self._pipe, other = pipe()
        self._process: BaseProcess = process(target=task, args=(other, threads, models), daemon=True)
        self._process.start()
        other.close()

    def send(self, message: dict[str, Any]) -> None:
        self._pipe.send_bytes(json.dumps(message).encode())

    def receive(self, patience: float) -> dict[str, Any] | None:
        if not self._pipe.poll(patience):
            return None
        message = json.loads(self._pipe.recv_bytes())
        if not isinstance(message, dict):
            raise ValueError("a worker sent no message")
        return message

    def exit_code(self) -> int | None:
        self._process.join(1)
        return self._process.exitcode

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()
