from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from unsilent.web.locks import Lock

HOLD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from unsilent.web.locks import Lock
    assert Lock.acquire(Path(sys.argv[1])) is not None
    print("held", flush=True)
    time.sleep(60)
    """
)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = Lock.acquire(path)
    assert first is not None
    assert Lock.acquire(path) is None
    first.release()
    assert not path.exists()
    second = Lock.acquire(path)
    assert second is not None
    first.release()  # a second call does nothing: the lock is somebody else's by now
    assert path.exists()
    assert Lock.acquire(path) is None
    second.release()


def test_it_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert Lock.acquire(path) is None
        holder.kill()
        holder.wait()
    mine = Lock.acquire(path)
    assert mine is not None
    mine.release()
