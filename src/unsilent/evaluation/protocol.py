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

    from unsilent.evaluation.sources import SoundFiles

__all__ = [
    "SYSTEMS",
    "Copier",
    "EvalClip",
    "Speaker",
    "System",
    "derangement",
    "lenders",
    "model_systems",
    "needs_crops",
    "usual_systems",
]

SYSTEMS: Final[Mapping[str, str]] = {
    "real": "the real sound (what a perfect system would score)",
    "vocoder": "the real sound's mel through the vocoder (the ceiling of any mel)",
    "a2a": "a copy of the real sound by a pre-trained speech model (the ceiling of its decoder)",
    "model": "speech from the mouth crops of the clip",
    "shuffled": "speech from the mouth crops of another clip with another sentence (a floor: it cannot know the words)",
    "mean": "the mean log-mel, frame by frame, of all other clips of the evaluation, through the vocoder (a floor)",
    "silence": "nothing at all, as long as the real sound (a floor; metrics of speech are not defined on it)",
}
"""Systems that can be compared, ceilings first, with what they are."""

_WITHOUT_MODEL: Final = frozenset({"real", "silence"})


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
        aperture: (T,) opening of the lips over the width of the mouth, or None without landmarks.
        synthetic: the file of its sound says that unsilent made it.
    """

    id: str
    text: str | None
    real: Samples
    crops: NDArray[np.uint8]
    source: Path | None = None
    speaker: str | None = None
    aperture: NDArray[np.float32] | None = None
    synthetic: bool = False

    @property
    def reader(self) -> SoundFiles | None:
        """What reads its real sound, if that is in a file."""
        return None


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


class Copier(Protocol):
    """A pre-trained speech model that says again what it hears (:class:`unsilent.synthesis.Copier` is one)."""

    def copy(self, samples: Samples, /) -> Samples:
        """(n,) samples at 24 kHz to about as many."""
        ...


def usual_systems(*, model: bool = True, a2a: bool = False) -> list[str]:
    """The systems that can be compared with what is at hand, in the order of a report.

    Args:
        model: there is a model that reads lips.
        a2a: there is a pre-trained speech model.
    """
    return [name for name in SYSTEMS if (a2a if name == "a2a" else model or name in _WITHOUT_MODEL)]


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
    speaker: Speaker | None,
    clips: Sequence[EvalClip],
    names: Sequence[str],
    *,
    told: bool = True,
    a2a: Copier | None = None,
    vocoder: Speaker | None = None,
) -> dict[str, System]:
    """The systems called ``names`` (see :data:`SYSTEMS`) for a model and the clips it is evaluated on.

    Args:
        speaker: the model; may be None if only ``real``, ``silence`` and ``a2a`` are asked for.
        clips: all clips of the evaluation; ``shuffled`` picks its partners among them, ``mean`` averages them.
        names: in the order of the report.
        told: tell a model that has a choice of voices the clip's, by another clip of the same speaker.
        a2a: the pre-trained speech model of the system ``a2a``.
        vocoder: whose vocoder makes ``vocoder`` and ``mean``, where ``speaker`` makes waveforms itself.

    Raises:
        EvaluationError: there is no such system, it needs a model, no shuffle exists, or there is no other clip to
            average.
    """
    _check_systems(names, speaker, a2a)
    systems: dict[str, System] = {
        "real": lambda clip: clip.real,
        "silence": lambda clip: np.zeros_like(clip.real),
    }
    if a2a is not None:
        systems["a2a"] = lambda clip: a2a.copy(clip.real)
    lent = lenders(clips) if told and speaker is not None and speaker.voices else {}

    def speak(clip: EvalClip, crops: NDArray[np.uint8]) -> Samples:
        assert speaker is not None
        lender = lent.get(clip.id)
        return speaker.speak_crops(crops, voice=speaker.voice_of(lender.real) if lender else None).samples

    if speaker is not None:
        systems["model"] = lambda clip: speak(clip, clip.crops)
    voicing = vocoder or speaker
    if voicing is not None:
        systems["vocoder"] = lambda clip: voicing.vocode(voicing.mel(clip.real))
    if voicing is not None and "mean" in names:
        systems["mean"] = _MeanMel(voicing, clips)
    if speaker is not None and "shuffled" in names:
        partners = derangement([clip.text for clip in clips])
        other = {clip.id: clips[partner] for clip, partner in zip(clips, partners, strict=True)}
        systems["shuffled"] = lambda clip: speak(clip, other[clip.id].crops)
    return {name: systems[name] for name in names}


def _check_systems(names: Sequence[str], speaker: Speaker | None, a2a: Copier | None) -> None:
    for name in names:
        if name not in SYSTEMS:
            raise EvaluationError(f"{name}: no such system; choose from {', '.join(SYSTEMS)}")
        if name == "a2a":
            if a2a is None:
                raise EvaluationError("a2a: needs a pre-trained speech model; name one with --a2a or leave it out")
        elif name not in _WITHOUT_MODEL and speaker is None:
            raise EvaluationError(f"{name}: needs a model; give one or evaluate the system `real` alone")


class _MeanMel:
    """The system ``mean``: what is said on average at each moment after a clip's beginning, whoever says what.

    For a clip, the log-mels of all *other* clips of the evaluation are averaged frame by frame from their beginnings;
    a frame later than all of them end takes the last average there is. The clip itself is left out, so that nothing
    of its own sentence is in it; in a corpus of one kind of sentence the average still knows its rhythm.
    """

    def __init__(self, speaker: Speaker, clips: Sequence[EvalClip]) -> None:
        if len(clips) < 2:
            raise EvaluationError("mean: one clip has no others to average; evaluate more or leave the system out")
        self._speaker, self._clips = speaker, clips
        self._sum: NDArray[np.float64] | None = None
        self._count = np.zeros(0)

    def __call__(self, clip: EvalClip) -> Samples:
        """Speech (n,) of the mean of the others, as long as the clip's."""
        if self._sum is None:
            self._gather()
        assert self._sum is not None
        own = self._speaker.mel(clip.real)
        total, count = self._sum.copy(), self._count.copy()
        total[:, : own.shape[1]] -= own
        count[: own.shape[1]] -= 1
        frames = np.minimum(np.arange(own.shape[1]), np.flatnonzero(count)[-1])
        mean = (total[:, frames] / count[frames]).astype(np.float32)
        return self._speaker.vocode(mean)[: len(clip.real)]

    def _gather(self) -> None:
        # One clip is held at a time.
        for clip in self._clips:
            mel = self._speaker.mel(clip.real)
            missing = max(0, mel.shape[1] - len(self._count))
            before = self._sum if self._sum is not None else np.zeros((len(mel), 0))
            self._sum = np.pad(before, ((0, 0), (0, missing)))
            self._count = np.pad(self._count, (0, missing))
            self._sum[:, : mel.shape[1]] += mel
            self._count[: mel.shape[1]] += 1
