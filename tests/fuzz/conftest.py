from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds everything that damaged inputs may touch."""
    return tmp_path_factory.mktemp("playground")


@pytest.fixture(scope="session")
def worker(playground: Path) -> Iterator[object]:
    """A process that takes all inputs of the session."""
    pytest.importorskip("resource", reason="the platform cannot limit memory")
    from tests.fuzz.harness import Worker

    with Worker(playground) as running:
        yield running
