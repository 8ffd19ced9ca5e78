"""What the talkers say: sentences of the GRID grammar, or open text from templates.

Each sentence belongs to train, val or test (90 / 5 / 5 %) by a stable hash of its words, whoever says it in whatever
corpus: what one talker is trained on, no talker is tested on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Literal, get_args

import numpy as np

from unsilent.corpora.grid import GRAMMAR
from unsilent.corpora.splits import hashed_part
from unsilent.errors import CorpusError

__all__ = ["KINDS", "Kind", "draw", "open_text", "part_of", "read_templates"]

Kind = Literal["grid", "open"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
_SLOT: Final = re.compile(r"\[(\w+)\]")
_WITH_SLOTS: Final = 0.85
"""Share of sentences that have slots, of which there are far more."""


@dataclass(frozen=True, slots=True)
class Templates:
    """Sentences with slots in brackets, and the words that fill each slot."""

    sentences: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]


def part_of(text: str) -> str:
    """``train``, ``val`` or ``test``, by the words of a sentence; case and marks do not count."""
    return hashed_part(" ".join(re.findall(r"[\w']+", text.lower())))


def read_templates(text: str) -> Templates:
    """Read templates: a line a sentence, ``@slot: word, word`` a slot, ``#`` a comment.

    Raises:
        CorpusError: a sentence has a slot that is not defined.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    slots = {}
    for line in lines:
        if line.startswith("@"):
            name, _, words = line[1:].partition(":")
            slots[name.strip()] = tuple(word.strip() for word in words.split(","))
    sentences = tuple(line for line in lines if not line.startswith("@"))
    for sentence in sentences:
        for slot in _SLOT.findall(sentence):
            if slot not in slots:
                raise CorpusError(f"`{sentence}`: no slot is called {slot}; define it with `@{slot}: ...`")
    return Templates(sentences, slots)


@cache
def open_text() -> Templates:
    """The templates of the open text."""
    return read_templates(resources.files(__package__).joinpath("sentences.txt").read_text(encoding="utf-8"))


def draw(kind: str, part: str | None, rng: np.random.Generator) -> str:
    """Draw a sentence.

    Args:
        kind: ``grid`` or ``open``.
        part: train, val or test; None for any.
        rng: where chance comes from.

    Raises:
        CorpusError: there is no such kind.
    """
    if kind not in KINDS:
        raise CorpusError(f"{kind}: no such kind of sentences; choose from {', '.join(KINDS)}")
    while True:
        text = _grid(rng) if kind == "grid" else _open(rng)
        if part in (None, part_of(text)):
            return text


def _grid(rng: np.random.Generator) -> str:
    return " ".join(list(slot.values())[rng.integers(len(slot))] for slot in GRAMMAR)


def _open(rng: np.random.Generator) -> str:
    templates = open_text()
    wanted = bool(rng.random() < _WITH_SLOTS)
    choice = [sentence for sentence in templates.sentences if bool(_SLOT.search(sentence)) == wanted]
    template = choice[rng.integers(len(choice))]

    def fill(match: re.Match[str]) -> str:
        words = templates.slots[match[1]]
        return words[rng.integers(len(words))]

    filled = _SLOT.sub(fill, template)
    return filled[0].upper() + filled[1:]
