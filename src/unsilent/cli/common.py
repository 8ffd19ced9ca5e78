"""What every verb shares: consoles, progress with time left, JSON output, the ``--json`` and ``--quiet`` options."""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console

from unsilent.errors import RecipeError
from unsilent.files import atomic_path

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = [
    "JsonOption",
    "QuietOption",
    "Task",
    "console",
    "emit_json",
    "is_quiet",
    "out",
    "progress",
    "report",
    "run_folder",
]

_PATIENCE = 2.0
"""Seconds of work before progress is shown."""

_WIDTH_IN_PIPE = 120


def _console(stream: TextIO, *, stderr: bool) -> Console:
    known = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, width=None if known else _WIDTH_IN_PIPE, highlight=False, emoji=False)


out = _console(sys.stdout, stderr=False)
"""Results, on standard output."""

console = _console(sys.stderr, stderr=True)
"""Progress, notes and warnings, on standard error."""

_state = {"quiet": False}


def is_quiet() -> bool:
    """Return whether ``--quiet`` was given."""
    return _state["quiet"]


def set_quiet(value: bool) -> bool:
    """Switch progress and notes off or on, and return ``value``."""
    _state["quiet"] = value
    logging.getLogger("unsilent").setLevel(logging.ERROR if value else logging.INFO)
    return value


JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON; - is standard output.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress and no notes.", callback=set_quiet, is_eager=True)
]


def report(json_to: str | None) -> Console:
    """Return where to print for people: standard output, or standard error when JSON takes standard output."""
    return console if json_to == "-" else out


# --- JSON ----------------------------------------------------------------------------------------------------------


def emit_json(data: object, target: str | None) -> None:
    """Write ``data`` as JSON to a file (as a whole or not at all), to standard output (``-``), or nowhere (None).

    NaN and infinities become null; numpy and torch scalars and arrays, paths, dataclasses and enums are understood.

    Raises:
        OutputError: the file cannot be written.
        TypeError: ``data`` holds something that JSON has no form for.
    """
    if target is None:
        return
    text = json.dumps(_plain(data), indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    for method in ("model_dump", "tolist"):  # pydantic models; numpy and torch arrays and scalars
        if not isinstance(value, type) and hasattr(value, method):
            return _plain(getattr(value, method)())
    raise TypeError(f"{type(value).__name__} has no form in JSON")


# --- progress ------------------------------------------------------------------------------------------------------


class Task:
    """A piece of work whose progress is shown. Made by :func:`progress`; safe to advance from any thread."""

    def __init__(self, description: str, total: float | None, unit: str) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.done = 0.0
        self.resumed = 0.0
        """How much was done before this process; it does not count in the rate."""
        self.started = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, amount: float = 1) -> None:
        """Add ``amount`` to what is done."""
        with self._lock:
            self.done += amount
        _display.refresh(self)

    def restart(self, done: float = 0.0) -> None:
        """Count from ``done``, which an earlier run did, and measure the rate from now."""
        with self._lock:
            self.done = self.resumed = done
            self.started = time.monotonic()

    def describe(self, description: str) -> None:
        """Change the words in front of the bar."""
        self.description = description
        _display.refresh(self)

    def seconds_left(self) -> float | None:
        """Return an estimate from the mean rate so far, or None where there is no ground for one."""
        elapsed = time.monotonic() - self.started
        if not self.total or self.done <= self.resumed or elapsed <= 0:
            return None
        return max(0.0, self.total - self.done) * elapsed / (self.done - self.resumed)

    def line(self) -> str:
        """Return the state in one line of text, for output that is not a terminal."""
        elapsed = max(time.monotonic() - self.started, 1e-9)
        parts = [f"{self.done:.0f} {self.unit}".rstrip()]
        if self.total:
            parts = [f"{self.done:.0f}/{self.total:.0f} {self.unit}".rstrip(), f"{100 * self.done / self.total:.0f} %"]
        parts.append(f"{(self.done - self.resumed) / elapsed:.1f}/s")
        left = self.seconds_left()
        if left is not None:
            parts.append(f"{_clock(left)} left")
        return f"{self.description}: {', '.join(parts)}"


class _Display:
    """All tasks of the process on one live display, so that they may be nested or run side by side."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bars: Progress | None = None
        self._shown: dict[int, TaskID] = {}
        self._next_line: dict[int, float] = {}

    def add(self, task: Task) -> threading.Timer | None:
        """Start to watch a task; return the timer that shows it even if it never advances."""
        if is_quiet():
            return None
        with self._lock:
            self._next_line[id(task)] = task.started + _PATIENCE
        if not console.is_terminal:
            return None
        timer = threading.Timer(_PATIENCE, self.refresh, (task,))
        timer.daemon = True
        timer.start()
        return timer

    def refresh(self, task: Task) -> None:
        """Show the state of a task if it is due."""
        with self._lock:
            due = self._next_line.get(id(task))
            now = time.monotonic()
            if due is None or now < due:
                return
            if console.is_terminal:
                self._show_bar(task)
            else:
                console.print(task.line(), markup=False, soft_wrap=True)
                # Each line doubles the wait for the next, up to a minute: a long log stays short.
                self._next_line[id(task)] = now + min(60.0, max(5.0, now - task.started))

    def _show_bar(self, task: Task) -> None:
        if self._bars is None:
            from unsilent.cli.bars import make_bars

            self._bars = make_bars(console)
            self._bars.start()
        shown = self._shown.get(id(task))
        if shown is None:
            shown = self._shown[id(task)] = self._bars.add_task(task.description, total=task.total, unit=task.unit)
            # The bar appears late: its rate and time left count from where the work began.
            late = time.monotonic() - task.started
            self._bars.tasks[-1].start_time = self._bars.get_time() - late
        self._bars.update(shown, completed=task.done, total=task.total, description=task.description)

    def remove(self, task: Task) -> None:
        """Stop to show a task."""
        with self._lock:
            self._next_line.pop(id(task), None)
            shown = self._shown.pop(id(task), None)
            if self._bars is None:
                return
            if shown is not None:
                self._bars.remove_task(shown)
            if not self._shown:
                self._bars.stop()
                self._bars = None


_display = _Display()


@contextmanager
def progress(description: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
    """Show bar, count, rate and time left of the work in the block, once it has taken two seconds.

    Where standard error is no terminal, a line now and then takes the bar's place; with ``--quiet``, nothing does.

    Args:
        description: what is being done ("Tracking").
        total: how much there is to do, or None if that is unknown; may be set later as ``task.total``.
        unit: what is counted ("frames").

    Yields:
        The task to ``advance``.
    """
    task = Task(description, total, unit)
    timer = _display.add(task)
    try:
        yield task
    finally:
        if timer is not None:
            timer.cancel()
        _display.remove(task)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


# --- log records ---------------------------------------------------------------------------------------------------


class ConsoleHandler(logging.Handler):
    """Shows the library's log records on standard error, one line each, above a running progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; the level is named from warnings on."""
        try:
            prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
            console.print(f"{prefix}{record.getMessage()}", markup=False, soft_wrap=True)
        except Exception:  # noqa: BLE001 (logging's own protocol: a log record never ends a program)
            self.handleError(record)


class logs_on_console:  # noqa: N801 (used as a function)
    """Context in which the library's log records are shown."""

    def __enter__(self) -> None:
        self._handler = ConsoleHandler()
        logging.getLogger("unsilent").addHandler(self._handler)
        set_quiet(False)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        logging.getLogger("unsilent").removeHandler(self._handler)


def run_folder(name: str) -> Path:
    """Folder of a run that is given no other.

    Raises:
        RecipeError: the name would lead elsewhere.
    """
    if not name.strip() or name in (".", "..") or Path(name).name != name or "\\" in name:
        raise RecipeError(f"name: {name!r} cannot be that of a folder under runs; give --output")
    return Path("runs") / name
