"""The columns of a shard; :mod:`unsilent.shards` says what each means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

__all__ = ["CLIPS", "CROP_SIZE", "ROW_GROUP_BYTES", "SCHEMA", "SCHEMA_NAME", "SHARD_BYTES", "ShardFormat"]


@dataclass(frozen=True, slots=True)
class ShardFormat:
    """A kind of shard: its columns, and how they are laid down in a file.

    Attributes:
        name: in the schema's metadata, as ``unsilent.schema``.
        stem: files are called ``STEM-00000.parquet``, ``STEM-00001.parquet`` ...
        schema: the columns.
        row_group_bytes: upper bound of a row group.
        text: columns that are compressed; pictures and sound are already.
        repeated: columns of few distinct values, stored as a dictionary.
        statistics: columns whose smallest and largest value each row group states.
    """

    name: str
    stem: str
    schema: pa.Schema
    row_group_bytes: int
    text: tuple[str, ...]
    repeated: tuple[str, ...]
    statistics: tuple[str, ...]


CROP_SIZE: Final = 96
"""Height and width of a mouth crop in pixels."""
ROW_GROUP_BYTES: Final = 8 * 2**20
"""Upper bound of a row group; half of the 16 MB that readers such as Ray Data like, for finer shuffling."""
SHARD_BYTES: Final = 256 * 2**20
"""A shard file is closed once it holds this much."""
SCHEMA_NAME: Final = "clips-1"
SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("speaker", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("text", pa.string()),
        pa.field(
            "words",
            pa.list_(pa.struct([("word", pa.string()), ("start", pa.float32()), ("end", pa.float32())])),
        ),
        pa.field("fps", pa.float32(), nullable=False),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("crops", pa.binary(), nullable=False),
        pa.field("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())]), nullable=False),
        pa.field("sample_rate", pa.int32(), nullable=False),
        pa.field("samples", pa.int32(), nullable=False),
        pa.field("valid", pa.list_(pa.bool_()), nullable=False),
        pa.field("aperture", pa.list_(pa.float32()), nullable=False),
        pa.field("source_sha256", pa.string(), nullable=False),
    ],
    metadata={"unsilent.schema": SCHEMA_NAME},
)
CLIPS: Final = ShardFormat(
    name=SCHEMA_NAME,
    stem="clips",
    schema=SCHEMA,
    row_group_bytes=ROW_GROUP_BYTES,
    text=("id", "corpus", "speaker", "split", "text", "words.list.element.word", "source_sha256"),
    repeated=("corpus", "speaker", "split"),
    statistics=("id", "speaker", "split", "frames"),
)
"""Clips of video with sound: what ``unsilent prepare grid`` and its like write."""
