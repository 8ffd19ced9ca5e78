"""The talker corpus: drawn talking heads whose mouths follow phones, in time with synthesised speech.

Everything in it is synthetic: no real person is seen or heard, and figures measured on it say nothing about real
people. It needs the extra ``unsilent[talker]`` to be made; to be read it needs nothing.
"""

from __future__ import annotations

from unsilent.corpora.talker.corpus import TalkerCorpus

__all__ = ["TalkerCorpus"]
