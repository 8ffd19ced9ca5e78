"""What `torchrun` starts in a test: `unsilent train`, in which one process kills itself at the first checkpoint.

    torchrun ... tests/training/elastic.py RANK RECIPE OUTPUT

``RANK`` is the process that SIGKILL ends, once and in the first attempt only; ``none`` for nobody.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from unsilent.cli import main


def die_once_there_is_a_checkpoint(folder: Path) -> None:
    while not list(folder.glob("checkpoints/step-*")):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    rank, recipe, output = sys.argv[1:]
    attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
    if attempt == "0" and rank == os.environ["RANK"]:
        threading.Thread(target=die_once_there_is_a_checkpoint, args=(Path(output),), daemon=True).start()
    steps = [path.name for path in Path(output).glob("checkpoints/step-*")]
    Path(f"{output}-{attempt}-{os.environ['RANK']}.began").write_text(" ".join(steps))
    sys.exit(main(["train", recipe, "-o", output, "-q"]))
