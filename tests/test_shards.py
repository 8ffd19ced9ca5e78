"""Shards: what goes in comes out bit for bit, any reader opens them, and damage is named."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from unsilent.corpora.base import Word
from unsilent.errors import OutputError, ShardError
from unsilent.shards import (
    ROW_GROUP_BYTES,
    SCHEMA,
    ShardReader,
    ShardWriter,
    encode_audio,
    encode_crops,
)


def crops_of(seed: int, frames: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (frames, 96, 96), dtype=np.uint8)


def sound_of(seed: int, samples: int) -> NDArray[np.float32]:
    integers = np.random.default_rng(seed).integers(-32768, 32768, samples, dtype=np.int16)
    return np.asarray(integers / np.float32(32768), np.float32)


def row(number: int, *, frames: int = 3, split: str | None = "train", **changes: Any) -> dict[str, Any]:
    samples = frames * 960 - 7
    return {
        "id": f"s1/clip{number:03d}",
        "corpus": "grid",
        "speaker": f"s{number % 3}",
        "split": split,
        "text": "bin blue",
        "words": [{"word": "bin", "start": 0.25, "end": 0.5}],
        "fps": 25.0,
        "frames": frames,
        "crops": encode_crops(crops_of(number, frames)),
        "audio": {"bytes": encode_audio(sound_of(number, samples), 24_000), "path": "x.flac"},
        "sample_rate": 24_000,
        "samples": samples,
        "valid": [True] * (frames - 1) + [False],
        "aperture": [0.5] * frames,
        "source_sha256": "0" * 64,
        **changes,
    }


def write(folder: Path, rows: list[dict[str, Any]], **limits: Any) -> list[Path]:
    with ShardWriter(folder, **limits) as writer:
        for item in rows:
            writer.write(item)
    return writer.finished


# --- write and read ------------------------------------------------------------------------------------------------


def test_row_comes_back_whole(tmp_path: Path) -> None:
    write(tmp_path, [row(7, frames=4)])
    (clip,) = ShardReader(tmp_path)
    assert (clip.id, clip.corpus, clip.speaker, clip.split, clip.text) == (
        "s1/clip007",
        "grid",
        "s1",
        "train",
        "bin blue",
    )
    assert clip.words == (Word("bin", 0.25, 0.5),)
    assert (clip.fps, clip.frames, clip.sample_rate, clip.samples) == (25.0, 4, 24_000, 3833)
    assert clip.valid.tolist() == [True, True, True, False]
    assert clip.aperture.tolist() == [0.5] * 4
    assert np.array_equal(clip.crops(), crops_of(7, 4))
    assert np.array_equal(clip.audio(), sound_of(7, 3833))


def test_nothing_known_about_the_words(tmp_path: Path) -> None:
    write(tmp_path, [row(0, split=None, text=None, words=[])])
    (clip,) = ShardReader(tmp_path)
    assert (clip.split, clip.text, clip.words) == (None, None, ())


def test_random_access_over_files_and_groups(tmp_path: Path) -> None:
    size = len(row(0)["crops"]) + len(row(0)["audio"]["bytes"])
    files = write(tmp_path, [row(i) for i in range(20)], row_group_bytes=3 * size, shard_bytes=7 * size)
    assert [path.name for path in files] == [f"clips-{i:05d}.parquet" for i in range(len(files))]
    assert len(files) >= 2
    reader = ShardReader(tmp_path, cache_groups=1)
    assert len(reader) == 20
    order = np.random.default_rng(0).permutation(20).tolist()
    assert [reader[i].id for i in order] == [f"s1/clip{i:03d}" for i in order]
    assert reader[-1].id == "s1/clip019"
    assert [clip.id for clip in reader[3:9:2]] == [f"s1/clip{i:03d}" for i in (3, 5, 7)]
    assert np.array_equal(reader[13].crops(), crops_of(13, 3))
    with pytest.raises(IndexError):
        reader[20]
    assert np.concatenate(reader.groups).tolist() == list(range(20))
    assert max(len(group) for group in reader.groups) <= 3


def test_row_groups_stay_below_their_limit(tmp_path: Path) -> None:
    limit = 200_000
    (path,) = write(tmp_path, [row(i, frames=1 + i % 5) for i in range(40)], row_group_bytes=limit)
    meta = pq.ParquetFile(path).metadata
    sizes = [meta.row_group(i).total_byte_size for i in range(meta.num_row_groups)]
    assert max(sizes) <= limit
    assert len(sizes) > 3
    assert ROW_GROUP_BYTES <= 16e6


def test_longer_clip_has_a_group_to_itself(tmp_path: Path) -> None:
    (path,) = write(tmp_path, [row(0), row(1, frames=40), row(2)], row_group_bytes=100_000)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert len(ShardReader(tmp_path)[1].crops()) == 40


def test_memory_holds_only_the_last_groups(tmp_path: Path) -> None:
    write(tmp_path, [row(i) for i in range(12)], row_group_bytes=1)
    reader = ShardReader(tmp_path, cache_groups=3)
    for _ in reader:
        pass
    assert len(reader._cache) == 3


def test_select_by_split(tmp_path: Path) -> None:
    write(tmp_path, [row(i, split=[None, "train", "test"][i % 3]) for i in range(9)], row_group_bytes=1)
    test = ShardReader(tmp_path, split="test")
    assert test.ids == ["s1/clip002", "s1/clip005", "s1/clip008"] == [clip.id for clip in test]
    assert set(test.splits) == {"test"}
    assert test.speakers == ["s2"] * 3
    assert test.frames.tolist() == [3] * 3
    assert [group.tolist() for group in test.groups] == [[0], [1], [2]]
    assert len(ShardReader(tmp_path).select(["test", "train"])) == 6
    with pytest.raises(ShardError, match="no clip of split valid; there is: test, train"):
        ShardReader(tmp_path, split="valid")


def test_reader_travels_to_other_processes(tmp_path: Path) -> None:
    write(tmp_path, [row(i, split=["a", "b"][i % 2]) for i in range(6)], row_group_bytes=1)
    reader = ShardReader(tmp_path, split="b")
    first = reader[0].id
    packed = pickle.dumps(reader)
    assert len(packed) < 20_000
    assert pickle.loads(packed)[0].id == first == "s1/clip001"


def test_new_shards_follow_the_old_ones(tmp_path: Path) -> None:
    write(tmp_path, [row(0)])
    write(tmp_path, [row(1)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips-00000.parquet", "clips-00001.parquet"]
    assert ShardReader([tmp_path / "clips-00001.parquet", tmp_path / "clips-00000.parquet"]).ids == [
        "s1/clip001",
        "s1/clip000",
    ]


def test_exception_throws_the_unfinished_shard_away(tmp_path: Path) -> None:
    def broken_off() -> None:
        with ShardWriter(tmp_path, row_group_bytes=1) as writer:
            writer.write(row(0))
            writer.write(row(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert list(tmp_path.iterdir()) == []


def test_nothing_written_makes_no_file(tmp_path: Path) -> None:
    assert write(tmp_path, []) == []
    assert list(tmp_path.iterdir()) == []


def test_unfinished_shard_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, [row(0)])
    (tmp_path / ".clips-00001.ab.partial.parquet").write_bytes(b"half")
    assert len(ShardReader(tmp_path)) == 1


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    whole = row(0)
    for missing in ("crops", "id", "text"):
        with pytest.raises(ShardError, match=f"lacks {missing}"):
            ShardWriter(tmp_path).write({key: value for key, value in whole.items() if key != missing})
    with pytest.raises(ShardError, match="lacks speaker"):
        ShardWriter(tmp_path).write({**whole, "speaker": None})
    with pytest.raises(ShardError, match="does not fit the schema"):
        write(tmp_path, [{**whole, "words": "bin blue"}])
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write(tmp_path / "file", [row(0)])


# --- damage and strangers ------------------------------------------------------------------------------------------


def test_truncated_shard_is_named(tmp_path: Path) -> None:
    (path,) = write(tmp_path, [row(i) for i in range(3)])
    data = path.read_bytes()
    for size in (0, 3, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ShardError, match=r"clips-00000\.parquet: is no complete Parquet file"):
            ShardReader(tmp_path)


@pytest.mark.parametrize(("mark", "behind"), [(b"\x89PNG", 2000), (b"fLaC", 5000)])
def test_one_wrong_bit_is_an_error(tmp_path: Path, mark: bytes, behind: int) -> None:
    (path,) = write(tmp_path, [row(i, frames=8) for i in range(3)])
    data = bytearray(path.read_bytes())
    data[data.index(mark) + behind] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match=r"clips-00000\.parquet: cannot be read, it is damaged"):
        list(ShardReader(tmp_path))


@pytest.mark.parametrize("column", SCHEMA.names)
def test_missing_column_is_named(tmp_path: Path, column: str) -> None:
    (path,) = write(tmp_path, [row(0)])
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    with pytest.raises(ShardError, match=rf"clips-00000\.parquet: lacks the column {column};"):
        ShardReader(tmp_path)


def test_other_type_is_named(tmp_path: Path) -> None:
    (path,) = write(tmp_path, [row(0)])
    table = pq.read_table(path)
    at = table.schema.get_field_index("frames")
    pq.write_table(table.set_column(at, "frames", table["frames"].cast(pa.int64())), path)
    with pytest.raises(ShardError, match="column frames is int64, not int32"):
        ShardReader(tmp_path)


def test_other_schema_is_named(tmp_path: Path) -> None:
    (path,) = write(tmp_path, [row(0)])
    pq.write_table(pq.read_table(path).replace_schema_metadata({"unsilent.schema": "clips-2"}), path)
    with pytest.raises(ShardError, match="has schema clips-2, not clips-1"):
        ShardReader(tmp_path)


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"audio": [b""]}), tmp_path / "x.parquet")
    with pytest.raises(ShardError, match="lacks the columns id, corpus"):
        ShardReader(tmp_path)


def test_further_columns_are_allowed(tmp_path: Path) -> None:
    (path,) = write(tmp_path, [row(0)])
    pq.write_table(pq.read_table(path).append_column("mood", pa.array(["good"])), path)
    assert ShardReader(tmp_path)[0].id == "s1/clip000"


def test_lists_of_other_length_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [row(0, valid=[True])])
    with pytest.raises(ShardError, match="clip s1/clip000 has lists of other lengths"):
        ShardReader(tmp_path)[0]


def test_no_shards(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"holds no \.parquet shard; run `unsilent prepare`"):
        ShardReader(tmp_path)
    with pytest.raises(ShardError, match="does not exist"):
        ShardReader(tmp_path / "nowhere")


def test_datasets_opens_them_without_a_network(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    write(tmp_path / "shards", [row(i) for i in range(3)])
    script = (
        "import datasets, json, sys\n"
        "data = datasets.load_dataset('parquet', data_files=sys.argv[1] + '/*.parquet', split='train')\n"
        "row = data[1]\n"
        "print(json.dumps([data.num_rows, row['id'], row['crops'][:4].hex(), row['audio']['bytes'][:4].hex(),"
        " row['words']]))\n"
    )
    environment = {**os.environ, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "shards")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows, name, png, flac, words = json.loads(done.stdout.splitlines()[-1])
    assert (rows, name, bytes.fromhex(png), bytes.fromhex(flac)) == (3, "s1/clip001", b"\x89PNG", b"fLaC")
    assert words == [{"word": "bin", "start": 0.25, "end": 0.5}]
