"""What a run's history says, and whether it still gets better."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["is_flat", "read_curve", "read_history"]


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Lines of a run's history, in order; those of steps that were done again after a crash only once, as last seen."""
    lines: dict[tuple[str, int], dict[str, Any]] = {}
    with open(folder / "history.jsonl", encoding="utf-8") as handle:
        for text in handle:
            try:
                line = json.loads(text)
            except ValueError:  # the last line of a run that was killed
                continue
            lines[line["group"], line["step"]] = line
    return sorted(lines.values(), key=lambda line: line["step"])


def read_curve(folder: Path, metric: str) -> list[tuple[int, float]]:
    """(step, value) of a metric at every validation of a run."""
    return [(line["step"], line[metric]) for line in read_history(folder) if line["group"] == "validation"]


def is_flat(scores: Sequence[float], patience: int, least_gain: float) -> bool:
    """Whether the last ``patience`` scores, of which higher is better, brought less than ``least_gain``."""
    if len(scores) <= patience:
        return False
    return max(scores[-patience:]) < max(scores[:-patience]) + least_gain
