"""Whether a run still gets better, by its history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unsilent.training.plateau import is_flat, read_curve, read_history


@pytest.mark.parametrize(
    ("scores", "flat"),
    [
        ([], False),
        ([0.1, 0.2, 0.3], False),
        ([0.3, 0.3, 0.3, 0.3], True),
        ([0.3, 0.3, 0.3, 0.309], True),
        ([0.3, 0.3, 0.3, 0.311], False),
        ([0.1, 0.3, 0.2, 0.1, 0.0], True),
    ],
)
def test_flat_is_no_gain_for_so_many_scores(scores: list[float], flat: bool) -> None:
    assert is_flat(scores, 3, 0.01) == flat


def test_steps_that_were_done_again_count_once_and_a_torn_line_not_at_all(tmp_path: Path) -> None:
    lines = [
        ("train", 10, 1.0),
        ("validation", 10, 2.0),
        ("validation", 20, 3.0),
        ("train", 10, 1.5),
        ("validation", 20, 4.0),
    ]
    text = "".join(json.dumps({"group": group, "step": step, "loss": loss}) + "\n" for group, step, loss in lines)
    (tmp_path / "history.jsonl").write_text(text + '{"step": 3')
    assert read_curve(tmp_path, "loss") == [(10, 2.0), (20, 4.0)]
    assert [line["loss"] for line in read_history(tmp_path)] == [1.5, 2.0, 4.0]
