"""The streaming benchmark: figures add up, on shards small enough to repeat often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.test_speech_shards import write

from unsilent.benchmarks.shards import bench_shards, resident_bytes
from unsilent.cli import main
from unsilent.errors import ShardError
from unsilent.shards import open_speech_shards, shard_files


def test_figures(tmp_path: Path) -> None:
    write(tmp_path, 20, seconds=1.0)
    told: list[float] = []
    result = bench_shards(tmp_path, hours=1.0, seconds=0.6, segment_frames=10, batch_size=4, advance=told.append)
    assert result["repeats"] == 180
    assert result["rows"] == 3600
    assert result["hours"] == pytest.approx(1.0)
    assert result["hours_per_minute"] == pytest.approx(60 * result["streamed_hours"] / result["streamed_seconds"])
    assert result["hours_per_processor_minute"] > 0
    assert result["resident_growth"] >= 0
    assert sum(told) == pytest.approx(result["streamed_seconds"])
    # Drawn stretches are 0.4 s long.
    batches = result["streamed_hours"] * 3600 / 0.4 / 4
    assert batches == pytest.approx(round(batches))


def test_memory_is_measured() -> None:
    before = resident_bytes()
    held = bytearray(b"x" * (64 << 20))
    assert resident_bytes() - before > 32 << 20
    assert held


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, 6)
    assert main(["bench", "shards", str(tmp_path), "--hours", "0", "--seconds", "0.2", "--json", "-", "-q"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["repeats"] == 1
    assert "times the plain loop" in shown.err


@pytest.mark.parametrize("number", [1, 7])
def test_the_plain_loop_hears_everything_in_order(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, number, seconds=1.0)
    heard = []
    plain = soundfile.read

    def read(*values: Any, **named: Any) -> Any:
        heard.append(plain(*values, **named))
        return heard[-1]

    monkeypatch.setattr(soundfile, "read", read)
    reference = bench_shards(tmp_path, hours=0, seconds=0.2)["reference"]
    rows = open_speech_shards(shard_files(tmp_path))
    assert len(heard) % number == 0
    for (samples, rate), row in zip(heard, rows, strict=False):
        assert rate == 24_000
        assert np.array_equal(samples, row.audio())
    assert reference["plain_loop"]["hours_per_minute"] > 0
    assert reference["plain_loop"]["hours_per_processor_minute"] > 0
    assert reference["matrix_product_gflops"] > 0


def test_folder_without_shards(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"holds no .parquet shard"):
        bench_shards(tmp_path)
