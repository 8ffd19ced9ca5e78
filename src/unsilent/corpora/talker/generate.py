"""Making the corpus: what clip number i is, making it, and making many in parallel.

A clip is a pure function of the corpus's seed, its kind of sentences, its numbers of talkers and the clip's number:
neither how many clips are made nor by how many processes changes a pixel or a sample. (Another processor may: the
synthesiser's network computes in floating point and in integers of 8 bits.)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent._version import __version__
from unsilent.corpora.base import Word
from unsilent.corpora.talker.articulation import articulate
from unsilent.corpora.talker.corpus import MANIFEST, SPLITS, read_manifest
from unsilent.corpora.talker.look import Speaker, generator, make_speaker
from unsilent.corpora.talker.motion import blinks, brow_raises
from unsilent.corpora.talker.phones import Phone
from unsilent.corpora.talker.render import Performance, render
from unsilent.corpora.talker.scene import make_scene
from unsilent.corpora.talker.sentences import KINDS, draw
from unsilent.corpora.talker.speech import SAMPLE_RATE, SYNTHESISER, Spoken, load_synthesiser
from unsilent.corpora.talker.video import FPS, write_clip
from unsilent.errors import CorpusError
from unsilent.files import atomic_path
from unsilent.workers import cores, map_in_order

__all__ = ["VERSION", "Made", "Place", "Spec", "generate_corpus", "make_clip", "numbers_of", "place_of"]

VERSION: Final = 1
"""Of the generator; another number means other pixels or samples for the same seed."""
_ROUNDS: Final = 4
"""An unseen talker speaks once while a seen one speaks so many times."""
_HELD_OUT: Final = {1: "test", 2: "val"}
_EVERY: Final = 20
"""Of so many clips of a seen talker one is for testing and one for validation."""
_GRID_SECONDS: Final = 3.0
_SAMPLES: Final = SAMPLE_RATE // FPS
_LOUDNESS: Final = -24.0
"""Root mean square of the sound, dB of full scale."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a corpus is made from.

    Attributes:
        seed: of everything.
        sentences: ``grid`` or ``open``.
        speakers: talkers that train, val and test share.
        unseen: further talkers, who are in none of them.

    Raises:
        CorpusError: there is no such kind of sentences, or no talker.
    """

    seed: int = 0
    sentences: str = "grid"
    speakers: int = 8
    unseen: int = 2

    def __post_init__(self) -> None:
        if self.sentences not in KINDS:
            raise CorpusError(f"{self.sentences}: no such kind of sentences; choose from {', '.join(KINDS)}")
        if self.speakers < 1 or self.unseen < 0 or self.seed < 0:
            raise CorpusError("a corpus needs at least one speaker, and no number below 0; choose others")

    def talkers(self) -> list[Speaker]:
        """All talkers: t1, t2 ... are seen, u1, u2 ... are not."""
        seen = [make_speaker(self.seed, f"t{number + 1}") for number in range(self.speakers)]
        return seen + [make_speaker(self.seed, f"u{number + 1}", unseen=True) for number in range(self.unseen)]


@dataclass(frozen=True, slots=True)
class Place:
    """Who speaks clip number ``index``, and the split it belongs to; ``part`` is where its sentence is drawn from."""

    index: int
    speaker: str
    part: str
    split: str

    @property
    def id(self) -> str:
        """``t1/000012``."""
        return f"{self.speaker}/{self.index:06d}"


def place_of(spec: Spec, index: int) -> Place:
    """Where clip ``index`` (from 0) stands in the corpus: talkers take turns, the unseen ones every fourth time."""
    cycle, at = divmod(index, _ROUNDS * spec.speakers + spec.unseen)
    if spec.speakers <= at < spec.speakers + spec.unseen:
        return Place(index, f"u{at - spec.speakers + 1}", "test", "talker-unseen")
    turn, talker = divmod(at if at < spec.speakers else at - spec.unseen, spec.speakers)
    part = _HELD_OUT.get((cycle * _ROUNDS + turn) % _EVERY, "train")
    return Place(index, f"t{talker + 1}", part, f"talker-{part}")


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one clip: seconds of it, whether it had been there, or why it could not be made."""

    id: str
    seconds: float = 0.0
    kept: bool = False
    error: str | None = None


@dataclass(slots=True)
class Summary:
    """What a run made."""

    made: int = 0
    kept: int = 0
    seconds: float = 0.0
    splits: dict[str, int] = field(default_factory=dict)


def make_clip(spec: Spec, index: int, root: Path) -> Made:
    """Make clip ``index`` below ``root``: ``t1/000012.mp4`` and, after it, ``t1/000012.json``.

    A clip whose two files are there is kept.

    Raises:
        CorpusError: the synthesiser is missing.
        OutputError: a file cannot be written.
    """
    place = place_of(spec, index)
    video, notes = root / f"{place.id}.mp4", root / f"{place.id}.json"
    if video.is_file() and notes.is_file():
        return Made(place.id, kept=True)
    speaker = make_speaker(spec.seed, place.speaker, unseen=place.speaker.startswith("u"))
    rng = generator(spec.seed, "clip", spec.sentences, spec.speakers, spec.unseen, index)
    text = draw(spec.sentences, place.part, rng)
    spoken = load_synthesiser().say(text, speaker.voice, int(rng.integers(2**31)), letters=spec.sentences == "grid")
    samples, phones, words = _placed(spoken, rng, grid=spec.sentences == "grid")
    frames = len(samples) // _SAMPLES
    variation = np.clip(rng.normal(1.0, 0.07, len(phones)), 0.8, 1.2)
    times = (np.arange(frames) + 0.5) / FPS
    mouth = articulate(phones, times, clarity=speaker.clarity, variation=variation)
    scene = make_scene(rng, frames, FPS, speaker.motion)
    performance = Performance(mouth, blinks(rng, frames, FPS), brow_raises(rng, frames, FPS))
    write_clip(video, render(speaker.look, scene, performance, int(rng.integers(2**31))), samples, SAMPLE_RATE)
    record = {
        "synthetic": True,
        "id": place.id,
        "speaker": place.speaker,
        "split": place.split,
        "text": text,
        "words": [asdict(word) for word in words],
        "phones": [asdict(phone) for phone in phones],
        "aperture": [round(performance.lips(speaker.look, frame).aperture, 4) for frame in range(frames)],
    }
    _write_json(notes, record)
    return Made(place.id, frames / FPS)


def _placed(
    spoken: Spoken, rng: np.random.Generator, *, grid: bool
) -> tuple[NDArray[np.float32], list[Phone], list[Word]]:
    """Speech with silence around it, a whole number of frames long, at an even loudness over a faint noise."""
    least = round(_GRID_SECONDS * SAMPLE_RATE) if grid else len(spoken.samples) + SAMPLE_RATE // 5
    total = -(-max(least, len(spoken.samples)) // _SAMPLES) * _SAMPLES
    free = total - len(spoken.samples)
    front = int(rng.uniform(0.2, 0.6) * free)
    loud = float(np.sqrt(np.mean(np.square(spoken.samples, dtype=np.float64)))) * np.sqrt(len(spoken.samples) / total)
    samples = np.pad(spoken.samples, (front, free - front))
    samples *= np.float32(10 ** ((_LOUDNESS + rng.uniform(-2, 2)) / 20) / max(loud, 1e-6))
    samples *= np.float32(min(1.0, 0.95 / float(np.abs(samples).max())))
    samples += np.float32(10 ** (rng.uniform(-78, -64) / 20)) * rng.standard_normal(total, dtype=np.float32)
    shift = front / SAMPLE_RATE
    phones = [Phone(p.phone, p.start + shift, p.end + shift, p.word, p.release + shift) for p in spoken.phones]
    first, last = phones[0], phones[-1]
    phones[0] = Phone(first.phone, 0.0, first.end, first.word, first.release)
    seconds = total / SAMPLE_RATE
    phones[-1] = Phone(last.phone, phones[-1].start, seconds, last.word, seconds)
    return samples, phones, [Word(w.word, w.start + shift, w.end + shift) for w in spoken.words]


def generate_corpus(
    spec: Spec,
    root: str | Path,
    clips: int,
    *,
    split: str | None = None,
    workers: int | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Summary:
    """Make clips 0 to ``clips`` - 1 in ``root``; those that are there are kept, so that a stopped run goes on.

    Args:
        spec: of the corpus.
        root: folder; made if missing.
        clips: how many.
        split: make the first ``clips`` of this split alone; each is as it is in the whole corpus.
        workers: processes; None means one a core, 0 means to work in this process.
        advance: called once a clip.

    Raises:
        CorpusError: the folder holds a corpus of another spec, the synthesiser is missing, a clip failed, or no clip is
            of that split.
        OutputError: the folder cannot be written.
    """
    folder = Path(root)
    load_synthesiser()
    chosen = range(clips) if split is None else numbers_of(spec, split, clips)
    _claim(spec, folder, max(chosen) + 1)
    summary = Summary()
    processes = min(cores() if workers is None else workers, clips)
    work = partial(make_clip, spec, root=folder)
    failed = partial(_failed, spec)
    with closing(map_in_order(chosen, work, failed, processes)) as results:
        for index, made in results:
            if made.error is not None:
                raise CorpusError(f"{folder / made.id}.mp4: could not be made: {made.error}")
            summary.made += not made.kept
            summary.kept += made.kept
            summary.seconds += made.seconds
            split = place_of(spec, index).split
            summary.splits[split] = summary.splits.get(split, 0) + 1
            advance()
    return summary


def numbers_of(spec: Spec, split: str, clips: int) -> list[int]:
    """Numbers of the first ``clips`` clips of a split.

    Raises:
        CorpusError: no clip of this spec is of that split.
    """
    # Whatever the spec, its splits come round within so many clips.
    round_of = _EVERY * (_ROUNDS * spec.speakers + spec.unseen)
    if split not in {place_of(spec, index).split for index in range(round_of)}:
        raise CorpusError(f"{split}: no clip of this corpus is of that split; choose from {', '.join(SPLITS)}")
    return list(islice((index for index in count() if place_of(spec, index).split == split), clips))


def _failed(spec: Spec, index: int, reason: str, detail: str) -> Made:
    return Made(place_of(spec, index).id, error=f"{reason}, {detail}")


def _claim(spec: Spec, folder: Path, clips: int) -> None:
    """Write the manifest, or see that the one that is there is of the same corpus."""
    manifest = folder / MANIFEST
    described: dict[str, Any] = {
        "synthetic": True,
        "about": "Drawn talking heads with synthesised speech, made by unsilent; no real person is seen or heard.",
        "version": VERSION,
        "synthesiser": SYNTHESISER,
        "spec": asdict(spec),
    }
    known = 0
    if manifest.is_file():
        before = read_manifest(manifest)
        for key, value in described.items():
            if before.get(key) != value:
                raise CorpusError(f"{manifest}: is of another talker corpus (its {key} differs); choose another folder")
        known = int(before.get("clips", 0))
    described |= {"unsilent": __version__, "clips": max(clips, known), "fps": FPS, "sample_rate": SAMPLE_RATE}
    _write_json(manifest, described | {"speakers": [asdict(talker) for talker in spec.talkers()]})


def _write_json(path: Path, data: object) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(data, ensure_ascii=False) + "\n", encoding="utf-8")
