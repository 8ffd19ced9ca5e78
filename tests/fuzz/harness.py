"""Runs entry points on damaged inputs in processes of their own, and judges what came of each.

An input is survived if the entry point returns, or raises an `UnsilentError` of one line. Everything else is a
finding: another exception, a hang, a death, much memory, a file outside the output folder, a connection, a command.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from unsilent.errors import UnsilentError

__all__ = ["MEMORY", "SECONDS", "Outcome", "Worker"]

SECONDS = 30.0
"""Processor time that one input may take."""
START = 1200.0
"""Seconds on the clock that a process may take to import everything, on a machine that does other things too."""
MEMORY = 2_000_000_000
"""Bytes that the process may come to hold in memory."""
ADDRESSES = 8_000_000_000
"""Bytes that it may map beyond what it has mapped when it is ready: a last resort, well above what is reported."""
PRELOAD = ["unsilent.synthesis", "unsilent.training.run", "tests.fuzz.entries"]
LONGEST = 2000
"""Characters of a message; the command line makes one line of any."""
_TICK = 0.05
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
_MAKES = {"os.mkdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2, "os.remove": 1, "os.rmdir": 1, "os.chmod": 1}
"""What changes folders, and how many of its arguments are paths; a folder's descriptor comes last."""
_CONNECTS = ("socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request")


@dataclass(frozen=True)
class Outcome:
    """What came of one input."""

    entry: str
    verdict: str
    """``read``, ``refused``, or what is wrong."""
    detail: str = ""
    seconds: float = 0.0
    """Processor time."""
    memory: int = 0
    """Most bytes that the process held in memory."""

    @property
    def survived(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict in ("read", "refused")


class Worker:
    """One process that takes one input after another, replaced when an input is its end.

    Args:
        folder: holds everything that inputs may touch; the process works in ``outside/`` of it.
        entries: module whose ``ENTRIES`` are the entry points by name.
        seconds: of processor time that an input may take, and four times as many on the clock.
        memory: bytes that the process may come to hold.
    """

    def __init__(
        self, folder: Path, entries: str = "tests.fuzz.entries", seconds: float = SECONDS, memory: int = MEMORY
    ) -> None:
        self._folder, self._entries, self._seconds, self._memory = folder, entries, seconds, memory
        (folder / "outside").mkdir(exist_ok=True)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._process: Any = None
        self._pipe: Any = None

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._end()

    def run(self, entry: str, given: Path, output: Path) -> Outcome:
        """Give one input to an entry point.

        Args:
            entry: name of an entry point.
            given: the file or folder.
            output: folder that may be written to; emptied afterwards.
        """
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        before = _tree(self._folder, output)
        if self._process is None or not self._process.is_alive():
            self._start()
        self._pipe.send((entry, given, output))
        outcome = self._wait(entry)
        changed = sorted(before.items() ^ _tree(self._folder, output).items())
        if changed and outcome.survived:
            outcome = Outcome(entry, "wrote outside", str(changed[0][0]), outcome.seconds, outcome.memory)
        return outcome

    def _start(self) -> None:
        self._end()
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other, self._folder, self._entries), daemon=True)
        self._process.start()
        other.close()
        assert self._pipe.poll(START), "the worker does not start"
        assert self._pipe.recv() == "ready"

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _wait(self, entry: str) -> Outcome:
        begin, spent = time.monotonic(), _cpu(self._process.pid)
        most = 0
        while not self._pipe.poll(_TICK):
            memory, seconds = _resident(self._process.pid), _cpu(self._process.pid) - spent
            most = max(most, memory)
            if memory > self._memory:
                return self._ended(Outcome(entry, "memory", f"{memory / 1e9:.1f} GB", seconds, memory))
            if seconds > self._seconds or time.monotonic() - begin > 4 * self._seconds:
                clock = time.monotonic() - begin
                return self._ended(Outcome(entry, "hang", f"{seconds:.0f} s, {clock:.0f} on the clock", seconds, most))
        try:
            verdict, detail, seconds, memory = self._pipe.recv()
        except EOFError:
            self._process.join()
            return self._ended(Outcome(entry, "died", f"exit code {self._process.exitcode}", 0.0, most))
        if memory > self._memory:
            return Outcome(entry, "memory", f"{memory / 1e9:.1f} GB", seconds, memory)
        return Outcome(entry, verdict, detail, seconds, memory)

    def _ended(self, outcome: Outcome) -> Outcome:
        self._end()
        return outcome


def _resident(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tree(folder: Path, but: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file below ``folder``, without one folder."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(place, name) != but]
        for name in [*files, *folders]:
            status = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = (status.st_size if name in files else 0, status.st_mtime_ns)
    # A folder's time changes with its children; those are compared themselves.
    return {name: value if not os.path.isdir(name) else (0, 0) for name, value in found.items()}


# --- in the worker -------------------------------------------------------------------------------------------------


class _Watch:
    """What the process does that an input must not make it do."""

    def __init__(self) -> None:
        self.output = ""
        self.seen: list[str] = []
        self.on = False

    def __call__(self, event: str, values: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in _STARTS or event in _CONNECTS or event == "pickle.find_class":
            self._note(event, values)
        elif event == "open":
            flags = values[2] if isinstance(values[2], int) else 0
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._check(event, values[0])
        elif event in _MAKES:
            base = f"/proc/self/fd/{values[-1]}" if isinstance(values[-1], int) and values[-1] >= 0 else ""
            for value in values[event == "os.symlink" : _MAKES[event]]:
                self._check(event, value, base)

    def _check(self, event: str, value: Any, base: str = "") -> None:
        if not isinstance(value, str | bytes | os.PathLike):
            return
        text = os.fsdecode(value)
        folder, name = os.path.split(os.path.join(base, text))
        # Only the folder is resolved: renaming over a link, or removing one, does not touch what it leads to.
        path = os.path.join(os.path.realpath(folder), name) if event != "open" else os.path.realpath(text)
        if f"{path}{os.sep}".startswith(f"{self.output}{os.sep}") or path.startswith("/dev/"):
            return
        self._note(event, (path,))

    def _note(self, event: str, values: tuple[Any, ...]) -> None:
        if len(self.seen) < 5:
            self.seen.append(f"{event} {str(values)[:200]}")


def _serve(pipe: Connection, folder: Path, entries: str) -> None:
    calls = importlib.import_module(entries).ENTRIES
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    os.chdir(folder / "outside")
    sys.dont_write_bytecode = True
    watch = _Watch()
    sys.addaudithook(watch)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESSES, mapped + ADDRESSES))
    pipe.send("ready")
    while True:
        entry, given, output = pipe.recv()
        pipe.send(_judge(calls[entry], given, output, watch))


def _judge(call: Callable[[Path, Path], None], given: Path, output: Path, watch: _Watch) -> tuple[str, str, float, int]:
    Path("/proc/self/clear_refs").write_text("5")
    tempfile.tempdir = str(output)
    watch.output, watch.seen, watch.on = os.path.realpath(output), [], True
    begin = time.process_time()
    verdict, detail = "read", ""
    try:
        call(given, output)
    except UnsilentError as error:
        verdict, detail = "refused", str(error)
        if not detail.strip() or len(detail) > LONGEST:
            verdict, detail = "unclear message", repr(detail)[:300]
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is the finding)
        verdict, detail = type(error).__name__, _where(error)
    finally:
        watch.on = False
    seconds = time.process_time() - begin
    if watch.seen and verdict in ("read", "refused"):
        verdict, detail = "did more than read", watch.seen[0]
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return verdict, detail, seconds, int(found[1]) * 1024 if found else 0


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}unsilent{os.sep}" in frame.filename]
    place = (ours or frames)[-1]
    return f"{str(error)[:200]!r} at {os.path.basename(place.filename)}:{place.lineno} {place.name}"
