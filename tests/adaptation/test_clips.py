"""Which clips are learnt from, and which only judge."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.adaptation import MINIMUM, divide
from unsilent.adaptation.clips import synthetic
from unsilent.corpora import Clip
from unsilent.errors import CorpusError
from unsilent.media import mux_speech


def clips_of(texts: list[str | None]) -> list[Clip]:
    return [
        Clip(f"clip{number:03d}", "folder", "anna", Path(f"{number}.mp4"), text, (), None)
        for number, text in enumerate(texts)
    ]


@given(st.lists(st.sampled_from(["a", "b", "c", None]) | st.text("xyz", min_size=1, max_size=3), max_size=80))
def test_every_clip_is_in_one_part_and_a_sentence_is_never_in_two(texts: list[str | None]) -> None:
    clips = clips_of(texts)
    different = len({text for text in texts if text}) + sum(not text for text in texts)
    try:
        divided = divide(clips, "folder")
    except CorpusError:
        counts = Counter(text for text in texts if text)
        assert different < MINIMUM or max(counts.values()) > 1
        return
    assert different >= MINIMUM
    assert [clip.id for clip in divided] == [clip.id for clip in clips]
    sizes = Counter(clip.split for clip in divided)
    assert sizes.keys() == {"train", "val", "test"}
    assert all(sizes[name] >= max(1, len(clips) // 10) for name in ("val", "test"))
    for text in {text for text in texts if text}:
        assert len({clip.split for clip in divided if clip.text == text}) == 1
    assert divide(list(reversed(clips)), "folder") == divided


def test_what_judges_is_no_more_than_it_needs_to_be() -> None:
    assert Counter(clip.split for clip in divide(clips_of([None] * 1000), "x")) == {"train": 900, "val": 50, "test": 50}


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(CorpusError, match="my-clips: holds 4 different clips; record at least 5"):
        divide(clips_of(["a", "a", "b", "c", "d"]), "my-clips")


def test_clips_that_are_synthetic_are_counted_and_unreadable_ones_pass(talking_video: Path, tmp_path: Path) -> None:
    mux_speech(talking_video, np.zeros(2400, np.float32), 24_000, tmp_path / "made.mp4")
    (tmp_path / "noise.mp4").write_bytes(b"no video" * 100)
    files = [talking_video, tmp_path / "made.mp4", tmp_path / "noise.mp4", tmp_path / "missing.mp4"]
    assert synthetic([Clip(path.stem, "folder", "anna", path, None, (), None) for path in files]) == 1
