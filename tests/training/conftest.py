from __future__ import annotations

from pathlib import Path

import pytest
from tests.training.small import write_shards


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of shards that nobody changes."""
    return write_shards(tmp_path_factory.mktemp("shards"))
