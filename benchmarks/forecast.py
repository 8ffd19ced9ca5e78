"""Quality against minutes of video, from the runs of a study: what `unsilent adapt` forecasts from.

    python benchmarks/forecast.py runs/study-grid [--write]

For every amount of video the mean ESTOI of arm A over seeds and clips, with its 95 % interval; --write puts it where
the package reads it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

import unsilent.adaptation.forecast as target
from unsilent.evaluation.statistics import bootstrap_seeds
from unsilent.files import atomic_path
from unsilent.study.runner import read_result

BASIS = (
    "Measured on GRID's speaker s1 ({clips} clips of s1-test, {seeds} an amount), 51 words, a studio, "
    "training from scratch."
)


def _runs(number: int) -> str:
    return "one training run or more" if number == 1 else f"{number} training runs or more"


def points(study: Path) -> tuple[list[dict[str, float]], int, int]:
    """Every amount of video with its ESTOI; how many runs an amount and clips there are."""
    runs: dict[float, list[list[float]]] = defaultdict(list)
    for folder in sorted(study.glob("A-*min-seed*")):
        result = read_result(folder)
        found = re.fullmatch(r"A-([\d.]+)min-seed\d+", folder.name)
        if result is not None and result.scores is not None and found:
            runs[float(found[1])].append(result.scores.estoi)
    made = []
    for minutes, scores in sorted(runs.items()):
        interval = bootstrap_seeds(np.array(scores))
        made.append({"minutes": minutes, "estoi": interval.mean, "low": interval.low, "high": interval.high})
    return made, min(map(len, runs.values())), len(next(iter(runs.values()))[0])


def main() -> None:
    """Print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    found, seeds, clips = points(given.study)
    for point in found:
        line = f"{point['minutes']:g} min: ESTOI {point['estoi']:.3f} [{point['low']:.3f}, {point['high']:.3f}]"
        sys.stdout.write(line + "\n")
    if given.write:
        rounded = [{name: round(value, 3) for name, value in point.items()} for point in found]
        data = {"basis": BASIS.format(clips=clips, seeds=_runs(seeds)), "points": rounded}
        with atomic_path(Path(target.__file__).parent / target.FILE) as path:
            path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
