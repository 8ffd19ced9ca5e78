"""From clips to shards: one pure function a clip, and an engine that applies it to many.

What :func:`prepare_clip` does depends on nothing but the clip's file, so any scheduler can run it;
:func:`prepare_corpus` runs it on the cores of one machine, or on a cluster. The result is the same.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from unsilent.corpora.base import Clip
from unsilent.corpora.folder import VIDEO_SUFFIXES
from unsilent.corpora.speech import AUDIO_SUFFIXES, Recording
from unsilent.errors import FaceError, MediaError, UnsilentError
from unsilent.face import FPS, track_mouth
from unsilent.files import RemoteTree, fetched, sha256_file, url_of
from unsilent.ledger import NOT_FETCHED, Item, Ledger, Source, item_sha256
from unsilent.media import probe, read_audio, read_video
from unsilent.shards import SHARD_BYTES, ShardWriter, encode_audio, encode_crops
from unsilent.workers import Engine, LocalEngine

__all__ = [
    "SAMPLE_RATE",
    "Dropped",
    "Report",
    "digest_of",
    "name_of",
    "open_tree",
    "prepare_clip",
    "prepare_corpus",
    "prepare_fetched",
]

_log = logging.getLogger(__name__)

SAMPLE_RATE: Final = 24_000
MAX_SECONDS: Final = 300.0
"""A longer clip is dropped: one row would not fit a row group, and a crop picture has a size limit."""
_SILENCE: Final = 1e-4
_MIN_SOUND: Final = 0.5

ItemT = TypeVar("ItemT", Clip, Recording)
ResultT = TypeVar("ResultT")
Row = Mapping[str, Any]
"""One row with the columns of :data:`unsilent.shards.SCHEMA`."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A clip that became no row: ``reason`` is one of a few, ``detail`` says what happened to this clip."""

    id: str
    reason: str
    detail: str


def prepare_clip(clip: Clip, fps: int = FPS, stride: int = 1) -> Row | Dropped:
    """Track the mouth, resample the sound, and pack both into one row.

    The row keeps T crops, ``fps`` a second by timestamp, and at most as much sound (T * 960 samples at 25 a second);
    sound beyond the picture is cut off, sound that ends before it is left as long as it is. A fault of the file is an
    answer, not an exception. ``stride`` is that of :func:`unsilent.face.stream_mouth`.
    """
    name = str(clip.path)
    try:
        digest = sha256_file(clip.path)
        info = probe(clip.path)
        if not info.has_video or not info.has_audio:
            missing = "no sound" if info.has_video else "no picture"
            return Dropped(clip.id, missing, f"{name}: holds {missing}")
        if info.duration > MAX_SECONDS:
            return Dropped(
                clip.id, "too long", f"{name}: lasts {info.duration:.0f} s; cut it below {MAX_SECONDS:.0f} s"
            )
        track = track_mouth(read_video(clip.path, fps), name=name, stride=stride)
        samples = read_audio(clip.path, SAMPLE_RATE)
    except FaceError as error:
        return Dropped(clip.id, "no face", str(error))
    except (MediaError, OSError) as error:
        return Dropped(clip.id, "unreadable", str(error))
    frames = len(track.crops)
    samples = samples[: round(frames * SAMPLE_RATE / fps)]
    if len(samples) < _MIN_SOUND * frames * SAMPLE_RATE / fps:
        return Dropped(clip.id, "sound too short", f"{name}: {len(samples)} samples of sound for {frames} frames")
    if float(np.abs(samples).max()) < _SILENCE:
        return Dropped(clip.id, "silent", f"{name}: the sound is silence")
    return {
        "id": clip.id,
        "corpus": clip.corpus,
        "speaker": clip.speaker,
        "split": clip.split,
        "text": clip.text,
        "words": [{"word": word.word, "start": word.start, "end": word.end} for word in clip.words],
        "fps": float(fps),
        "frames": frames,
        "crops": encode_crops(track.crops),
        "audio": {"bytes": encode_audio(samples, SAMPLE_RATE), "path": f"{clip.id}.flac"},
        "sample_rate": SAMPLE_RATE,
        "samples": len(samples),
        "valid": track.valid.tolist(),
        "aperture": track.aperture.tolist(),
        "source_sha256": digest,
    }


@dataclass(slots=True)
class Report:
    """What became of the clips.

    Attributes:
        clips: how many were asked for.
        written: rows written by this run.
        skipped: clips that an earlier run had written.
        dropped: clips that became no row, in this run or an earlier one.
        shards: files, or URLs, that this run finished.
    """

    clips: int = 0
    written: int = 0
    skipped: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    shards: list[Path | str] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """Number of dropped clips by reason, most frequent first."""
        return dict(Counter(item.reason for item in self.dropped).most_common())


def prepare_corpus(
    clips: Sequence[Clip],
    out: str | Path,
    *,
    workers: int | None = None,
    engine: Engine | None = None,
    trees: Sequence[RemoteTree] = (),
    shard_bytes: int = SHARD_BYTES,
    prepare: Callable[[Clip], Row | Dropped] = prepare_clip,
    advance: Callable[[], object] = lambda: None,
) -> Report:
    """Prepare clips into shards in ``out``; go on where an earlier run ended.

    A clip is skipped if a finished shard holds it and its file is the same (size and time of change, else content).
    New clips go into new shards. A killed run loses the unfinished shard only.

    Args:
        clips: with distinct ids, all of one corpus.
        out: folder of the shards, or its URL; made if missing.
        workers: processes; None means one a core, 0 means to work in this process.
        engine: where the work is done; this machine by default, which alone looks at ``workers``.
        trees: what :func:`open_tree` made, where clips are at a URL.
        shard_bytes: size at which a shard is closed.
        prepare: what makes a row of a clip. In other processes, importable from its module.
        advance: called once a clip.

    Raises:
        OutputError: the folder cannot be written, or another run is writing it.
        ShardError: the folder holds shards of another corpus or split.
    """
    report = Report(clips=len(clips))
    work, failed = partial(prepare_fetched, prepare=prepare, trees=trees), partial(_failed, trees=trees)
    digest = partial(digest_of, trees=trees)
    with Ledger(out, clips[0].corpus if clips else "", digest=digest) as ledger:
        waiting: list[Clip] = []
        for clip in clips:
            known = ledger.find(clip)
            if known is None:
                waiting.append(clip)
                continue
            if known.reason is None:
                report.skipped += 1
            else:
                report.dropped.append(Dropped(clip.id, known.reason, known.detail or ""))
            advance()
        with ShardWriter(ledger.folder, shard_bytes=shard_bytes) as writer:
            with closing((engine or LocalEngine(workers)).map(waiting, work, failed)) as results:
                for clip, result in results:
                    _keep(clip, result, writer, ledger, report)
                    advance()
            if (last := writer.close()) is not None:
                ledger.commit(last)
        ledger.commit(None)
        report.shards = [ledger.where(path) for path in writer.finished]
    return report


def _keep(clip: Clip, result: Row | Dropped, writer: ShardWriter, ledger: Ledger, report: Report) -> None:
    if isinstance(result, Dropped):
        _log.info("%s: dropped, %s: %s", clip.id, result.reason, result.detail)
        report.dropped.append(result)
        ledger.add(Source.of(clip, None, result.reason, result.detail))
        return
    report.written += 1
    ledger.add(Source.of(clip, str(result["source_sha256"])))
    if (finished := writer.write(result)) is not None:
        ledger.commit(finished)


def _failed(clip: Clip, reason: str, detail: str, trees: Sequence[RemoteTree]) -> Row | Dropped:
    return Dropped(clip.id, reason, f"{name_of(clip, trees)}: {detail}")


# --- clips at a URL ------------------------------------------------------------------------------------------------


def open_tree(place: str | Path) -> RemoteTree | None:
    """The folder at a URL as one of this machine, in which media files are holes; None for a path of this machine.

    Raises:
        UnsilentError: it cannot be listed.
    """
    url = url_of(place)
    media = tuple(VIDEO_SUFFIXES | AUDIO_SUFFIXES)
    return None if url is None else RemoteTree.open(url, lambda name: name.lower().endswith(media))


def prepare_fetched(
    item: ItemT, prepare: Callable[[ItemT], ResultT | Dropped], trees: Sequence[RemoteTree]
) -> ResultT | Dropped:
    """What ``prepare`` makes of an item; if its file is at a URL, of a copy that is thrown away."""
    url = _url_of(item, trees)
    if url is None:
        return prepare(item)
    try:
        with fetched(url) as path:
            result = prepare(replace(item, path=path))
    except UnsilentError as error:
        return Dropped(item.id, NOT_FETCHED, str(error))
    if isinstance(result, Dropped):
        return replace(result, detail=result.detail.replace(str(path), url))
    return result


def name_of(item: Item, trees: Iterable[RemoteTree]) -> str:
    """The URL or path of an item's file for messages, or its id where it has none."""
    return _url_of(item, trees) or str(item.path or item.id)


def digest_of(item: Item, trees: Iterable[RemoteTree]) -> str:
    """SHA-256 of an item's file, wherever it is."""
    url = _url_of(item, trees)
    if url is None:
        return item_sha256(item)
    with fetched(url) as path:
        return sha256_file(path)


def _url_of(item: Item, trees: Iterable[RemoteTree]) -> str | None:
    path = item.path
    return None if path is None else next((t.url_of(path) for t in trees if path.is_relative_to(t.folder)), None)
