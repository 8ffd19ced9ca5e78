"""Engines by name, and the one of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from unsilent.cli import main
from unsilent.errors import UnsilentError
from unsilent.workers import LocalEngine, open_engine


def test_local_engine_works_here_and_in_order() -> None:
    done: list[int] = []

    def double(number: int) -> int:
        done.append(number)
        return 2 * number

    def failed(number: int, reason: str, detail: str) -> int:
        raise AssertionError(reason)

    assert list(LocalEngine(0).map(iter([3, 1, 2]), double, failed)) == [(3, 6), (1, 2), (2, 4)]
    assert done == [3, 1, 2]
    assert list(LocalEngine().map([], double, failed)) == []


def test_engines_have_names() -> None:
    local = open_engine("local", 3)
    assert isinstance(local, LocalEngine)
    assert local.workers == 3
    with pytest.raises(UnsilentError, match="--engine spark: is none of local, ray"):
        open_engine("spark")
    with pytest.raises(UnsilentError, match="--workers 0"):
        open_engine("ray", 0)


def test_without_ray_there_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "unsilent.workers.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.mp4").touch()
    assert main(["prepare", "folder", str(tmp_path / "in"), str(tmp_path / "out"), "--engine", "ray"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'unsilent[cluster]'" in line
    assert not (tmp_path / "out").exists()
