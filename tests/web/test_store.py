from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.web.limits import Limits, Refused
from unsilent.web.locks import Lock
from unsilent.web.store import Store, safe_name, shown_name, sweep

TOKEN, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Limits(max_mb=0.01, workers=1, queue=0, keep=0.0), tmp_path)


@given(st.text(max_size=300))
def test_names_of_files_hold_no_folders_and_nothing_odd(name: str) -> None:
    safe = safe_name(name)
    assert Path(safe).name == safe
    assert not safe.startswith((".", "-"))
    assert len(safe) < 80
    assert all(char.isascii() and (char.isalnum() or char in "._-") for char in safe)
    assert shown_name(name).isprintable()
    assert 0 < len(shown_name(name)) <= 80


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\videos\\my clip.MP4", "my_clip.MP4"),
        (".mp4", "mp4"),
        ("", "file"),
        ("Ünï.webm", "n_.webm"),
        ("a.tar.gz", "a.tar.gz"),
    ],
)
def test_names_keep_what_they_can(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_session_owns_its_own_files_only(store: Store, tmp_path: Path) -> None:
    mine, theirs = store.session(TOKEN), store.session(OTHER)
    file, other = store.room(mine, "a.mp4"), store.room(theirs, "b.mp4")
    outside = tmp_path / "outside.txt"
    for path in (file, other, outside):
        path.write_text("x")
    link = file.with_name("link")
    link.symlink_to(outside)
    assert store.owned(mine, str(file)) == file
    climbing = f"{file.parent}/../../{other.relative_to(store.root)}"
    for wild in (str(other), str(outside), str(link), climbing, str(file.parent), "", "http://x/", "a\0b", None, 3):
        assert store.owned(mine, wild) is None, wild
    assert store.owned(None, str(file)) is None
    assert TOKEN not in str(file)


def test_a_session_and_the_server_have_their_fill(store: Store) -> None:
    mine, theirs = store.session(TOKEN), store.session(OTHER)
    store.charge(mine, store.limits.session_bytes)
    with pytest.raises(Refused, match="holds too much") as refused:
        store.charge(mine, 1)
    assert refused.value.status == 413
    with pytest.raises(Refused, match="server is full") as refused:
        store.charge(theirs, store.limits.total_bytes - store.limits.session_bytes + 1)
    assert refused.value.status == 429
    store.end(TOKEN)
    store.charge(theirs, 10)
    assert store.bytes == 10


def test_files_and_sessions_are_counted(store: Store) -> None:
    mine = store.session(TOKEN)
    for _ in range(64):
        store.room(mine, "a.mp4")
    with pytest.raises(Refused, match="too many files"):
        store.room(mine, "a.mp4")
    busy = Store(Limits(workers=1, queue=0), store.root)
    for number in range(busy.limits.sessions):
        busy.session(f"{number:032x}").open = 1
    with pytest.raises(Refused, match="too many visitors"):
        busy.session(TOKEN)


def test_sessions_end_once_nobody_is_there(store: Store) -> None:
    mine = store.session(TOKEN)
    file = store.room(mine, "a.mp4")
    file.write_text("x")
    with mine.busy():
        assert store.reap() == 0
    assert file.exists()
    assert store.reap() == 1
    assert not file.exists()
    assert store.known(TOKEN) is None


def test_a_visit_leaves_nothing(store: Store) -> None:
    def visit() -> None:
        with store.visit() as session:
            store.room(session, "a.mp4").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        visit()
    assert list(store.root.iterdir()) == []


def test_folders_are_private(store: Store) -> None:
    folder = store.room(store.session(TOKEN), "a.mp4").parent
    assert store.root.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_close_removes_all(tmp_path: Path) -> None:
    store = Store(Limits(), tmp_path)
    store.room(store.session(TOKEN), "a.mp4").write_text("x")
    store.close()
    store.close()
    assert list(tmp_path.iterdir()) == []


_CRASH = """
import os, pathlib, signal, sys
from unsilent.web.limits import Limits
from unsilent.web.store import Store
store = Store(Limits(), pathlib.Path(sys.argv[1]))
store.room(store.session("a" * 32), "secret.mp4").write_text("x")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="ends a process by a signal")
def test_what_a_crashed_server_left_is_swept_and_what_a_live_one_holds_is_not(tmp_path: Path) -> None:
    living = Store(Limits(), tmp_path)
    kept = living.room(living.session(TOKEN), "mine.mp4")
    kept.write_text("x")
    done = subprocess.run([sys.executable, "-c", _CRASH, str(tmp_path)], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob("secret.mp4"))) == 1
    another = Store(Limits(), tmp_path)
    assert list(tmp_path.rglob("secret.mp4")) == []
    assert kept.exists()
    assert sweep(tmp_path) == 0
    another.close()
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_sweeping_follows_no_links(tmp_path: Path) -> None:
    valuable = tmp_path / "valuable"
    valuable.mkdir()
    (valuable / "thesis.txt").write_text("x")
    (tmp_path / "unsilent-serve-12345678").symlink_to(valuable)
    (tmp_path / "unsilent-serve-12345678.lock").symlink_to(valuable / "thesis.txt")
    (tmp_path / "unsilent-serve-87654321").symlink_to(valuable)
    (tmp_path / "unsilent-serve-87654321.lock").touch()
    sweep(tmp_path)
    assert (valuable / "thesis.txt").read_text() == "x"


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    first = Lock.acquire(tmp_path / "x.lock")
    assert first is not None
    assert Lock.acquire(tmp_path / "x.lock") is None
    first.release()
    first.release()
    again = Lock.acquire(tmp_path / "x.lock")
    assert again is not None
    again.release()
