"""Damage inputs for as long as one likes: ``python -m tests.fuzz --minutes 30 --seed 1``.

Prints what was tried and what came of it; ends with 1 if anything was not survived, and keeps those inputs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.fuzz.campaign import Campaign
from tests.fuzz.harness import Worker
from tests.fuzz.seeds import KINDS


def main() -> int:
    """Run and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long")
    parser.add_argument("--inputs", type=int, default=10**9, help="end after so many inputs")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="only these kinds of input")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="folder for inputs that fail")
    parser.add_argument("--json", type=Path, help="write the table there too")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="unsilent-fuzz-") as folder, Worker(Path(folder)) as worker:
        campaign = Campaign(Path(folder), options.seed, options.keep)
        for number, outcome in enumerate(campaign.run(options.kind or list(KINDS), worker), 1):
            if not outcome.survived:
                sys.stderr.write(f"{outcome.entry}: {outcome.verdict}: {outcome.detail}\n")
            if time.monotonic() > end or number >= options.inputs:
                break
    _show(campaign, options.seed)
    if options.json:
        data = {
            kind: {**summary.verdicts, "seconds": summary.seconds, "memory": summary.memory}
            for kind, summary in campaign.summaries.items()
        }
        options.json.write_text(json.dumps({"seed": options.seed, "kinds": data}, indent=2) + "\n")
    return int(bool(campaign.failures))


def _show(campaign: Campaign, seed: int) -> None:
    table = Table(title=f"Damaged inputs, seed {seed}")
    for name in ("kind", "tried", "read", "refused", "failed", "slowest, s", "most memory, MB"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    rows = list(campaign.summaries.items())
    for kind, each in rows:
        counts = [str(each.verdicts[name]) for name in ("read", "refused", "failed")]
        table.add_row(kind, str(each.count), *counts, f"{each.seconds:.2f}", f"{each.memory / 1e6:.0f}")
    table.add_section()
    total = [str(sum(each.verdicts[name] for _, each in rows)) for name in ("read", "refused", "failed")]
    slowest, most = max(each.seconds for _, each in rows), max(each.memory for _, each in rows)
    table.add_row("all", str(sum(each.count for _, each in rows)), *total, f"{slowest:.2f}", f"{most / 1e6:.0f}")
    Console().print(table)
    for path, outcome in campaign.failures:
        Console().print(f"{path}: {outcome.verdict}: {outcome.detail}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
