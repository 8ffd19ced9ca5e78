"""From a corpus to clips to evaluate: the real sound, and mouth crops tracked once and kept in a cache folder.

A cache entry is named by the SHA-256 of the video and of the tracker (its code and networks), so that a changed clip
or tracker is never served stale crops. Entries are plain ``.npz`` files; the folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.base import Clip
from unsilent.errors import EvaluationError, FaceError, MediaError
from unsilent.evaluation.metrics import SAMPLE_RATE
from unsilent.evaluation.pool import ordered_map
from unsilent.evaluation.protocol import EvalClip
from unsilent.files import atomic_path, sha256_file

__all__ = ["load_clips", "mouth_crops"]

_log = logging.getLogger(__name__)


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


def mouth_crops(path: Path, cache: Path | None) -> NDArray[np.uint8]:
    """Mouth crops (T, 96, 96) of a video at 25 frames/s, from the cache if they are there.

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
    crops = track_mouth(read_video(path, FPS), name=str(path)).crops
    if entry is not None:
        with atomic_path(entry) as temporary:
            np.savez_compressed(temporary, crops=crops)
    return crops


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error


def _read_entry(entry: Path) -> NDArray[np.uint8] | None:
    try:
        # Opened here: numpy leaves a damaged file open.
        with entry.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            crops: NDArray[np.uint8] = stored["crops"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.warning("%s: damaged cache entry, computed again (%s)", entry, error)
        return None
    return crops


@dataclass(frozen=True, slots=True)
class _Unusable:
    id: str
    reason: str


def _load(clip: Clip, *, crops: bool, cache: Path | None) -> EvalClip | _Unusable:
    from unsilent.media import read_audio

    try:
        real = read_audio(clip.path, SAMPLE_RATE)
        mouth = mouth_crops(clip.path, cache) if crops else np.zeros((0, 96, 96), np.uint8)
    except (MediaError, FaceError) as error:
        return _Unusable(clip.id, str(error))
    return EvalClip(clip.id, clip.text, real, mouth, clip.path, clip.speaker)


def load_clips(
    clips: Sequence[Clip],
    *,
    crops: bool = True,
    cache: Path | None = None,
    workers: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[EvalClip], dict[str, str]]:
    """Read the sound and, where wanted, the mouth crops of clips of a corpus.

    Args:
        clips: what a corpus yields.
        crops: whether any system needs the mouth; tracking is what takes time.
        cache: folder of crops tracked before; None tracks anew.
        workers: processes; 0 works in this one.
        advance: called once a clip.

    Returns:
        The clips in their order, and the clips left out (no face, unreadable): id -> reason.

    Raises:
        EvaluationError: no clip is usable.
        OutputError: the cache folder cannot be written.
    """
    loaded: list[EvalClip] = []
    left_out: dict[str, str] = {}
    for result in ordered_map(partial(_load, crops=crops, cache=cache), clips, workers):
        advance()
        if isinstance(result, EvalClip):
            loaded.append(result)
        else:
            left_out[result.id] = result.reason
            _log.warning("%s: left out: %s", result.id, result.reason)
    if not loaded:
        first = next(iter(left_out.values()), "there is none")
        raise EvaluationError(f"none of {len(clips)} clips can be used ({first}); check the corpus")
    return loaded, left_out
