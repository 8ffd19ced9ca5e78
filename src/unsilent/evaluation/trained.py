"""Whether a model is judged on clips that it was trained on, as far as its card and the lists of splits tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unsilent.corpora.base import Clip
from unsilent.corpora.registry import CORPORA
from unsilent.corpora.splits import has_lists, load_split

__all__ = ["trained_note"]


def trained_note(model: str, card: Mapping[str, Any], corpus: str, clips: Sequence[Clip]) -> str | None:
    """What a report has to say if a model learnt from the clips it is judged on; None where nothing is known of that.

    Args:
        model: its name.
        card: of the model; ``trained_on`` names the shards and their split.
        corpus: name of the corpus that it is judged on.
        clips: that it is judged on.
    """
    trained = card.get("trained_on")
    if not isinstance(trained, Mapping) or not isinstance(trained.get("split"), str):
        return None
    split, shards = trained["split"], trained.get("shards")
    if shards != corpus and shards in CORPORA:
        return None
    learnt = _learnt(split, corpus, clips)
    if not learnt:
        return None
    # Shards may be called anything; the name of a split is telling where no other corpus has one of that name.
    if shards != corpus and [name for name, info in CORPORA.items() if split in info.splits] != [corpus]:
        of_which = f"it was trained on split {split} of {shards}"
        return f"{model} may have learnt from {learnt} of these {len(clips)} clips: {of_which}"
    if learnt == len(clips):
        return f"{model} was trained on this split: all {len(clips)} clips are of {split}, its training data"
    return f"{model} was trained on {learnt} of these {len(clips)} clips, those of {split}"


def _learnt(split: str, corpus: str, clips: Sequence[Clip]) -> int:
    """How many of the clips are in a split, by its list where there is one, else by what the corpus says of a clip."""
    if has_lists(corpus) and split in CORPORA[corpus].splits:
        members = load_split(corpus, split)
        return sum(clip.id in members for clip in clips)
    return sum(clip.split == split for clip in clips)
