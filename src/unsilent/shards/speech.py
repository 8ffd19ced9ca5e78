"""Shards of speech alone: one row a piece of a recording.

=================  ==========================================  ==================================================
column             Arrow type                                  meaning
=================  ==========================================  ==================================================
``id``             string                                      ``corpus/recording``, with ``#001`` ... where a
                                                               recording was cut into several pieces
``corpus``         string                                      name of the corpus
``speaker``        string                                      name of the speaker within the corpus
``language``       string, null                                as the corpus gives it, ``de``
``text``           string, null                                what is said; null where a recording was cut
``licence``        string, null                                as the corpus gives it
``split``          string, null                                ``train`` or ``held-out``, or the corpus's own
``bandwidth``      float                                       Hz; measured, nothing above it is speech
``ratio``          float                                       dB of speech over noise, measured
``start``          float                                       seconds into the recording
``audio``          struct<bytes: binary, path: string>         FLAC, mono, 16 bit
``source_rate``    int32                                       samples a second of the recording as it was stored
``sample_rate``    int32                                       samples a second, 24,000
``samples``        int32                                       samples in ``audio``
``source_sha256``  string                                      of the file (or bytes) the row was made from
=================  ==========================================  ==================================================

The schema metadata carries ``unsilent.schema = speech-1``. Files are as in :mod:`unsilent.shards`, but their row
groups smaller, because pre-training shuffles rows within a window of row groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from unsilent.shards.codec import decode_audio
from unsilent.shards.schema import CLIPS, ShardFormat
from unsilent.shards.table import ParquetRows, schema_name, shard_files

__all__ = [
    "SPEECH",
    "SPEECH_ROW_GROUP_BYTES",
    "SPEECH_SCHEMA",
    "ClipSoundReader",
    "SpeechReader",
    "SpeechRow",
    "open_speech_shards",
]

SPEECH_ROW_GROUP_BYTES: Final = 2 * 2**20
"""About 70 s of speech; a quarter of what clips take, so that a window of 16 groups takes 32 MB."""

SPEECH_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("speaker", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("text", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("split", pa.string()),
        pa.field("bandwidth", pa.float32(), nullable=False),
        pa.field("ratio", pa.float32(), nullable=False),
        pa.field("start", pa.float32(), nullable=False),
        pa.field("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())]), nullable=False),
        pa.field("source_rate", pa.int32(), nullable=False),
        pa.field("sample_rate", pa.int32(), nullable=False),
        pa.field("samples", pa.int32(), nullable=False),
        pa.field("source_sha256", pa.string(), nullable=False),
    ],
    metadata={"unsilent.schema": "speech-1"},
)

SPEECH: Final = ShardFormat(
    name="speech-1",
    stem="speech",
    schema=SPEECH_SCHEMA,
    row_group_bytes=SPEECH_ROW_GROUP_BYTES,
    text=("id", "corpus", "speaker", "language", "text", "licence", "split", "source_sha256"),
    repeated=("corpus", "speaker", "language", "licence", "split"),
    statistics=("id", "corpus", "speaker", "split", "samples", "bandwidth"),
)
"""Speech without pictures: what ``unsilent prepare speech`` writes."""


@dataclass(frozen=True, slots=True)
class SpeechRow:
    """One piece of speech out of a shard. The sound stays packed until :meth:`audio` is called."""

    id: str
    corpus: str
    speaker: str
    language: str | None
    text: str | None
    licence: str | None
    split: str | None
    bandwidth: float
    """Hz; measured, nothing above it is speech."""
    ratio: float
    """Speech over noise, in decibels."""
    start: float
    """Seconds into the recording."""
    source_rate: int
    sample_rate: int
    samples: int
    source_sha256: str
    audio_flac: bytes
    shard: str
    """The file the row came from, for messages."""

    def audio(self, first: int = 0, count: int | None = None) -> NDArray[np.float32]:
        """The sound, (samples,) in [-1, 1), or up to ``count`` samples from ``first`` on.

        Raises:
            ShardError: it is damaged.
        """
        return decode_audio(self.audio_flac, self.samples, f"{self.shard}: {self.id}", first=first, count=count)


class SpeechReader(ParquetRows[SpeechRow]):
    """Random access to the pieces of speech shards; holds 12 bytes a row and the last few row groups.

    See :class:`unsilent.shards.table.ParquetRows` for arguments and errors.
    """

    layout = SPEECH
    index_columns = ("split", "samples")
    columns = tuple(SPEECH.schema.names)

    @property
    def samples(self) -> NDArray[np.int32]:
        """The pieces' lengths in samples, (len(self),)."""
        return np.asarray(self._index["samples"].to_numpy()[self._rows], np.int32)

    @property
    def corpora(self) -> dict[str, dict[str, Any]]:
        """Of each corpus, how many ``recordings`` there are, and under which ``licences``, as far as it says."""
        found: dict[str, dict[str, Any]] = {}
        for (corpus, licence), rows in sorted(self.counts("corpus", "licence").items(), key=str):
            known = found.setdefault(corpus, {"recordings": 0, "licences": []})
            known["recordings"] += rows
            known["licences"] += [] if licence is None else [licence]
        return found

    def _make(self, row: Mapping[str, Any], shard: str) -> SpeechRow:
        known = {key: value for key, value in row.items() if key != "audio"}
        return SpeechRow(audio_flac=row["audio"]["bytes"] or b"", shard=shard, **known)


class ClipSoundReader(ParquetRows[SpeechRow]):
    """The sound of shards of clips as speech rows; the pictures are not read. The bandwidth is taken as full.

    See :class:`unsilent.shards.table.ParquetRows` for arguments and errors.
    """

    layout = CLIPS
    index_columns = ("split", "samples")
    columns = ("id", "corpus", "speaker", "split", "text", "audio", "sample_rate", "samples", "source_sha256")

    @property
    def samples(self) -> NDArray[np.int32]:
        """The clips' lengths in samples, (len(self),)."""
        return np.asarray(self._index["samples"].to_numpy()[self._rows], np.int32)

    @property
    def corpora(self) -> dict[str, dict[str, Any]]:
        """Of each corpus, how many ``recordings`` there are; shards of clips say no licence."""
        return {
            corpus: {"recordings": rows, "licences": []} for (corpus,), rows in sorted(self.counts("corpus").items())
        }

    def _make(self, row: Mapping[str, Any], shard: str) -> SpeechRow:
        known = {key: value for key, value in row.items() if key != "audio"}
        return SpeechRow(
            language=None,
            licence=None,
            bandwidth=row["sample_rate"] / 2,
            ratio=float("nan"),
            start=0.0,
            source_rate=row["sample_rate"],
            audio_flac=row["audio"]["bytes"] or b"",
            shard=shard,
            **known,
        )


def open_speech_shards(
    paths: str | Path | Iterable[str | Path], *, split: str | Iterable[str] | None = None, cache_groups: int = 2
) -> SpeechReader | ClipSoundReader:
    """The rows of shards of speech, or the sound of shards of clips, whichever the first file is.

    Raises:
        ShardError: as :class:`SpeechReader`.
    """
    files = shard_files(paths)
    kind = ClipSoundReader if files and schema_name(files[0]) == CLIPS.name else SpeechReader
    return kind(files, split=split, cache_groups=cache_groups)
