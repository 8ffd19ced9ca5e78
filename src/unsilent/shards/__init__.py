"""Parquet shards: one row a clip, with everything that training needs.

Any Parquet reader opens them (``datasets.load_dataset("parquet", data_files=...)``, DuckDB, Ray Data).

=================  ==========================================  ==================================================
column             Arrow type                                  meaning
=================  ==========================================  ==================================================
``id``             string                                      name of the clip within its corpus, ``s1/bbaf2n``
``corpus``         string                                      ``grid``, ``folder`` ...
``speaker``        string                                      name of the speaker within the corpus
``split``          string, null                                split the clip belongs to
``text``           string, null                                what is said
``words``          list<struct<word: string, start: float,     words with their times, seconds from the first
                   end: float>>                                frame; empty where unknown
``fps``            float                                       frames a second, 25
``frames``         int32                                       T, the number of frames
``crops``          binary                                      one grey 8-bit PNG, 96 wide and 96 T high: the T
                                                               mouth crops stacked downwards
``audio``          struct<bytes: binary, path: string>         FLAC, mono, 16 bit
``sample_rate``    int32                                       samples a second, 24,000
``samples``        int32                                       real samples in ``audio``, at most
                                                               T * sample_rate / fps; the loader pads the rest
``valid``          list<bool>                                  T; False where the crop is interpolated
``aperture``       list<float>                                 T; opening of the inner lips / width of the mouth
``source_sha256``  string                                      of the media file the row was made from
=================  ==========================================  ==================================================

The schema metadata carries ``unsilent.schema = clips-1``. Columns beyond these are allowed and ignored.
A row group holds at most :data:`ROW_GROUP_BYTES` (one longer clip has a group to itself), so reading any row
costs one small read, and a file about :data:`SHARD_BYTES`. Pictures and sound are compressed already; only the
text columns are compressed again (zstd). Pages carry checksums: a damaged byte is an error, not a wrong pixel.

Shards of speech without pictures have columns of their own: :mod:`unsilent.shards.speech`.
"""

from unsilent.shards.codec import decode_audio, decode_crops, encode_audio, encode_crops
from unsilent.shards.reader import ClipRow, ShardReader, shard_files
from unsilent.shards.schema import CLIPS, CROP_SIZE, ROW_GROUP_BYTES, SCHEMA, SCHEMA_NAME, SHARD_BYTES, ShardFormat
from unsilent.shards.speech import SPEECH, ClipSoundReader, SpeechReader, SpeechRow, open_speech_shards
from unsilent.shards.writer import ShardWriter

__all__ = [
    "CLIPS",
    "CROP_SIZE",
    "ROW_GROUP_BYTES",
    "SCHEMA",
    "SCHEMA_NAME",
    "SHARD_BYTES",
    "SPEECH",
    "ClipRow",
    "ClipSoundReader",
    "ShardFormat",
    "ShardReader",
    "ShardWriter",
    "SpeechReader",
    "SpeechRow",
    "decode_audio",
    "decode_crops",
    "encode_audio",
    "encode_crops",
    "open_speech_shards",
    "shard_files",
]
