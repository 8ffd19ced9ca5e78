"""Synthetic clips with sound, text and word times, to lay out as other corpora are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.skips import needs_synthesiser

from unsilent.corpora.base import Clip
from unsilent.corpora.talker import TalkerCorpus
from unsilent.corpora.talker.generate import Spec, generate_corpus

Put = Callable[..., Path]


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Two real media files: clips of drawn talkers."""
    needs_synthesiser()
    root = tmp_path_factory.mktemp("spoken")
    generate_corpus(Spec(seed=11, sentences="open", speakers=2, unseen=0), root, 2, workers=0)
    return TalkerCorpus(root).clips()


@pytest.fixture
def put(spoken: list[Clip], tmp_path: Path) -> Put:
    """Write a file of the tree in ``tmp_path``: text, or the sound and picture of clip number ``of``."""

    def write(name: str, text: str | None = None, *, of: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            shutil.copyfile(spoken[of].path, path)
        else:
            path.write_text(text, encoding="utf-8")
        return path

    return write
