"""From a corpus to clips to evaluate, each read when it is needed: memory does not grow with their number.

Mouths are tracked once and kept in a cache folder. An entry is named by the SHA-256 of the video and of the tracker
(its code and networks), so that a changed clip or tracker is never served stale crops. Entries are plain ``.npz``
files; the folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import weakref
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.base import Clip
from unsilent.errors import EvaluationError, FaceError, MediaError
from unsilent.evaluation.metrics import Samples
from unsilent.evaluation.pool import ordered_map
from unsilent.evaluation.protocol import EvalClip
from unsilent.evaluation.sources import SoundFiles
from unsilent.files import atomic_path, sha256_file

__all__ = ["HELD", "Mouth", "Shelf", "StoredClip", "load_clips", "read_mouth"]

_log = logging.getLogger(__name__)

HELD: Final = 4
"""Clips whose sound or mouth is in memory at a time: the one at work, its partner, its lender, and one to spare."""

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True, eq=False)
class Mouth:
    """What is seen of the mouth in T frames at 25 frames/s.

    Attributes:
        crops: (T, 96, 96) uint8.
        aperture: (T,) float32, opening of the inner lips over the width of the mouth.
    """

    crops: NDArray[np.uint8]
    aperture: NDArray[np.float32]


@lru_cache(maxsize=1)
def _tracker_digest() -> str:
    import unsilent.face
    import unsilent.media

    digest = hashlib.sha256()
    for package in (unsilent.face, unsilent.media):
        folder = Path(str(package.__file__)).parent
        for path in sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".tflite"}):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def read_mouth(path: Path, cache: Path | None) -> Mouth:
    """The mouth in a video, from the cache if it is there.

    Raises:
        FaceError: there is no face in the video.
        MediaError: the video cannot be read.
        OutputError: the cache folder cannot be written.
    """
    from unsilent.face import FPS, track_mouth
    from unsilent.media import read_video

    entry = None
    if cache is not None:
        key = hashlib.sha256(f"{_digest(path)} {_tracker_digest()}".encode()).hexdigest()
        entry = cache / f"{key}.npz"
        if (known := _read_entry(entry)) is not None:
            return known
    track = track_mouth(read_video(path, FPS), name=str(path))
    mouth = Mouth(track.crops, track.aperture)
    if entry is not None:
        with atomic_path(entry) as temporary:
            np.savez_compressed(temporary, crops=mouth.crops, aperture=mouth.aperture)
    return mouth


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error


def _read_entry(entry: Path) -> Mouth | None:
    try:
        # Opened here: numpy leaves a damaged file open.
        with entry.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            if "crops" in stored and "aperture" not in stored:
                return None  # of an earlier version, which kept no aperture
            mouth = Mouth(stored["crops"], stored["aperture"])
            if mouth.crops.ndim != 3 or len(mouth.crops) != len(mouth.aperture):
                raise ValueError("crops and aperture do not fit together")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.warning("%s: damaged cache entry, computed again (%s)", entry, error)
        return None
    return mouth


class Shelf:
    """Reads sounds and mouths of clips, and keeps those of the last few.

    Args:
        cache: folder of mouths tracked before; None tracks into a folder that goes with the shelf.
        sees: whether mouths are looked at; if not, clips have none.
        must: whether a clip without a face cannot be used.
    """

    def __init__(self, cache: Path | None, *, sees: bool = True, must: bool = True) -> None:
        self.cache = cache
        if sees and cache is None:
            self.cache = Path(tempfile.mkdtemp(prefix="unsilent-crops-"))
            weakref.finalize(self, shutil.rmtree, self.cache, ignore_errors=True)
        self.sees, self.must = sees, must
        self.reader = SoundFiles()
        self._sounds: OrderedDict[str, Samples] = OrderedDict()
        self._mouths: OrderedDict[str, Mouth] = OrderedDict()

    def sound(self, path: Path) -> Samples:
        """(n,) sound of a file at 24 kHz, as it is stored; raises MediaError."""
        return _keep(self._sounds, str(path), lambda: self.reader.read(path))

    def mouth(self, path: Path) -> Mouth:
        """The mouth in a video, raises as :func:`read_mouth`; of no frames where nobody looks."""
        if not self.sees:
            return Mouth(np.zeros((0, 96, 96), np.uint8), np.zeros(0, np.float32))
        return _keep(self._mouths, str(path), lambda: read_mouth(path, self.cache))


def _keep(held: OrderedDict[str, ValueT], key: str, read: Callable[[], ValueT]) -> ValueT:
    if key not in held:
        held[key] = read()
        if len(held) > HELD:
            held.popitem(last=False)
    held.move_to_end(key)
    return held[key]


class StoredClip(EvalClip):
    """A clip on disk: its sound and mouth are read when they are asked for, and not held for long.

    Args:
        clip: of a corpus.
        shelf: what reads it; clips that share one share its few places in memory.
        sound: file of the sound, if it is another than ``clip.path``.
        synthetic: what that file says of itself.
    """

    __slots__ = ("_shelf", "_sound", "_video")
    _shelf: Shelf
    _sound: Path
    _video: Path

    def __init__(self, clip: Clip, shelf: Shelf, sound: Path | None = None, *, synthetic: bool = False) -> None:
        facts: dict[str, Any] = {"id": clip.id, "text": clip.text, "source": clip.path, "speaker": clip.speaker}
        facts |= {"synthetic": synthetic, "_shelf": shelf, "_sound": sound or clip.path, "_video": clip.path}
        for name, value in facts.items():
            object.__setattr__(self, name, value)  # the class is frozen

    @property
    def real(self) -> Samples:
        """(n,) float32, the real sound at 24 kHz; raises MediaError."""
        return self._shelf.sound(self._sound)

    @property
    def reader(self) -> SoundFiles:
        """What reads the sound of this clip and of those that share its shelf."""
        return self._shelf.reader

    @property
    def crops(self) -> NDArray[np.uint8]:
        """(T, 96, 96) uint8 mouth crops at 25 frames/s; raises FaceError, MediaError."""
        return self._shelf.mouth(self._video).crops

    @property
    def aperture(self) -> NDArray[np.float32] | None:
        """(T,) float32 opening of the lips at 25 frames/s, or None; raises FaceError, MediaError if crops must be."""
        try:
            found = self._shelf.mouth(self._video).aperture
        except (MediaError, FaceError):
            if self._shelf.must:
                raise
            return None
        return found if len(found) else None


@dataclass(frozen=True, slots=True)
class _Checked:
    id: str
    reason: str | None
    synthetic: bool = False


def _check(item: tuple[Clip, Path], *, sees: bool, must: bool, cache: Path | None) -> _Checked:
    from unsilent.media import is_synthetic

    clip, sound = item
    try:
        SoundFiles().read(sound)
        made = is_synthetic(sound)
    except MediaError as error:
        return _Checked(clip.id, str(error))
    try:
        if sees:
            read_mouth(clip.path, cache)
    except (MediaError, FaceError) as error:
        return _Checked(clip.id, str(error) if must else None, made)
    return _Checked(clip.id, None, made)


def load_clips(
    clips: Sequence[Clip],
    *,
    crops: bool = True,
    lips: bool = False,
    cache: Path | None = None,
    workers: int = 0,
    advance: Callable[[], object] = lambda: None,
    sounds: Mapping[str, Path] | None = None,
) -> tuple[list[EvalClip], dict[str, str]]:
    """Check the sound and, where wanted, track the mouths of clips of a corpus; what is in them is read later.

    Args:
        clips: what a corpus yields.
        crops: whether any system needs the mouth; tracking is what takes time.
        lips: whether the mouth is wanted where there is one; clips without a face are kept.
        cache: folder of mouths tracked before; None tracks anew, for these clips alone.
        workers: processes; 0 works in this one.
        advance: called once a clip.
        sounds: files of the sound by clip, where that is another than the clip's.

    Returns:
        The clips in their order, and the clips left out (no face, unreadable): id -> reason.

    Raises:
        EvaluationError: no clip is usable.
        OutputError: the cache folder cannot be written.
    """
    shelf = Shelf(cache, sees=crops or lips, must=crops)
    files = sounds or {}
    check = partial(_check, sees=crops or lips, must=crops, cache=shelf.cache)
    checked = ordered_map(check, ((clip, files.get(clip.id, clip.path)) for clip in clips), workers)
    good: list[EvalClip] = []
    left_out: dict[str, str] = {}
    for clip, result in zip(clips, checked, strict=True):
        advance()
        if result.reason is None:
            good.append(StoredClip(clip, shelf, files.get(clip.id), synthetic=result.synthetic))
        else:
            left_out[result.id] = result.reason
            _log.warning("%s: left out: %s", result.id, result.reason)
    if not good:
        first = next(iter(left_out.values()), "there is none")
        raise EvaluationError(f"none of {len(clips)} clips can be used ({first}); check the corpus")
    return good, left_out
