"""What a run says of itself: a history of lines of JSON, and what TensorBoard shows."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.writer import FileWriter

from unsilent.errors import OutputError

__all__ = ["Journal"]


class Journal:
    """Keeps ``history.jsonl`` and ``tensorboard/`` of a run; everything is on its way to the disk when a call returns.

    Args:
        folder: of the run.
        step: from which the run goes on; TensorBoard leaves out what an earlier process said of later ones.

    Raises:
        OutputError: the folder cannot be written, or the disk is full; so do all methods, the writer's too.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._history = folder / "history.jsonl"
        _drop_cut_line(self._history)
        self.writer: SummaryWriter = _Board(folder / "tensorboard", step)
        """For pictures and sounds."""

    def add(self, step: int, group: str, metrics: Mapping[str, float]) -> None:
        """Note the metrics of a step under a group's name."""
        line = json.dumps({"step": step, "time": round(time.time(), 1), "group": group, **metrics}) + "\n"
        _append(self._history, line.encode())
        for name, value in metrics.items():
            self.writer.add_scalar(f"{group}/{name}", value, step)


class _Board(SummaryWriter):
    """TensorBoard's writer without its thread, which meets a full disk late and alone, with a traceback."""

    def __init__(self, folder: Path, step: int) -> None:
        self._events = _Events(folder)
        super().__init__(str(folder))
        # TensorBoard leaves out what was said of this step and later ones.
        self._events.add_event(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def _get_file_writer(self) -> FileWriter:
        return self._events


class _Events(FileWriter):
    def __init__(self, folder: Path) -> None:
        # The parent's own would start the thread.
        self.event_writer = _EventFile(folder)


class _EventFile:
    """What `torch.utils.tensorboard` expects of TensorBoard's `EventFileWriter`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"events.out.tfevents.{time.time():.6f}.{secrets.token_hex(4)}"
        self._records = RecordWriter(self)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refusal(folder, error) from error
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def get_logdir(self) -> str:
        return str(self._folder)

    def add_event(self, event: Event) -> None:
        self._records.write(event.SerializeToString())

    def write(self, record: bytes) -> None:
        _append(self._path, record)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is held open."""


def _append(path: Path, data: bytes) -> None:
    try:
        with open(path, "ab") as handle:
            handle.write(data)
    except OSError as error:
        raise _refusal(path, error) from error


def _drop_cut_line(path: Path) -> None:
    """Remove the part of a line that a full disk or a kill has left, or the next one would be spoilt with it."""
    try:
        text = path.read_bytes() if path.is_file() else b""
        if text and not text.endswith(b"\n"):
            os.truncate(path, text.rfind(b"\n") + 1)
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> OutputError:
    reason: Any = error.strerror or error
    return OutputError(f"{path}: cannot be written ({reason}); make room and run the same command again")
