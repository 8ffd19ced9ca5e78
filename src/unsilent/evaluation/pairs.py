"""Sounds that another program made, beside the real ones: folders whose files are matched by their names.

    real/s1/bbaf3s.mp4   real/s1/bbaf3s.txt   mine/s1/bbaf3s.wav   theirs/s1/bbaf3s.flac

A generated file belongs to the real one of the same path below its folder, whatever the suffix. Any rate is resampled
and any number of channels mixed down, which the report says; what has no counterpart is listed and counted.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from unsilent.corpora.base import Clip
from unsilent.corpora.folder import VIDEO_SUFFIXES
from unsilent.errors import EvaluationError, MediaError
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples
from unsilent.evaluation.protocol import EvalClip, System, derangement
from unsilent.evaluation.report import some
from unsilent.evaluation.sources import SoundFiles

__all__ = ["AUDIO_SUFFIXES", "Pairs", "pair_folders", "read_texts", "shuffled"]

AUDIO_SUFFIXES: Final = frozenset({
    ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp2", ".mp3",
    ".oga", ".ogg", ".opus", ".snd", ".w64", ".wav", ".wma", ".wv",
})  # fmt: skip
"""Files with these suffixes, or those of videos, are sounds."""

_RESERVED: Final = ("real", "shuffled", "silence", "mean", "vocoder", "a2a", "model")


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was matched.

    Attributes:
        clips: of the real sounds that have a generated one, in order of their ids.
        sounds: clip -> file of its sound (the clip's own path is the video where there is one).
        systems: name -> system that reads the generated files.
        left_out: real sound -> why it is not evaluated.
        notes: what a reader of the report must know.
    """

    clips: list[Clip]
    sounds: dict[str, Path]
    systems: dict[str, System]
    left_out: dict[str, str]
    notes: list[str] = field(default_factory=list)


def pair_folders(
    real: Path, generated: Sequence[Path], texts: Mapping[str, str], spell: Callable[[str], str | None] | None = None
) -> Pairs:
    """Match the files of folders by their paths below them.

    Args:
        real: folder of the real sounds, or of videos with sound.
        generated: folders of what systems made; each is a system of the folder's name.
        texts: clip -> what is said; ``clip.txt`` beside a real file is read where a clip is not named here.
        spell: what a file's name says is said in it, where neither is there.

    Raises:
        EvaluationError: a folder is missing or holds no sound, two of its files are of one clip, or nothing matches.
    """
    reals = _sounds(real, several=True)
    made = {name: _sounds(folder) for name, folder in _names(generated).items()}
    ids = [identity for identity in reals if any(identity in files for files in made.values())]
    if not ids:
        theirs = next(iter(next(iter(made.values()))))
        raise EvaluationError(
            f"{generated[0]}: no file is called like one of {real} ({theirs} here, {next(iter(reals))} there); name "
            "them alike, folders included"
        )
    clips, sounds = [], {}
    for identity in ids:
        sounds[identity], picture = reals[identity].sound, reals[identity].picture
        said = texts.get(identity) or _beside(sounds[identity]) or (spell(Path(identity).name) if spell else None)
        speaker = identity.split("/")[0] if "/" in identity else None
        clips.append(Clip(identity, "wavs", speaker or "", picture or sounds[identity], said, (), None))
    left_out = {name: "no generated file of this name" for name in reals if name not in ids}
    notes = [note for name, files in made.items() for note in _strangers(name, files, reals)]
    notes += [
        note for name, files in made.items() for note in _conversions(name, [files[i] for i in ids if i in files])
    ]
    notes += _conversions("real", [reals[identity] for identity in ids])
    unknown = sorted(set(texts) - set(reals))
    if unknown:
        notes.append(f"texts of no real sound: {some(unknown)}")
    return Pairs(clips, sounds, {name: _Files(name, files) for name, files in made.items()}, left_out, notes)


@dataclass(frozen=True, slots=True)
class _File:
    """Where the sound of a clip is, and its picture if there is one."""

    sound: Path
    picture: Path | None


@dataclass(frozen=True, slots=True)
class _Files:
    """A system that reads what was made before."""

    name: str
    files: Mapping[str, _File]
    reader: SoundFiles = field(default_factory=SoundFiles)

    def __call__(self, clip: EvalClip) -> Samples:
        found = self.files.get(clip.id)
        if found is None:
            raise EvaluationError(f"{self.name} has no file of this name")
        try:
            return self.reader.read(found.sound)
        except MediaError as error:
            raise EvaluationError(str(error)) from error


def shuffled(system: System, clips: Sequence[EvalClip]) -> System:
    """A floor: what a system made of another clip with another sentence, cut or filled to the clip's length.

    Raises:
        EvaluationError: there is no other sentence, see :func:`unsilent.evaluation.protocol.derangement`.
    """
    partners = derangement([clip.text for clip in clips])
    other = {clip.id: clips[partner] for clip, partner in zip(clips, partners, strict=True)}

    def speak(clip: EvalClip) -> Samples:
        made = system(other[clip.id])[: len(clip.real)]
        return np.pad(made, (0, len(clip.real) - len(made)))

    return speak


def _names(folders: Sequence[Path]) -> dict[str, Path]:
    """A name for every folder: its own, with its parents' where that is not enough."""
    named: dict[str, Path] = {}
    for folder in folders:
        if any(folder.resolve() == other.resolve() for other in named.values()):
            raise EvaluationError(f"{folder}: is given twice; name every folder once")
        parts = folder.resolve().parts
        names = ("/".join(parts[-length:]) for length in range(1, len(parts) + 1))
        named[next(name for name in names if name not in named and name not in _RESERVED)] = folder
    return named


def _sounds(root: Path, *, several: bool = False) -> dict[str, _File]:
    """Clip -> its file, in order; ``several`` allows a video beside a sound, which is then its picture."""
    if not root.is_dir():
        raise EvaluationError(f"{root}: is no folder; name one that holds sounds")
    audio: dict[str, Path] = {}
    video: dict[str, Path] = {}
    for path in _media_files(root):
        # macOS spells accents apart, Linux together: one spelling, or names would not match.
        identity = unicodedata.normalize("NFC", path.relative_to(root).with_suffix("").as_posix())
        group = video if path.suffix.lower() in VIDEO_SUFFIXES else audio
        other = group.get(identity) or (None if several else (video if group is audio else audio).get(identity))
        if other is not None:
            raise EvaluationError(f"{path}: {other.name} beside it is of the same clip; leave one of them")
        group[identity] = path
    if not audio and not video:
        raise EvaluationError(f"{root}: holds no sound ({' '.join(sorted(AUDIO_SUFFIXES))} or a video); name another")
    return {i: _File(audio.get(i) or video[i], video.get(i)) for i in sorted({**audio, **video})}


def _media_files(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        names = [name for name in files if Path(name).suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _strangers(name: str, files: Mapping[str, _File], reals: Mapping[str, _File]) -> list[str]:
    strangers = [identity for identity in files if identity not in reals]
    return [f"{name}: {len(strangers)} files have no real sound and are left out: {some(strangers)}"] * bool(strangers)


def _conversions(name: str, files: Sequence[_File]) -> list[str]:
    """What was done to the sounds of a system before they are compared."""
    from unsilent.media.sounds import sound_kind

    rates: Counter[int] = Counter()
    channels: Counter[int] = Counter()
    for file in files:
        try:
            kind = sound_kind(file.sound)
        except MediaError:
            continue  # the clip is then missing, with that reason
        rates[kind.sample_rate] += 1
        channels[kind.channels] += 1
    notes = [
        f"{name}: {number} of {len(files)} files are at {rate} Hz, resampled to {SAMPLE_RATE} Hz"
        for rate, number in sorted(rates.items())
        if rate != SAMPLE_RATE
    ]
    return notes + [
        f"{name}: {number} of {len(files)} files have {count} channels, mixed down to one"
        for count, number in sorted(channels.items())
        if count != 1
    ]


def _beside(sound: Path) -> str | None:
    path = sound.with_suffix(".txt")
    return _text(path) if path.is_file() else None


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: cannot be read as UTF-8 text ({error}); save it as UTF-8") from error


def read_texts(source: Path) -> dict[str, str]:
    """What is said in clips, from a folder or a file.

    Args:
        source: a folder of ``clip.txt``; a ``.json`` file of clip -> text; or any other text file with a line a clip:
            its path below the folder without suffix, a tab (or ``|``, or a space), and the text.

    Raises:
        EvaluationError: it cannot be read, or a line has no text.
    """
    if source.is_dir():
        return {p.relative_to(source).with_suffix("").as_posix(): _text(p) for p in sorted(source.rglob("*.txt"))}
    if not source.exists():
        raise EvaluationError(f"{source}: is neither a file nor a folder; name the texts, or leave --text out")
    try:
        content = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{source}: cannot be read as UTF-8 text ({error}); save it as UTF-8") from error
    if source.suffix.lower() == ".json":
        return _texts_of_json(source, content)
    texts = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        mark = next((mark for mark in ("\t", "|", " ") if mark in line.strip()), None)
        if mark is None:
            raise EvaluationError(f"{source}:{number}: is not `clip, tab, text`; give every clip its text")
        identity, text = line.strip().split(mark, 1)
        texts[_identity(identity)] = " ".join(text.split())
    return texts


def _texts_of_json(source: Path, content: str) -> dict[str, str]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise EvaluationError(f"{source}: is no JSON ({error}); give an object of clip and text") from error
    if not isinstance(data, dict) or not all(isinstance(text, str) for text in data.values()):
        raise EvaluationError(f"{source}: is no JSON object of clip and text; see `unsilent evaluate wavs --help`")
    return {_identity(name): " ".join(text.split()) for name, text in data.items()}


def _identity(name: str) -> str:
    """A clip by its name in a list, with or without the suffix of a sound."""
    path = Path(name.strip())
    known = path.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES | {".txt"}
    return unicodedata.normalize("NFC", (path.with_suffix("") if known else path).as_posix())
