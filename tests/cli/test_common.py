from __future__ import annotations

import dataclasses
import enum
import io
import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from rich.console import Console

from unsilent.cli import common
from unsilent.cli.common import Task, console, emit_json, out, progress, report, set_quiet
from unsilent.errors import OutputError


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    path: Path
    seconds: float


class Section(BaseModel):
    width: int = 3


def _emitted(data: object, capsys: pytest.CaptureFixture[str]) -> Any:
    emit_json(data, "-")
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.nan, None),
        (-math.inf, None),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, math.inf]]), [[1.0, None]]),
        (torch.tensor([1.0, 2.0]), [1.0, 2.0]),
        (torch.tensor(2), 2),
        (Path("a") / "b", str(Path("a") / "b")),
        (Clip(Path("x"), math.nan), {"path": "x", "seconds": None}),
        (Section(), {"width": 3}),
        (Colour.RED, "red"),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        ("ü", "ü"),
        (True, True),
        ([], []),
    ],
    ids=repr,
)
def test_json_forms(value: object, plain: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert _emitted(value, capsys) == plain


def test_json_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        emit_json({"a": object()}, str(tmp_path / "out.json"))
    with pytest.raises(TypeError, match="ModelMetaclass has no form"):
        emit_json(Section, "-")
    assert not list(tmp_path.iterdir())


def test_json_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"a": 1}, None)
    assert capsys.readouterr().out == ""


def test_json_to_an_impossible_file_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError):
        emit_json({}, str(tmp_path / "file" / "out.json"))
    assert (tmp_path / "file").read_text() == "old"


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(tree=trees)
def test_json_of_any_tree_can_be_read_back(tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "tree.json"
    emit_json({"tree": tree}, str(path))

    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert set(json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)) == {"tree"}


def test_report_leaves_standard_output_to_json() -> None:
    assert report(None) is out
    assert report("file.json") is out
    assert report("-") is console


# --- progress ------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr("unsilent.cli.common.time.monotonic", moved)
    return moved


def test_short_work_shows_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Tracking", 10, "frames") as task:
        for _ in range(10):
            clock.now += 0.19
            task.advance()
    assert capsys.readouterr().err == ""


def test_long_work_in_a_pipe_shows_a_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Tracking", 1000, "frames") as task:
        for _ in range(1000):
            clock.now += 0.5
            task.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Tracking: 4/1000 frames, 0 %, 2.0/s, 8:18 left"
    assert 8 <= len(lines) <= 20


def test_unknown_total_and_new_words(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Reading [1]") as task:
        clock.now += 3
        task.advance(6)
        clock.now += 10
        task.total = 26
        task.describe("Writing")
    assert capsys.readouterr().err.splitlines() == ["Reading [1]: 6, 2.0/s", "Writing: 6/26, 23 %, 0.5/s, 0:43 left"]


def test_quiet_work(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    set_quiet(True)
    try:
        with progress("Tracking", 10) as task:
            clock.now += 100
            task.advance(10)
    finally:
        set_quiet(False)
    assert capsys.readouterr().err == ""


def test_time_left_needs_a_ground(clock: Clock) -> None:
    task = Task("x", 10, "")
    assert task.seconds_left() is None
    clock.now += 5
    assert task.seconds_left() is None
    task.done = 4
    assert task.seconds_left() == pytest.approx(7.5)
    task.done = 40
    assert task.seconds_left() == 0
    task.total = None
    assert task.seconds_left() is None


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(common, "console", Console(file=screen, force_terminal=True, width=100, color_system=None))
    return screen


def test_nested_bars_on_a_terminal(clock: Clock, terminal: io.StringIO) -> None:
    with progress("Outer", 2, "clips") as outer:
        for _ in range(2):
            with progress("Inner [x]", 3, "frames") as inner:
                for _ in range(3):
                    clock.now += 2
                    inner.advance()
                assert common._display._bars is not None
                assert [bar.completed for bar in common._display._bars.tasks if "Inner" in bar.description] == [3]
            outer.advance()
    shown = terminal.getvalue()
    assert "Inner [x]" in shown
    assert "Outer" in shown
    assert "/3 frames" in shown
    assert common._display._bars is None


def test_bar_is_taken_down_after_an_error(clock: Clock, terminal: io.StringIO) -> None:
    def fail() -> None:
        with progress("Tracking", 10) as task:
            clock.now += 5
            task.advance()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert common._display._bars is None
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(1.5)
    assert not any(timer.is_alive() for timer in timers)


def test_bar_of_work_that_does_not_advance(monkeypatch: pytest.MonkeyPatch, terminal: io.StringIO) -> None:
    monkeypatch.setattr(common, "_PATIENCE", 0.01)
    with progress("Loading"):
        seen = threading.Event()
        for _ in range(500):
            if "Loading" in terminal.getvalue():
                break
            seen.wait(0.01)
    assert "Loading" in terminal.getvalue()


def test_advancing_from_many_threads_loses_nothing() -> None:
    with progress("Counting", 4000) as task:

        def count() -> None:
            for _ in range(1000):
                task.advance()

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert task.done == 4000
