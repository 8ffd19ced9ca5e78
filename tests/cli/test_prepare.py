from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.face.conftest import portrait, talking_video

from unsilent.cli import main
from unsilent.media import mux_speech
from unsilent.shards import ShardReader

__all__ = ["portrait", "talking_video"]


def test_a_stride_changes_crops_little_and_nothing_else(talking_video: Path, tmp_path: Path) -> None:
    (tmp_path / "in/ann").mkdir(parents=True)
    video = tmp_path / "in/ann/a.mp4"
    mux_speech(talking_video, np.full(28_800, 0.1, np.float32), 24_000, video)
    rows = {}
    for stride in (1, 2):
        out = tmp_path / f"out{stride}"
        assert main(["prepare", "folder", str(tmp_path / "in"), str(out), "-q", "--stride", str(stride)]) == 0
        (rows[stride],) = ShardReader(out)
    every, other = rows[1], rows[2]
    assert (every.id, every.samples, len(every.valid)) == (other.id, other.samples, len(other.valid))
    np.testing.assert_array_equal(every.audio(), other.audio())
    assert other.valid.all()
    apart = np.abs(every.crops().astype(int) - other.crops()).mean()
    assert 0 < apart < 3
