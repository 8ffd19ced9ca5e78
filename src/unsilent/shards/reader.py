"""Reading shards of clips: any clip by its index, with flat memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.base import Word
from unsilent.errors import ShardError
from unsilent.shards.codec import decode_audio, decode_crops
from unsilent.shards.schema import CLIPS
from unsilent.shards.table import ParquetRows, shard_files

__all__ = ["ClipRow", "ShardReader", "shard_files"]


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One clip out of a shard. Pictures and sound stay packed until :meth:`crops` and :meth:`audio` are called."""

    id: str
    corpus: str
    speaker: str
    split: str | None
    text: str | None
    words: tuple[Word, ...]
    fps: float
    frames: int
    sample_rate: int
    samples: int
    valid: NDArray[np.bool_]
    """(T,); False where the crop is interpolated."""
    aperture: NDArray[np.float32]
    """(T,); opening of the inner lips over the width of the mouth."""
    source_sha256: str
    crops_png: bytes
    audio_flac: bytes
    shard: str
    """The file the row came from, for messages."""

    def crops(self) -> NDArray[np.uint8]:
        """The mouth crops, (T, 96, 96) grey. Raises ShardError if they are damaged."""
        return decode_crops(self.crops_png, self.frames, f"{self.shard}: clip {self.id}")

    def audio(self) -> NDArray[np.float32]:
        """The sound, (samples,) in [-1, 1). Raises ShardError if it is damaged."""
        return decode_audio(self.audio_flac, self.samples, f"{self.shard}: clip {self.id}")


def _clip_row(row: Mapping[str, Any], shard: str) -> ClipRow:
    words = tuple(Word(word["word"], word["start"], word["end"]) for word in row["words"] or ())
    valid, aperture = np.asarray(row["valid"], np.bool_), np.asarray(row["aperture"], np.float32)
    if not len(valid) == len(aperture) == row["frames"]:
        raise ShardError(f"{shard}: clip {row['id']} has lists of other lengths than its frames; prepare it again")
    return ClipRow(
        words=words,
        valid=valid,
        aperture=aperture,
        crops_png=row["crops"],
        audio_flac=row["audio"]["bytes"] or b"",
        shard=shard,
        **{key: row[key] for key in ("id", "corpus", "speaker", "split", "text", "fps", "frames")},
        **{key: row[key] for key in ("sample_rate", "samples", "source_sha256")},
    )


class ShardReader(ParquetRows[ClipRow]):
    """Random access to the clips of shards, with flat memory: only the last few row groups are held.

    See :class:`unsilent.shards.table.ParquetRows` for arguments and errors.
    """

    layout = CLIPS
    index_columns = ("id", "speaker", "split", "frames")
    columns = tuple(CLIPS.schema.names)

    @property
    def ids(self) -> list[str]:
        """The clips' names, in order."""
        return self._column("id")

    @property
    def speakers(self) -> list[str]:
        """The clips' speakers, in order."""
        return self._column("speaker")

    @property
    def frames(self) -> NDArray[np.int32]:
        """The clips' lengths in frames, (len(self),)."""
        return np.asarray(self._index["frames"].to_numpy()[self._rows], np.int32)

    def _make(self, row: Mapping[str, Any], shard: str) -> ClipRow:
        return _clip_row(row, shard)
