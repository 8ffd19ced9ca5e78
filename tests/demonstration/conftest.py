from __future__ import annotations

import pytest
from tests.skips import needs_synthesiser

from unsilent.demonstration import Demonstration, Example, demonstrate, talker_example
from unsilent.synthesis import load


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    needs_synthesiser()
    pytest.importorskip("pystoi")
    return talker_example(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="session")
def shown(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    return demonstrate(example, load("talker"), tmp_path_factory.mktemp("shown") / "demo")
