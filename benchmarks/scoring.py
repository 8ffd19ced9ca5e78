"""How long `unsilent evaluate` takes to score a system with every metric, and what memory it needs.

    python benchmarks/scoring.py path/to/grid --split s1-val [--clips 50] [--json FILE]

Time: the real side is scored first and kept; then the model's side is, for a few clips and for all, each in a fresh
process. The difference is what the further clips take, so that starting and loading models is left out. Making the
speech is in it. Memory: the largest process of a run, for some clips and for four times as many, with two metrics.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unsilent.files import atomic_path

FEW = 6
CHEAP = ("--metrics", "stoi,mel_l1", "--systems", "real,model")
_CHILD = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)


def run(*arguments: str) -> tuple[float, float]:
    """Seconds by the clock, and megabytes of the largest process, of one `unsilent evaluate`."""
    command = [sys.executable, "-m", "unsilent", "evaluate", *arguments, "--quiet"]
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _CHILD, *command], stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - started, int(done.stdout) / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of GRID")
    parser.add_argument("--split", default="s1-val")
    parser.add_argument("--memory-split", default="s1-train", help="one with four times as many clips")
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    corpus = ("grid", str(arguments.root), "--split")
    figures: dict[str, float] = {"clips": arguments.clips}
    seconds = {}
    for clips in (FEW, arguments.clips):
        with tempfile.TemporaryDirectory() as cache:
            shared = (*corpus, arguments.split, "--cache", cache, "--limit", str(clips))
            run(*shared, "--systems", "real")
            seconds[clips], _ = run(*shared, "--systems", "model")
    figures["seconds, from start to end"] = seconds[arguments.clips]
    each = (seconds[arguments.clips] - seconds[FEW]) / (arguments.clips - FEW)
    figures["seconds for all clips once models are loaded"] = each * arguments.clips
    for clips in (arguments.clips, 4 * arguments.clips):
        with tempfile.TemporaryDirectory() as cache:
            _, memory = run(*corpus, arguments.memory_split, "--cache", cache, "--limit", str(clips), *CHEAP)
        figures[f"MB of the largest process, {clips} clips"] = memory
    for name, value in figures.items():
        sys.stdout.write(f"{name}: {value:.0f}\n")
    if arguments.json:
        with atomic_path(arguments.json) as path:
            path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
