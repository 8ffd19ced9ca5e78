"""Sounds and pictures of the clips that a page shows: small enough to be embedded."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.errors import UnsilentError
from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.clips import read_mouth
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples
from unsilent.evaluation.protocol import EvalClip, System
from unsilent.evaluation.report import Report
from unsilent.evaluation.tables import main_system

__all__ = ["ClipMedia", "Sound", "key_metric", "make_gallery", "mouth_strip", "spectrogram", "worst_first"]

_KEYS: Final = ("estoi", "stoi", "wer_constrained", "wer_free", "pesq_nb", "mcd", "mel_l1")
"""What clips are put in order by: the first of these that the report has."""
_STRIP: Final = 15
_SIDE: Final = 48
_WIDEST: Final = 1500
_FLOOR, _TOP = -8.0, 2.0
"""Log amplitudes of the first and the last colour."""
_QUALITY: Final = 70


@dataclass(frozen=True, slots=True)
class Sound:
    """What one system made of a clip: Opus in Ogg, its spectrogram as WebP, both as data URLs, and its seconds."""

    audio: str
    picture: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ClipMedia:
    """A clip to look at and listen to; ``strip`` are mouths from the first frame to the last, as a data URL."""

    strip: str | None
    sounds: Mapping[str, Sound] = field(default_factory=dict)


def key_metric(report: Report) -> str:
    """The metric that clips are put in order by."""
    return next((name for name in _KEYS if name in report.metrics), report.metrics[0])


def worst_first(report: Report) -> list[str]:
    """Ids of the clips, the worst of the main system first; where it has no value it failed, which is worse."""
    metric = key_metric(report)
    sign = -1 if CATALOGUE[metric].higher_is_better is False else 1
    values = {scores.id: scores.values[metric].value for scores in report.scores[main_system(list(report.systems))]}
    return sorted(values, key=lambda identity: _rank(values[identity], sign))


def _rank(value: float | None, sign: int) -> float:
    return float("-inf") if value is None else sign * value


def make_gallery(
    systems: Mapping[str, System],
    clips: Sequence[EvalClip],
    ids: Sequence[str],
    *,
    cache: Path | None = None,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, ClipMedia]:
    """Run the systems on some clips again, for their sounds and pictures.

    Args:
        systems: as they were evaluated.
        clips: as they were evaluated.
        ids: of the clips to show.
        cache: folder of mouths tracked before.
        advance: called once a clip.
    """
    found = {clip.id: clip for clip in clips}
    media = {}
    for identity in ids:
        media[identity] = _media(systems, found[identity], cache)
        advance()
    return media


def _media(systems: Mapping[str, System], clip: EvalClip, cache: Path | None) -> ClipMedia:
    sounds: dict[str, Samples] = {}
    for name, system in systems.items():
        try:
            sounds[name] = np.asarray(system(clip), np.float32)
        except UnsilentError:
            continue  # the report says why
    playable = {name: sound for name, sound in sounds.items() if len(sound) and np.isfinite(sound).all()}
    longest = max(map(len, playable.values()), default=0)
    made = {
        name: _sound(sound, longest, synthetic=clip.synthetic or name != "real") for name, sound in playable.items()
    }
    return ClipMedia(_strip(clip, cache), made)


def _sound(samples: Samples, longest: int, *, synthetic: bool) -> Sound:
    from unsilent.media.sounds import opus_bytes

    audio = opus_bytes(samples, SAMPLE_RATE, synthetic=synthetic)
    padded = np.pad(samples, (0, longest - len(samples)))
    return Sound(_url("audio/ogg", audio), _url("image/webp", spectrogram(padded)), len(samples) / SAMPLE_RATE)


def _strip(clip: EvalClip, cache: Path | None) -> str | None:
    try:
        crops = clip.crops
        if not len(crops) and clip.source is not None:
            crops = read_mouth(clip.source, cache).crops
    except UnsilentError:
        return None  # sound alone, or nobody is seen
    return _url("image/webp", mouth_strip(crops)) if len(crops) else None


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def mouth_strip(crops: NDArray[np.uint8]) -> bytes:
    """Evenly spaced crops of (T, S, S) side by side, as WebP."""
    chosen = crops[np.linspace(0, len(crops) - 1, min(_STRIP, len(crops))).round().astype(int)]
    small = [cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for crop in chosen]
    return _webp(np.concatenate(small, axis=1))


def spectrogram(samples: Samples) -> bytes:
    """The log-mel spectrogram of (n,) samples at 24 kHz as WebP: low bands at the bottom, 100 frames a second."""
    from unsilent.features import MelConfig, log_mel

    with torch.inference_mode():
        mel = log_mel(torch.from_numpy(np.array(samples, np.float32))[None], MelConfig())[0].numpy()
    grey = np.clip((mel - _FLOOR) / (_TOP - _FLOOR), 0, 1)
    coloured = cv2.applyColorMap(np.ascontiguousarray(np.round(255 * grey[::-1]).astype(np.uint8)), cv2.COLORMAP_MAGMA)
    height, width = coloured.shape[:2]
    if width > _WIDEST:
        coloured = cv2.resize(coloured, (_WIDEST, height), interpolation=cv2.INTER_AREA)
    return _webp(coloured)


def _webp(picture: NDArray[Any]) -> bytes:
    done, encoded = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    assert done
    return encoded.tobytes()
