"""`unsilent train` in a process that SIGKILL ends: at a moment of the clock, or at one of its file operations."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOAD = ["unsilent.training.run", "unsilent.cli.train", "torch._dynamo", "matplotlib.pyplot", "tests.training.kills"]
WRITING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
PATIENCE = 120.0


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int | None
    seconds: float
    """From its first checkpoint's folder to its end."""
    operations: int
    """Files and folders that it opened to write, made, renamed or removed."""
    said: str


class Runs:
    """Runs of one recipe; every process is forked from one that has imported everything, so that it starts at once.

    Args:
        recipe: the recipe's file.
        folder: for what the processes say.
    """

    def __init__(self, recipe: Path, folder: Path) -> None:
        self._recipe, self._folder = recipe, folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._count = 0

    def run(self, output: Path, *, after: float | None = None, at: int | None = None) -> Ended:
        """Train into ``output``, to the end or until it is killed.

        Args:
            output: folder of the run.
            after: seconds from the first checkpoint's beginning to SIGKILL.
            at: number of the file operation before which the process kills itself.
        """
        self._count += 1
        log = self._folder / f"{self._count}.log"
        process = self._context.Process(target=_command, args=([str(self._recipe), "-o", str(output), "-q"], log, at))
        process.start()
        try:
            began = self._first_checkpoint(process, output / "checkpoints")
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

    @staticmethod
    def _first_checkpoint(process: BaseProcess, folder: Path) -> float:
        end = time.monotonic() + PATIENCE
        while process.is_alive() and not folder.exists():
            assert time.monotonic() < end, "the run does not begin"
            time.sleep(0.002)
        return time.monotonic()


def _command(arguments: list[str], log: Path, at: int | None) -> None:
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

    sys.addaudithook(watch)
    code = main(["train", *arguments])
    log.with_suffix(".count").write_text(str(operations))
    sys.stderr.flush()
    os._exit(code)


def _writes(values: tuple[Any, ...]) -> bool:
    flags = values[2] if len(values) > 2 and isinstance(values[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR))
