"""A run's history and TensorBoard's events: whole lines, and a full disk that ends a run in one line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.training.test_loop import Line, Metrics, StoppedError, assert_same, everything, trainer
from torch.utils.tensorboard import SummaryWriter

from unsilent.errors import OutputError
from unsilent.training.journal import Journal

FULL = Path("/dev/full")
REMEDY = r"cannot be written \(.+\); make room and run the same command again$"


class Talkative(Line):
    """Shows more than there is room for, in the last validation only."""

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        if step == 9:
            writer.add_text("validation/words", "w" * 300_000, step)
        return super().validate(writer, step)


def records(folder: Path) -> list[tuple[str, int]]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [(line["group"], line["step"]) for line in lines]


def scalars(folder: Path) -> dict[str, list[int]]:
    """Steps of every curve that TensorBoard shows."""
    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {name: [event.step for event in read.Scalars(name)] for name in read.Tags()["scalars"]}


@contextmanager
def room(size: int) -> Iterator[None]:
    """The kernel refuses files of this process that are larger."""
    resource = pytest.importorskip("resource", reason="the platform cannot limit the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_history_and_tensorboard_say_the_same(tmp_path: Path) -> None:
    threads = threading.active_count()
    journal = Journal(tmp_path, 0)
    for step in (1, 2, 3):
        journal.add(step, "train", {"loss": 1 / step})
    journal.add(3, "validation", {"score": 0.5})
    assert threading.active_count() == threads
    assert records(tmp_path) == [("train", 1), ("train", 2), ("train", 3), ("validation", 3)]
    assert scalars(tmp_path) == {"train/loss": [1, 2, 3], "validation/score": [3]}


def test_steps_that_are_done_again_are_shown_once(tmp_path: Path) -> None:
    for begin in (0, 2):
        journal = Journal(tmp_path, begin)
        for step in range(begin + 1, 5):
            journal.add(step, "train", {"loss": 1.0})
    assert scalars(tmp_path) == {"train/loss": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("found", "kept"), [("", ""), ('{"a": 1}\n', '{"a": 1}\n'), ('{"a": 1}\n{"a', '{"a": 1}\n'), ("{", "")]
)
def test_a_line_that_was_cut_is_dropped(tmp_path: Path, found: str, kept: str) -> None:
    (tmp_path / "history.jsonl").write_text(found)
    Journal(tmp_path, 0)
    assert (tmp_path / "history.jsonl").read_text() == kept


def test_tensorboard_without_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("")
    with pytest.raises(OutputError, match=rf"tensorboard: {REMEDY}"):
        Journal(tmp_path, 0)


@pytest.mark.skipif(not FULL.exists(), reason="the platform has no /dev/full")
def test_a_full_disk_under_the_history_keeps_checkpoints(tmp_path: Path) -> None:
    straight = trainer(tmp_path / "straight", Line()).fit()
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        trainer(run, Line(), stop=5).fit()
    history, before = (run / "history.jsonl").read_bytes(), everything(run)
    (run / "history.jsonl").unlink()
    (run / "history.jsonl").symlink_to(FULL)
    with pytest.raises(OutputError, match=rf"history\.jsonl: {REMEDY}") as refused:
        trainer(run, Line()).fit()
    assert "No space left" in str(refused.value)
    assert_same(everything(run), before)
    (run / "history.jsonl").unlink()
    (run / "history.jsonl").write_bytes(history + b'{"step": 5, "ti')
    assert trainer(run, Line()).fit() == straight
    assert_same(everything(run), everything(tmp_path / "straight"))
    assert sorted(set(records(run))) == sorted(records(tmp_path / "straight"))


def test_a_full_disk_under_tensorboard_keeps_checkpoints(tmp_path: Path) -> None:
    straight = trainer(tmp_path / "straight", Talkative()).fit()
    run = tmp_path / "run"
    with room(200_000), pytest.raises(OutputError, match=rf"tfevents.*: {REMEDY}"):
        trainer(run, Talkative()).fit()
    assert everything(run)["step"] == 8
    assert trainer(run, Talkative()).fit() == straight
    assert_same(everything(run), everything(tmp_path / "straight"))
