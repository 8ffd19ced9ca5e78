from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.errors import FaceError, OutputError
from unsilent.face import track_mouth
from unsilent.face.sheet import Inspection, _Thinned, draw_sheet, inspect_mouth


@pytest.fixture(scope="module")
def inspection(portrait: Any, empty: NDArray[np.uint8]) -> Inspection:
    frames = portrait.clip(60, opening=lambda index: 0.3 + 0.3 * math.sin(index / 2)).frames
    frames[20:24] = [empty] * 4
    return inspect_mouth(frames, name="a_$clip$.mp4")


def test_it_tells_what_tracking_found(inspection: Inspection, portrait: Any, empty: NDArray[np.uint8]) -> None:
    frames = portrait.clip(60, opening=lambda index: 0.3 + 0.3 * math.sin(index / 2)).frames
    frames[20:24] = [empty] * 4
    track = track_mouth(frames)
    np.testing.assert_array_equal(inspection.aperture, track.aperture)
    np.testing.assert_array_equal(inspection.valid, track.valid)
    for index, crop in inspection.crops:
        np.testing.assert_array_equal(crop, track.crops[index])
    figures = inspection.summary()
    assert (figures["frames"], figures["interpolated"], figures["faces"]) == (60, 4, 1)
    assert figures["seconds"] == pytest.approx(2.4)


def test_views_show_the_frame_they_name(inspection: Inspection, portrait: Any) -> None:
    for index, frame, mouth in inspection.views:
        opening = 0.3 + 0.3 * math.sin(index / 2)
        assert not mouth.valid or np.array_equal(frame, portrait.clip(1, opening=lambda _, o=opening: o).frames[0])


def test_the_sheet_is_a_picture(inspection: Inspection, tmp_path: Path) -> None:
    output = tmp_path / "new" / "sheet.png"
    draw_sheet(inspection, output)
    page = cv2.imread(str(output))
    assert page is not None
    assert page.shape[1] == 1200
    assert page.shape[0] > 600
    assert page.std() > 20
    assert list(output.parent.iterdir()) == [output]


def test_a_sheet_of_one_frame(portrait: Any, tmp_path: Path) -> None:
    draw_sheet(inspect_mouth(portrait.clip(1).frames), tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 1000


def test_a_sheet_that_begins_without_a_face(portrait: Any, empty: NDArray[np.uint8], tmp_path: Path) -> None:
    draw_sheet(inspect_mouth([empty] * 40 + portrait.clip(50).frames), tmp_path / "late.png")
    assert (tmp_path / "late.png").exists()


def test_a_sheet_that_cannot_be_written(inspection: Inspection, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        draw_sheet(inspection, tmp_path)


def test_no_frames() -> None:
    with pytest.raises(FaceError, match="no video frames"):
        inspect_mouth([])


@given(st.integers(1, 3000), st.integers(1, 50))
def test_what_is_kept_is_bounded_and_evenly_spaced(count: int, keep: int) -> None:
    thinned: _Thinned[int] = _Thinned(keep)
    for index in range(count):
        thinned.offer(index, lambda index=index: index)  # type: ignore[misc]
    kept = list(thinned.items)
    assert kept == list(thinned.items.values())
    assert min(count, keep) <= len(kept) <= 2 * keep
    assert kept[0] == 0
    assert len(set(np.diff(kept).tolist())) <= 1
