"""What is compared: clips, and the systems that make sound for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.metrics import Samples
from unsilent.evaluation.statistics import SEED

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SYSTEMS", "EvalClip", "Speaker", "System", "derangement", "lenders", "model_systems", "needs_crops"]

SYSTEMS: Final[Mapping[str, str]] = {
    "model": "speech from the mouth crops of the clip",
    "real": "the real sound (what a perfect system would score)",
    "vocoder": "the real sound's mel through the vocoder (the ceiling of any mel)",
    "shuffled": "speech from the mouth crops of another clip with another sentence (the floor)",
}
"""Systems that a model brings, with what they are."""


@dataclass(frozen=True, slots=True, eq=False)
class EvalClip:
    """One clip to evaluate on.

    Attributes:
        id: unique, for instance ``s1/bbaf3s``.
        text: what is said, or None where that is unknown (no word error rate then).
        real: (n,) float32, the real sound at 24 kHz.
        crops: (T, 96, 96) uint8 mouth crops at 25 frames/s; T may be 0 where no system needs them.
        source: the file it was read from, if any.
        speaker: who speaks; the same name means the same voice.
    """

    id: str
    text: str | None
    real: Samples
    crops: NDArray[np.uint8]
    source: Path | None = None
    speaker: str | None = None


System = Callable[[EvalClip], Samples]
"""Makes (n,) float32 samples at 24 kHz for a clip."""


class _Spoken(Protocol):
    @property
    def samples(self) -> Samples: ...


class Speaker(Protocol):
    """What is asked of a synthesizer (:class:`unsilent.synthesis.Synthesizer` is one)."""

    @property
    def voices(self) -> bool:
        """Whether it can be told whose voice to speak with."""
        ...

    def voice_of(self, reference: Samples, /) -> NDArray[np.float32]:
        """(n,) samples to the embedding of their voice."""
        ...

    def speak_crops(self, crops: NDArray[np.uint8], /, *, voice: NDArray[np.float32] | None = None) -> _Spoken:
        """(T, 96, 96) mouth crops to speech, with a voice where there is a choice."""
        ...

    def mel(self, samples: Samples, /) -> NDArray[np.float32]:
        """(n,) samples to their (80, M) log-mel."""
        ...

    def vocode(self, mel: NDArray[np.float32], /) -> Samples:
        """(80, M) log-mel to samples."""
        ...


def derangement(texts: Sequence[str | None], *, seed: int = SEED) -> list[int]:
    """For every clip the index of another clip whose text differs; every clip is used exactly once.

    Clips without a text count as all different. A seeded shuffle of the clips, grouped by text and rotated by the
    size of the largest group: no two members of a group can then meet.

    Raises:
        EvaluationError: more than half of the clips share one text, or there are fewer than two: nothing fits then.
    """
    groups: dict[str, list[int]] = {}
    order = np.random.default_rng(seed).permutation(len(texts))
    for index in order.tolist():
        text = texts[index]
        groups.setdefault(f"text {text}" if text is not None else f"clip {index}", []).append(index)
    largest = max((len(group) for group in groups.values()), default=0)
    if len(texts) < 2 or 2 * largest > len(texts):
        raise EvaluationError(
            f"{len(texts)} clips, {largest} of them with one text, cannot be shuffled against other sentences; "
            "evaluate more clips or leave out the system `shuffled`"
        )
    flat = [index for group in sorted(groups.values(), key=len, reverse=True) for index in group]
    partners = [0] * len(texts)
    for position, index in enumerate(flat):
        partners[index] = flat[(position + largest) % len(flat)]
    return partners


def lenders(clips: Sequence[EvalClip]) -> dict[str, EvalClip]:
    """For every clip, by its id, the next of the same speaker, which can lend its voice; none if alone."""
    groups: dict[str, list[EvalClip]] = {}
    for clip in clips:
        if clip.speaker is not None:
            groups.setdefault(clip.speaker, []).append(clip)
    return {
        clip.id: group[(place + 1) % len(group)]
        for group in groups.values()
        if len(group) > 1
        for place, clip in enumerate(group)
    }


def needs_crops(names: Sequence[str]) -> bool:
    """Whether one of the systems looks at the mouth."""
    return not set(names).isdisjoint({"model", "shuffled"})


def model_systems(
    speaker: Speaker | None, clips: Sequence[EvalClip], names: Sequence[str], *, told: bool = True
) -> dict[str, System]:
    """The systems called ``names`` (see :data:`SYSTEMS`) for a model and the clips it is evaluated on.

    Args:
        speaker: the model; may be None if only ``real`` is asked for.
        clips: all clips of the evaluation; ``shuffled`` picks its partners among them.
        names: in the order of the report.
        told: tell a model that has a choice of voices the clip's, by another clip of the same speaker.

    Raises:
        EvaluationError: there is no such system, it needs a model, or no shuffle exists.
    """
    for name in names:
        if name not in SYSTEMS:
            raise EvaluationError(f"{name}: no such system; choose from {', '.join(SYSTEMS)}")
        if name != "real" and speaker is None:
            raise EvaluationError(f"{name}: needs a model; give one or evaluate the system `real` alone")
    systems: dict[str, System] = {"real": lambda clip: clip.real}
    lent = lenders(clips) if told and speaker is not None and speaker.voices else {}

    def speak(clip: EvalClip, crops: NDArray[np.uint8]) -> Samples:
        assert speaker is not None
        lender = lent.get(clip.id)
        return speaker.speak_crops(crops, voice=speaker.voice_of(lender.real) if lender else None).samples

    if speaker is not None:
        systems["model"] = lambda clip: speak(clip, clip.crops)
        systems["vocoder"] = lambda clip: speaker.vocode(speaker.mel(clip.real))
    if speaker is not None and "shuffled" in names:
        partners = derangement([clip.text for clip in clips])
        other = {clip.id: clips[partner] for clip, partner in zip(clips, partners, strict=True)}
        systems["shuffled"] = lambda clip: speak(clip, other[clip.id].crops)
    return {name: systems[name] for name in names}
