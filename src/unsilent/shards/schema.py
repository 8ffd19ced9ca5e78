"""The columns of a shard; :mod:`unsilent.shards` says what each means."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

__all__ = ["CROP_SIZE", "ROW_GROUP_BYTES", "SCHEMA", "SCHEMA_NAME", "SHARD_BYTES"]

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
