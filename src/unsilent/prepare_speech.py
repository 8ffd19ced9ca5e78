"""From recordings of speech to shards: one pure function a recording, and an engine that applies it to many."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.speech import Recording
from unsilent.errors import MediaError
from unsilent.files import RemoteTree
from unsilent.ledger import Ledger, Source, item_sha256
from unsilent.listening import ANALYSIS_RATE, SAMPLE_RATE, ConditionConfig, Unfit, condition, read_recording
from unsilent.prepare import Dropped, digest_of, name_of, prepare_fetched
from unsilent.shards import SHARD_BYTES, SPEECH, ShardWriter, encode_audio
from unsilent.workers import Engine, LocalEngine

__all__ = ["MAX_HOURS", "Prepared", "SpeechReport", "prepare_recording", "prepare_speech"]

_log = logging.getLogger(__name__)

MAX_HOURS: Final = 3.0
"""A longer file is dropped: it is decoded as a whole, at 0.7 GB an hour."""
DUPLICATE: Final = "duplicate"

Rows = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of one recording.

    Attributes:
        rows: with the columns of :data:`unsilent.shards.speech.SPEECH_SCHEMA`.
        seconds: of the recording as it came.
        sha256: of its file.
        content: SHA-256 of its decoded sound, by which duplicates are found.
        clipped: share of samples at its peak.
    """

    rows: Rows
    seconds: float
    sha256: str
    content: str
    clipped: float


def prepare_recording(recording: Recording, config: ConditionConfig) -> Prepared | Dropped:
    """Decode, trim, cut, level and pack a recording; a fault of it is an answer, not an exception."""
    name = str(recording.path or recording.id)
    try:
        digest = item_sha256(recording)
        with _file_of(recording) as path:
            samples, stored_rate = read_recording(path, recording.start, recording.end, 3600 * MAX_HOURS)
    except (MediaError, OSError) as error:
        return Dropped(recording.id, "unreadable", str(error))
    if samples is None:
        return Dropped(recording.id, "too long", f"{name}: lasts over {MAX_HOURS:g} h; cut it into shorter files")
    source_rate = recording.source_rate or stored_rate
    made = condition(samples, config, source_rate / 2)
    if isinstance(made, Unfit):
        return Dropped(recording.id, made.reason, f"{name}: {made.detail}")
    if not made.pieces:
        return Dropped(recording.id, "too short", f"{name}: holds no piece of {config.shortest:g} s")
    whole = len(made.pieces) == 1
    rows: Rows = []
    for number, piece in enumerate(made.pieces, 1):
        identity = recording.id if whole else f"{recording.id}#{number:03d}"
        rows.append(
            {
                "id": identity,
                "corpus": recording.corpus,
                "speaker": recording.speaker,
                "language": recording.language,
                "text": recording.text if whole else None,
                "licence": recording.licence,
                "split": recording.split,
                "bandwidth": made.bandwidth,
                "ratio": made.ratio,
                "start": recording.start + piece.start,
                "audio": {"bytes": encode_audio(piece.samples, SAMPLE_RATE), "path": f"{identity}.flac"},
                "source_rate": source_rate,
                "sample_rate": SAMPLE_RATE,
                "samples": len(piece.samples),
                "source_sha256": digest,
            }
        )
    return Prepared(rows, len(samples) / ANALYSIS_RATE, digest, _content(samples), made.clipped)


@contextmanager
def _file_of(recording: Recording) -> Iterator[Path]:
    """The recording's file; one that is made for the moment where it is bytes."""
    if recording.path is not None:
        yield recording.path
        return
    with tempfile.TemporaryDirectory(prefix="unsilent-") as folder:
        path = Path(folder) / "recording"
        path.write_bytes(recording.data or b"")
        yield path


def _content(samples: NDArray[np.float32]) -> str:
    """SHA-256 of the sound in 16 bit, so that a copy in another container or lossless codec is found."""
    return hashlib.sha256(np.rint(samples * 32767).astype("<i2").tobytes()).hexdigest()


@dataclass(slots=True)
class SpeechReport:
    """What became of the recordings.

    Attributes:
        recordings: how many there were.
        used: recordings that became pieces, in this run.
        pieces: rows written by this run.
        skipped: recordings that an earlier run had done.
        seconds_in: of the recordings that were used, as they came.
        seconds: of speech written, by corpus and split.
        bandwidths: of the pieces' seconds, by corpus and bandwidth rounded to kHz.
        with_clipping: recordings kept in which some samples are at the peak more than speech alone explains.
        dropped: recordings that became nothing, in this run or an earlier one.
        shards: files, or URLs, that this run finished.
    """

    recordings: int = 0
    used: int = 0
    pieces: int = 0
    skipped: int = 0
    seconds_in: float = 0.0
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    bandwidths: dict[tuple[str, int], float] = field(default_factory=dict)
    with_clipping: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    shards: list[Path | str] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """Number of dropped recordings by reason, most frequent first."""
        return dict(Counter(item.reason for item in self.dropped).most_common())

    def count(self, made: Prepared) -> None:
        """Add a recording that was used."""
        self.used += 1
        self.pieces += len(made.rows)
        self.seconds_in += made.seconds
        self.with_clipping += made.clipped > _SOME_CLIPPING
        for row in made.rows:
            seconds = row["samples"] / SAMPLE_RATE
            where, band = (row["corpus"], row["split"] or "none"), (row["corpus"], round(row["bandwidth"] / 1000))
            self.seconds[where] = self.seconds.get(where, 0.0) + seconds
            self.bandwidths[band] = self.bandwidths.get(band, 0.0) + seconds


_SOME_CLIPPING: Final = 1e-4


def prepare_speech(
    recordings: Iterable[Recording],
    out: str | Path,
    config: ConditionConfig | None = None,
    *,
    workers: int | None = None,
    engine: Engine | None = None,
    trees: Sequence[RemoteTree] = (),
    shard_bytes: int = SHARD_BYTES,
    advance: Callable[[], object] = lambda: None,
) -> SpeechReport:
    """Prepare recordings into shards in ``out``; go on where an earlier run ended.

    A recording is skipped if a finished shard holds it and its file is the same. Of recordings with the same file or
    the same decoded sound, whatever their names, the first counts. The result does not depend on ``workers``.

    Args:
        recordings: with distinct ids; taken one by one, so that they may be a stream.
        out: folder of the shards, or its URL; made if missing.
        config: the rules; a folder is prepared with one set of them.
        workers: processes; None means one a core, 0 means to work in this process.
        engine: where the work is done; this machine by default, which alone looks at ``workers``.
        trees: what :func:`unsilent.prepare.open_tree` made, where recordings are at a URL.
        shard_bytes: size at which a shard is closed.
        advance: called once a recording.

    Raises:
        OutputError: the folder cannot be written, or another run is writing it.
        ShardError: the folder holds other shards, or rows that were prepared by other rules.
    """
    config = config or ConditionConfig()
    report = SpeechReport()
    digest = partial(digest_of, trees=trees)
    with Ledger(out, "speech", layout=SPEECH, settings=config.model_dump(), digest=digest) as ledger:
        heard = {source.content for source in ledger.known if source.reason is None and source.content}
        waiting = _not_done(recordings, ledger, report, advance)
        work = partial(prepare_fetched, prepare=partial(prepare_recording, config=config), trees=trees)
        failed = partial(_failed, trees=trees)
        with (
            ShardWriter(ledger.folder, shard_bytes=shard_bytes, layout=SPEECH) as writer,
            closing((engine or LocalEngine(workers)).map(waiting, work, failed)) as results,
        ):
            for recording, result in results:
                _keep(recording, result, heard, writer, ledger, report, trees)
                advance()
            if (last := writer.close()) is not None:
                ledger.commit(last)
        ledger.commit(None)
        report.shards = [ledger.where(path) for path in writer.finished]
    return report


def _not_done(
    recordings: Iterable[Recording], ledger: Ledger, report: SpeechReport, advance: Callable[[], object]
) -> Iterator[Recording]:
    for recording in recordings:
        report.recordings += 1
        known = ledger.find(recording)
        if known is None:
            yield recording
            continue
        if known.reason is None:
            report.skipped += 1
        else:
            report.dropped.append(Dropped(recording.id, known.reason, known.detail or ""))
        advance()


def _failed(recording: Recording, reason: str, detail: str, trees: Sequence[RemoteTree]) -> Prepared | Dropped:
    return Dropped(recording.id, reason, f"{name_of(recording, trees)}: {detail}")


def _keep(
    recording: Recording,
    result: Prepared | Dropped,
    heard: set[str],
    writer: ShardWriter,
    ledger: Ledger,
    report: SpeechReport,
    trees: Sequence[RemoteTree],
) -> None:
    if isinstance(result, Prepared) and result.content in heard:
        result = Dropped(recording.id, DUPLICATE, f"{name_of(recording, trees)}: came before under another name")
    if isinstance(result, Dropped):
        _log.debug("%s: dropped, %s: %s", recording.id, result.reason, result.detail)
        report.dropped.append(result)
        ledger.add(Source.of(recording, None, result.reason, result.detail))
        return
    heard.add(result.content)
    report.count(result)
    ledger.add(Source.of(recording, result.sha256, content=result.content))
    if (finished := writer.write_all(result.rows)) is not None:
        ledger.commit(finished)
