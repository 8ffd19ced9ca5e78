"""Which of a person's clips are learnt from, and which only judge."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from unsilent.corpora.base import Clip
from unsilent.errors import CorpusError, MediaError
from unsilent.media import is_synthetic

__all__ = ["JUDGED_ON", "MINIMUM", "divide", "synthetic"]

JUDGED_ON: Final = "judged_on"
"""Key of an adapted model's card: ids of the clips that it never learnt from."""

MINIMUM: Final = 5
"""Clips without which nothing could be learnt, chosen and judged apart from each other."""
LARGEST_SHARE: Final = 50


def divide(clips: Sequence[Clip], root: str) -> list[Clip]:
    """The clips with ``split`` set: a tenth, but one at least and 50 at most, is ``val`` and as many are ``test``.

    Who belongs where follows from the clips' names and how many there are, so the same folder is divided the same way
    again. What is said twice could be learnt in one clip and asked in another: clips with one text go together.

    Args:
        clips: of one person.
        root: their folder, for the message.

    Raises:
        CorpusError: there are too few, or too few that differ in what is said.
    """
    groups: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.id):
        groups.setdefault(clip.text or f"clip {clip.id}", []).append(clip)
    if len(groups) < MINIMUM:
        raise CorpusError(
            f"{root}: holds {len(groups)} different clips; record at least {MINIMUM}, better a few hundred"
        )
    order = sorted(groups, key=lambda text: hashlib.sha256(groups[text][0].id.encode()).digest())
    share = min(LARGEST_SHARE, max(1, len(clips) // 10))
    splits: dict[str, list[Clip]] = {"test": [], "val": [], "train": []}
    for text in order:
        name = next((name for name in ("test", "val") if len(splits[name]) < share), "train")
        splits[name] += [replace(clip, split=name) for clip in groups[text]]
    if not splits["train"]:
        raise CorpusError(f"{root}: nothing is left to learn from beside what judges; record more clips that differ")
    return sorted((clip for part in splits.values() for clip in part), key=lambda clip: clip.id)


def synthetic(clips: Sequence[Clip]) -> int:
    """How many of the clips say of themselves that unsilent made them; what cannot be read says nothing."""
    return sum(_is_synthetic(clip) for clip in clips)


def _is_synthetic(clip: Clip) -> bool:
    try:
        return is_synthetic(clip.path)
    except MediaError:
        return False
