"""Corpora: one module each. They yield clips; what is in the clips is read later."""

from __future__ import annotations

from unsilent.corpora.base import Clip, Word
from unsilent.corpora.folder import FolderCorpus
from unsilent.corpora.grid import GridCorpus

__all__ = ["Clip", "FolderCorpus", "GridCorpus", "Word"]
