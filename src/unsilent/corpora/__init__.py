"""Corpora: one module each. They yield clips; what is in the clips is read later.

:mod:`unsilent.corpora.registry` knows them all by name.
"""

from __future__ import annotations

from unsilent.corpora.base import Clip, Corpus, Grammar, Word
from unsilent.corpora.folder import FolderCorpus
from unsilent.corpora.grid import GridCorpus

__all__ = ["Clip", "Corpus", "FolderCorpus", "Grammar", "GridCorpus", "Word"]
