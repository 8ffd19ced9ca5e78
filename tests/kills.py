"""A command in a process that SIGKILL ends: at a moment of the clock, or at one of its file operations."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOAD = [
    "matplotlib.pyplot",
    "tests.kills",
    "torch._dynamo",
    "unsilent.cli.prepare",
    "unsilent.cli.train",
    "unsilent.corpora.registry",
    "unsilent.prepare",
    "unsilent.training.run",
]
WRITING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
PATIENCE = 120.0


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int | None
    seconds: float
    """From its first sign to its end."""
    operations: int
    """Files and folders that it opened to write, made, renamed or removed."""
    said: str


class Runs:
    """Runs of one command; every process is forked from one that has imported everything, so that it starts at once.

    Args:
        command: arguments of `unsilent`, given the folder that a run writes.
        folder: for what the processes say.
        sign: what that folder holds once the work has begun; empty for the folder itself.
        setup: called in the process before the command.
    """

    def __init__(
        self,
        command: Callable[[Path], list[str]],
        folder: Path,
        sign: str = "",
        setup: Callable[[], object] = dict,
    ) -> None:
        self._arguments, self._folder, self._sign, self._setup = command, folder, sign, setup
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._count = 0

    def run(self, output: Path, *, after: float | None = None, at: int | None = None) -> Ended:
        """Run the command on ``output``, to the end or until it is killed.

        Args:
            output: folder that it writes.
            after: seconds from the first sign to SIGKILL.
            at: number of the file operation before which the process kills itself.
        """
        self._count += 1
        log = self._folder / f"{self._count}.log"
        process = self._context.Process(target=_command, args=(self._arguments(output), self._setup, log, at))
        process.start()
        try:
            began = self._first_sign(process, output / self._sign)
            if after is not None:
                process.join(after)
                process.kill()
            process.join(PATIENCE)
            seconds = time.monotonic() - began
        finally:
            process.kill()
            process.join()
        said = log.read_text(errors="replace") if log.is_file() else ""
        count = log.with_suffix(".count")
        operations = int(count.read_text()) if count.is_file() else 0
        return Ended(process.exitcode, seconds, operations, said)

    def killed(self, output: Path, whole: Ended, number: int) -> Ended:
        """Kill a run at the random moment of that number: odd ones at a file operation, even ones by the clock.

        Args:
            output: folder that it writes.
            whole: how a run that nobody disturbed ended.
            number: of the moment.
        """
        rng = random.Random(number)
        if number % 2:
            return self.run(output, at=rng.randint(1, whole.operations))
        after = rng.uniform(0, whole.seconds)
        ended = self.run(output, after=after)
        while ended.code == 0:  # a machine that was slower for the undisturbed run
            after /= 2
            output.rename(output.with_name(f"{output.name}-too-late-{self._count}"))
            ended = self.run(output, after=after)
        return ended

    @staticmethod
    def _first_sign(process: BaseProcess, folder: Path) -> float:
        end = time.monotonic() + PATIENCE
        while process.is_alive() and not folder.exists():
            assert time.monotonic() < end, "the run does not begin"
            time.sleep(0.002)
        return time.monotonic()


@dataclass(frozen=True)
class Straight:
    """A run that nobody disturbed."""

    runs: Runs
    folder: Path
    ended: Ended


def _command(arguments: list[str], setup: Callable[[], object], log: Path, at: int | None) -> None:
    with open(log, "wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    operations = 0

    def watch(event: str, values: tuple[Any, ...]) -> None:
        nonlocal operations
        if event in WRITING or (event == "open" and _writes(values)):
            operations += 1
            if operations == at:
                os.kill(os.getpid(), signal.SIGKILL)

    from unsilent.cli import main

    setup()
    sys.addaudithook(watch)
    code = main(arguments)
    log.with_suffix(".count").write_text(str(operations))
    sys.stderr.flush()
    os._exit(code)


def _writes(values: tuple[Any, ...]) -> bool:
    flags = values[2] if len(values) > 2 and isinstance(values[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR))
