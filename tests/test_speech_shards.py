"""Shards of speech: rows come back whole, other readers open them, and other files are refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from unsilent.errors import ShardError
from unsilent.shards import SPEECH, ShardReader, ShardWriter, SpeechReader, encode_audio, open_speech_shards


def speech_row(number: int, *, seconds: float = 1.0, **changes: Any) -> dict[str, Any]:
    count = round(seconds * 24_000)
    sound = np.asarray(np.random.default_rng(number).integers(-9000, 9000, count) / 32768, np.float32)
    return {
        "id": f"c/{number:04d}",
        "corpus": "c",
        "speaker": f"p{number % 3}",
        "language": "en",
        "text": None,
        "licence": "CC0-1.0",
        "split": "held-out" if number % 5 == 0 else "train",
        "bandwidth": 8000.0,
        "ratio": 30.0,
        "start": 0.5,
        "audio": {"bytes": encode_audio(sound, 24_000), "path": "x.flac"},
        "source_rate": 16_000,
        "sample_rate": 24_000,
        "samples": count,
        "source_sha256": "0" * 64,
        **changes,
    }


def write(folder: Path, count: int, *, seconds: float = 0.2, **limits: int) -> list[Path]:
    with ShardWriter(folder, layout=SPEECH, **limits) as writer:
        for number in range(count):
            writer.write(speech_row(number, seconds=seconds))
    return writer.finished


def test_row_comes_back_whole(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (row,) = SpeechReader(tmp_path)
    expected = speech_row(0, seconds=0.2)
    for name, value in expected.items():
        if name != "audio":
            assert getattr(row, name) == value
    assert row.shard == str(tmp_path / "speech-00000.parquet")
    whole = row.audio()
    assert whole.shape == (4800,)
    assert encode_audio(whole, 24_000) == expected["audio"]["bytes"]
    assert np.array_equal(row.audio(1000, 500), whole[1000:1500])
    assert np.array_equal(row.audio(4500, 500), whole[4500:])


def test_groups_splits_and_pickle(tmp_path: Path) -> None:
    files = write(tmp_path, 40, shard_bytes=150_000, row_group_bytes=40_000)
    assert len(files) > 1
    assert max(pq.ParquetFile(files[0]).metadata.row_group(g).num_rows for g in range(2)) <= 8
    reader = SpeechReader(tmp_path, split="train")
    assert len(reader) == 32
    assert {row.split for row in reader} == {"train"}
    assert reader.group_sizes.tolist() == [len(group) for group in reader.groups]
    assert np.array_equal(np.concatenate(reader.groups), np.arange(32))
    again = pickle.loads(pickle.dumps(reader))
    assert [row.id for row in again] == [row.id for row in reader]
    assert reader.samples.tolist() == [4800] * 32
    with pytest.raises(ShardError, match="there is: held-out, train"):
        SpeechReader(tmp_path, split="test")


def test_whose_speech_it_is_can_be_told(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, layout=SPEECH, shard_bytes=60_000, row_group_bytes=20_000) as writer:
        for number in range(20):
            owner = {"corpus": "a", "licence": ("X", "Y")[number // 10]} if number % 2 else {"licence": None}
            writer.write(speech_row(number, seconds=0.2, **owner))
    assert len(writer.finished) > 1
    reader = SpeechReader(tmp_path)
    a = {"recordings": 10, "licences": ["X", "Y"]}
    assert reader.corpora == {"a": a, "c": {"recordings": 10, "licences": []}}
    assert reader.take(np.array([3, 4, 6])).corpora == {
        "a": {"recordings": 1, "licences": ["X"]},
        "c": {"recordings": 2, "licences": []},
    }


def test_file_named_many_times_is_held_once(tmp_path: Path) -> None:
    (file,) = write(tmp_path, 4)
    reader = SpeechReader([file] * 50, split="train")
    assert len(reader) == 150
    assert [reader[i].id for i in (0, 3, 147)] == ["c/0001"] * 3
    assert len(reader._cache) == 1


def test_split_may_be_missing(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, layout=SPEECH) as writer:
        writer.write_all([speech_row(1, split=None), speech_row(2)])
    assert SpeechReader(tmp_path).splits == [None, "train"]
    assert [row.id for row in SpeechReader(tmp_path, split="train")] == ["c/0002"]


def test_other_shards_are_refused(tmp_path: Path) -> None:
    (file,) = write(tmp_path, 3)
    with pytest.raises(ShardError, match="has schema speech-1, not clips-1"):
        ShardReader(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ShardError, match="is no complete Parquet file"):
        open_speech_shards(file)


def test_damaged_byte_is_an_error(tmp_path: Path) -> None:
    (file,) = write(tmp_path, 2, seconds=1.0)
    data = bytearray(file.read_bytes())
    data[5000] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(ShardError, match="it is damaged"):
        SpeechReader(file)[0]


def test_data_sets_library_opens_them(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    (file,) = write(tmp_path / "shards", 3)
    held = datasets.load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert held["id"][:] == ["c/0000", "c/0001", "c/0002"]
    assert held.cast_column("audio", datasets.Audio(decode=False))[0]["audio"]["bytes"][:4] == b"fLaC"


def test_sound_of_clips(shared_data: Path, tmp_path: Path) -> None:
    from unsilent.corpora import GridCorpus
    from unsilent.prepare import prepare_corpus

    clips = GridCorpus(shared_data / "grid").clips("s1-val")[:2]
    prepare_corpus(clips, tmp_path, workers=0)
    rows = open_speech_shards(tmp_path, split="s1-val")
    assert [row.id for row in rows] == [clip.id for clip in clips]
    assert np.array_equal(rows[0].audio(), ShardReader(tmp_path)[0].audio())
    assert rows[0].bandwidth == 12_000
