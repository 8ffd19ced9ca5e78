from __future__ import annotations

from pathlib import Path

import pytest
from tests.skips import needs_synthesiser

from unsilent.corpora.talker import TalkerCorpus
from unsilent.corpora.talker.generate import Spec, generate_corpus

SPEC = Spec(seed=7, sentences="grid", speakers=2, unseen=1)
CLIPS = 7


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TalkerCorpus:
    """Seven clips of three talkers; every split has one."""
    needs_synthesiser()
    root = tmp_path_factory.mktemp("talker")
    generate_corpus(SPEC, root, CLIPS, workers=0)
    return TalkerCorpus(root)


@pytest.fixture(scope="session")
def root(corpus: TalkerCorpus) -> Path:
    return corpus.root
