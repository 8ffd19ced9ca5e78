"""The models of ``unsilent evaluate``: which are loaded, and what has to be said of them in the report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsilent.corpora import Clip
    from unsilent.evaluation import EvalClip, Speaker
    from unsilent.evaluation.protocol import Copier

__all__ = ["COPIER", "Models", "lender_of", "load_models", "made_by", "trained"]

_log = logging.getLogger("unsilent.evaluation")

COPIER = "speech-mel"
"""Shipped model that says sound again."""
LENDER = "grid"
"""Shipped model whose vocoder makes the bounds of a model that has none."""


@dataclass(frozen=True, slots=True)
class Models:
    """What the command names.

    Attributes:
        reads_lips: the model to evaluate, or whose vocoder is a bound.
        says_again: the pre-trained speech model.
        told: tell the first each clip's voice.
    """

    reads_lips: str | None
    says_again: str | None = None
    told: bool = True


def load_models(models: Models, chosen: Sequence[str]) -> tuple[Speaker | None, Copier | None, dict[str, Any]]:
    """What reads lips, if one of the systems does; what says sound again, if one is named; and the cards of both."""
    copier, card = None, {}
    if models.says_again is not None and "a2a" in chosen:
        from unsilent.synthesis import Copier

        copier = Copier(models.says_again)
        card["a2a"] = models.says_again
    if models.reads_lips is None or set(chosen) <= {"real", "silence", "a2a"}:
        return None, copier, card
    import unsilent

    speaker: Speaker = unsilent.load(models.reads_lips)
    card["name"] = models.reads_lips
    if (known := getattr(speaker, "card", None)) is not None:
        card["card"] = known
    return speaker, copier, card


def lender_of(speaker: Speaker | None, chosen: Sequence[str]) -> Speaker | None:
    """Whose vocoder speaks the mels of the bounds, where ``speaker`` makes waveforms itself."""
    if speaker is None or getattr(speaker, "vocodes", True) or {"vocoder", "mean"}.isdisjoint(chosen):
        return None
    import unsilent

    return unsilent.load(LENDER)


def made_by(speaker: Speaker | None, models: Models, lender: Speaker | None) -> list[str]:
    """What has to be said of whose voice the model speaks with, and whose vocoder the bounds."""
    notes = []
    if getattr(speaker, "voices", False):
        told = "told each clip's voice, by another clip of the same speaker" if models.told else "told no voice"
        notes.append(f"the model was {told}")
    if lender is not None:
        notes.append(
            f"{models.reads_lips} makes waveforms itself: vocoder and mean are through the vocoder of {LENDER}"
        )
    return notes


def trained(card: Mapping[str, Any], corpus: str, picked: Sequence[Clip], clips: Sequence[EvalClip]) -> str | None:
    """What has to be said if the model whose card was read learnt from the clips."""
    from unsilent.adaptation import JUDGED_ON
    from unsilent.evaluation.trained import trained_note

    known = card.get("card", {})
    if JUDGED_ON in known:  # of an adapted model: what it may be judged on is said by its clips
        return None
    good = {clip.id for clip in clips}
    note = trained_note(card.get("name", ""), known, corpus, [clip for clip in picked if clip.id in good])
    if note is not None:
        _log.warning("%s", note)
    return note
