"""Entry points with every fault that the harness must see."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from unsilent.errors import MediaError


def _raise(given: Path, output: Path) -> None:
    raise KeyError("a defect")


def _refuse(given: Path, output: Path) -> None:
    raise MediaError(f"{given}: is damaged; copy it again")


def _refuse_without_a_word(given: Path, output: Path) -> None:
    raise MediaError("")


def _write(given: Path, output: Path) -> None:
    (output / "fine").write_text("x")


def _write_beside(given: Path, output: Path) -> None:
    (given.parent / "beside").write_text("x")


def _write_as_a_library(given: Path, output: Path) -> None:
    assert cv2.imwrite(str(given.parent / "library.png"), np.zeros((2, 2), np.uint8))


def _hang(given: Path, output: Path) -> None:
    while True:
        time.sleep(0.1)


def _spin(given: Path, output: Path) -> None:
    while True:
        pass


def _die(given: Path, output: Path) -> None:
    os._exit(139)


def _fill(given: Path, output: Path) -> None:
    kept = [np.ones(10_000_000, np.uint8) for _ in range(50)]
    assert kept


def _command(given: Path, output: Path) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def _connect(given: Path, output: Path) -> None:
    with socket.socket() as client:
        client.connect_ex(("127.0.0.1", 9))


class _Planted:
    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return len, ("x",)


def _unpickle(given: Path, output: Path) -> None:
    pickle.loads(pickle.dumps(_Planted()))


ENTRIES = {
    call.__name__: call
    for call in (
        _raise, _refuse, _refuse_without_a_word, _write, _write_beside, _write_as_a_library, _hang, _spin, _die, _fill,
        _command, _connect, _unpickle,
    )
}  # fmt: skip
