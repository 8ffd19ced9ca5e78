"""The clip that is shown: of a synthetic talker, made on the spot, or of GRID."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from unsilent.corpora import GridCorpus
from unsilent.corpora.grid import GRAMMAR
from unsilent.corpora.talker.generate import Place, Spec, make_clip, place_of
from unsilent.errors import CorpusError

__all__ = ["Example", "grid_example", "talker_example"]

TRAINED_ON: Final = 1500
"""Clips of the corpus that the shipped `talker` model comes from; those after it were never made for training."""
TALKERS: Final = Spec(seed=0, sentences="grid", speakers=8, unseen=2)
"""The talkers of that corpus."""
GRID_SPLIT: Final = "s1-test"
"""Clips that no shipped model was trained on."""
WORDS: Final = tuple(tuple(slot.values()) for slot in GRAMMAR)


@dataclass(frozen=True)
class Example:
    """A clip with its sound, and what is known of it."""

    id: str
    path: Path
    text: str
    about: str
    """What it is, in a sentence: synthetic or real, and what the model knows of it."""
    voice: Path | None = None
    """Another recording of the same speaker."""


def grid_example(root: Path) -> Example:
    """The first clip of GRID's `s1-test` below ``root``.

    Raises:
        CorpusError: there is no such clip.
    """
    if not root.is_dir():
        raise CorpusError(
            f"{root}: is no folder; fetch a speaker of GRID with `unsilent fetch grid --speakers s1` and name its "
            "folder, or leave --grid out for a synthetic talker"
        )
    clips = GridCorpus(root).clips(GRID_SPLIT)
    lender = next((clip.path for clip in clips[1:] if clip.speaker == clips[0].speaker), None)
    about = f"A clip of GRID's speaker {clips[0].speaker}; nothing was trained on it."
    return Example(clips[0].id, clips[0].path, clips[0].text or "", about, lender)


def talker_example(folder: Path, *, number: int = 0, unseen: bool = False) -> Example:
    """Make a clip of a synthetic talker in ``folder``, and another of the same talker, for the voice.

    Args:
        folder: gets the clips.
        number: which one, from 0.
        unseen: of a talker who is not in the training clips.

    Raises:
        CorpusError: the synthesiser is missing; the message says how to install it.
        OutputError: the folder cannot be written.
    """
    split = "talker-unseen" if unseen else "talker-test"
    index = _after_training(split, number)
    other = _another(place_of(TALKERS, index))
    for each in (index, other):
        make_clip(TALKERS, each, folder)
    place = place_of(TALKERS, index)
    text = str(json.loads((folder / f"{place.id}.json").read_text(encoding="utf-8"))["text"])
    known = "who is not in its training clips" if unseen else "whose other sentences the model was trained on"
    about = (
        f"Synthetic: a drawn face and a synthesised voice, of a talker {known}. This sentence is in no training clip. "
        "What is measured here says nothing of real people."
    )
    return Example(place.id, folder / f"{place.id}.mp4", text, about, folder / f"{place_of(TALKERS, other).id}.mp4")


def _after_training(split: str, number: int) -> int:
    """Index of clip ``number`` of a split among those that come after the training corpus."""
    found = (index for index in count(TRAINED_ON) if place_of(TALKERS, index).split == split)
    return next(index for place, index in enumerate(found) if place == number)


def _another(place: Place) -> int:
    """Index of the next clip of the same talker."""
    return next(index for index in count(place.index + 1) if place_of(TALKERS, index).speaker == place.speaker)
