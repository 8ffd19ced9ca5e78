from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.face.networks import FaceDetector, FaceMesh
from unsilent.face.tracker import FaceTracker, search_regions


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of regions in each call of the detector."""
    record: list[int] = []
    detect = FaceDetector.__call__

    def counted(self: FaceDetector, frame: NDArray[np.uint8], regions: Any) -> Any:
        record.append(len(regions))
        return detect(self, frame, regions)

    monkeypatch.setattr(FaceDetector, "__call__", counted)
    return record


def test_the_detector_rests_while_the_face_is_in_view(portrait: Any, calls: list[int]) -> None:
    tracker = FaceTracker()
    frames = portrait.clip(30, shift=lambda index: (float(index), 0.0)).frames
    tracker.update(frames[0])
    assert len(calls) == 1
    tracker.keep_only(tracker.faces[0])
    for frame in frames[1:]:
        tracker.update(frame)
    assert len(calls) == 1
    assert tracker.faces[0].hits == 30


def test_it_is_asked_again_after_a_loss(portrait: Any, empty: NDArray[np.uint8], calls: list[int]) -> None:
    tracker = FaceTracker()
    still = portrait.clip(1).frames[0]
    tracker.update(still)
    tracker.keep_only(tracker.faces[0])
    calls.clear()
    seen = []
    for frame in (empty, empty, still, still):
        tracker.update(frame)
        (face,) = tracker.faces
        seen.append((face.sighting is not None, face.away))
    assert seen == [(False, 1), (False, 2), (True, 0), (True, 0)]
    assert calls == [1] * len(calls)


def test_a_face_that_comes_later_is_found_within_half_a_second(portrait: Any, empty: NDArray[np.uint8]) -> None:
    tracker = FaceTracker()
    still = portrait.clip(1).frames[0]
    alone, both = np.concatenate([empty, still], axis=1), np.concatenate([still, still], axis=1)
    for _ in range(5):
        tracker.update(alone)
    assert len(tracker.faces) == 1
    for _ in range(25):
        tracker.update(both)
    assert [face.born_x > 330 for face in tracker.faces] == [True, False]
    assert all(face.sighting for face in tracker.faces)


def test_not_more_than_the_wanted_number_of_faces(portrait: Any) -> None:
    still = portrait.clip(1).frames[0]
    tracker = FaceTracker(max_faces=2)
    row = np.concatenate([still[:, 60:260]] * 3, axis=1)
    for _ in range(14):
        tracker.update(row)
    assert len(tracker.faces) == 2


@pytest.mark.parametrize("width", [90, 130])
def test_a_small_face_in_a_large_picture_is_found(portrait: Any, width: int) -> None:
    import cv2

    size = width / 100
    small = cv2.resize(portrait.picture, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    wide = np.full((720, 1280, 3), 90, dtype=np.uint8)
    wide[200 : 200 + small.shape[0], 700 : 700 + small.shape[1]] = small[:520, :580]
    tracker = FaceTracker()
    tracker.update(wide)
    (face,) = tracker.faces
    assert face.born_x == pytest.approx(700 + 166 * size, abs=8)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_every_level_of_the_search_covers_the_frame(height: int, width: int) -> None:
    levels = search_regions(height, width)
    assert 1 <= len(levels) <= 3
    for regions in levels:
        for length, centres in ((width, {r.x for r in regions}), (height, {r.y for r in regions})):
            side = regions[0].side
            edges = sorted((centre - side / 2, centre + side / 2) for centre in centres)
            assert edges[0][0] <= -0.4
            assert edges[-1][1] >= length - 0.6
            assert all(after[0] < before[1] for before, after in pairwise(edges))
    assert [regions[0].side for regions in levels] == sorted({r[0].side for r in levels}, reverse=True)


def test_networks_are_handed_on() -> None:
    first = FaceTracker()
    first.close()
    assert FaceTracker()._mesh is first._mesh


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Side of the region in each call of the mesh."""
    record: list[int] = []
    look = FaceMesh.__call__

    def counted(self: FaceMesh, frame: NDArray[np.uint8], region: Any) -> Any:
        record.append(round(region.side))
        return look(self, frame, region)

    monkeypatch.setattr(FaceMesh, "__call__", counted)
    return record


def test_with_a_stride_the_mesh_rests_in_the_frames_between(portrait: Any, looks: list[int]) -> None:
    tracker = FaceTracker(stride=2)
    frames = portrait.clip(40, shift=lambda index: (0.5 * index, 0.0)).frames
    states = []
    for frame in frames:
        tracker.update(frame)
        (face,) = tracker.faces
        assert face.away == 0
        assert face.resting == (face.sighting is None)
        states.append(face.resting)
    # Before it rests it has to have seen twice that the face is calm.
    assert states == [False] * 3 + [index % 2 == 1 for index in range(3, 40)]
    assert len(looks) == 1 + states.count(False)  # a new face is looked at twice


@pytest.mark.parametrize("stride", [0, -1, 5, 24])
def test_a_stride_that_would_miss_the_searches_is_refused(stride: int) -> None:
    with pytest.raises(ValueError, match="divisor of 12"):
        FaceTracker(stride=stride)


def test_a_face_that_moves_fast_is_looked_at_in_every_frame(portrait: Any) -> None:
    tracker = FaceTracker(stride=2)
    for frame in portrait.clip(20, shift=lambda index: (6.0 * abs(index - 10), 0.0)).frames:
        tracker.update(frame)
        assert not tracker.faces[0].resting


def test_a_lost_face_is_looked_for_in_every_frame_whatever_the_stride(portrait: Any, empty: NDArray[np.uint8]) -> None:
    tracker = FaceTracker(stride=2)
    still = portrait.clip(1).frames[0]
    away = []
    for frame in [still] * 6 + [empty] * 5 + [still]:
        tracker.update(frame)
        away.append(tracker.faces[0].away)
    assert away == [0] * 6 + [1, 2, 3, 4, 5, 0]
    assert tracker.faces[0].sighting is not None
