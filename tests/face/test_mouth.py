from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.errors import FaceError
from unsilent.face import CROP_SIZE, FPS, MouthTrack, stream_mouth, track_mouth
from unsilent.face.smoothing import LOOK_AHEAD

MIDDLE = (CROP_SIZE - 1) / 2


def in_crop(track: MouthTrack, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map one source position a frame, (T, 2), into its crop."""
    affine = track.transform.astype(np.float64)
    return np.asarray(np.einsum("tij,tj->ti", affine[:, :, :2], points) + affine[:, :, 2])


def side_by_side(*clips: Any) -> list[NDArray[np.uint8]]:
    return [np.concatenate(frames, axis=1) for frames in zip(*(clip.frames for clip in clips), strict=True)]


def test_a_still_face(portrait: Any) -> None:
    clip = portrait.clip(20)
    track = track_mouth(clip.frames)
    assert len(track) == 20
    assert track.crops.shape == (20, 96, 96)
    assert track.crops.dtype == np.uint8
    assert track.valid.all()
    assert track.interpolated == 0
    assert (track.faces, track.face) == (1, 0)
    assert track.confidence.min() > 0.9
    assert track.transform.shape == (20, 2, 3)
    np.testing.assert_allclose(track.centre, clip.mouth, atol=2.5)
    np.testing.assert_allclose(in_crop(track, track.centre.astype(np.float64)), MIDDLE, atol=1e-3)
    x0, y0, x1, y1 = track.box[0]
    assert x0 < 139
    assert x1 > 187
    assert y0 < 110
    assert y1 > 155


@pytest.mark.parametrize("size", [0.5, 1, 3])
def test_the_crop_is_scaled_by_the_eyes(portrait: Any, size: float) -> None:
    picture = cv2.resize(portrait.picture, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    track = track_mouth([picture] * 3)
    scale = np.hypot(track.transform[:, 0, 0], track.transform[:, 0, 1])
    # On a mean face the outer corners of the eyes are 83 crop pixels apart, and the mouth is 48 wide; this one smiles.
    np.testing.assert_allclose(scale * 61.4 * size, 83, atol=5)


MOTIONS: dict[str, dict[str, Any]] = {
    "turning": {"angle": lambda index: 20 * math.sin(index / 12)},
    "nearing": {"scale": lambda index: 0.8 + index / 100},
    "drifting": {"shift": lambda index: (1.5 * index - 40, 20 * math.sin(index / 9))},
    "all": {
        "angle": lambda index: 15 * math.sin(index / 15),
        "scale": lambda index: 1 + 0.15 * math.sin(index / 20),
        "shift": lambda index: (20 * math.sin(index / 10), 10 * math.cos(index / 8)),
    },
}


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_mouth_stays_in_place_however_the_head_moves(portrait: Any, motion: str) -> None:
    still = track_mouth(portrait.clip(1).frames)
    clip = portrait.clip(60, **MOTIONS[motion])
    track = track_mouth(clip.frames)
    assert track.valid.all()
    expected = in_crop(still, portrait.clip(1).mouth)
    inner = slice(3, -3)  # the first and last frames are smoothed from one side only
    assert np.abs(in_crop(track, clip.mouth) - expected)[inner].max() < 2.0
    difference = np.abs(track.crops[inner].astype(float) - still.crops[0]).mean(axis=(1, 2))
    assert difference.max() < 12


def test_an_opening_mouth_does_not_move_its_crop(portrait: Any) -> None:
    opening = [0.3 + 0.3 * math.sin(index / 3) for index in range(50)]
    clip = portrait.clip(50, opening=lambda index: opening[index])
    track = track_mouth(clip.frames)
    places = in_crop(track, clip.mouth)
    assert np.ptp(places, axis=0).max() < 2.0
    assert np.corrcoef(track.aperture, opening)[0, 1] > 0.9


@pytest.mark.parametrize("lost", [1, 6, 12, 20])
def test_a_loss_is_bridged_and_counted(portrait: Any, empty: NDArray[np.uint8], lost: int) -> None:
    clip = portrait.clip(70, shift=lambda index: (0.5 * index, 0.0))
    frames = list(clip.frames)
    frames[30 : 30 + lost] = [empty] * lost
    track = track_mouth(frames)
    assert len(track) == 70
    assert track.interpolated == lost
    assert not track.valid[30 : 30 + lost].any()
    assert (track.confidence[30 : 30 + lost] == 0).all()
    whole = track_mouth(clip.frames)
    # Up to 12 frames are interpolated; of a longer loss the beginning is held where the face was seen last.
    limit = 1.5 if lost <= 12 else 0.5 * (lost - 12) + 2.5
    assert np.abs(track.centre - whole.centre).max() < limit
    assert np.abs(track.crops[45].astype(int) - whole.crops[45]).mean() < 12 or lost == 20


def test_frames_before_the_first_face(portrait: Any, empty: NDArray[np.uint8]) -> None:
    track = track_mouth([empty] * 40 + portrait.clip(60).frames)
    assert len(track) == 100
    assert track.valid.sum() == 60
    assert not track.crops[:20].any()
    # The last of them are cropped where the face is going to be.
    np.testing.assert_allclose(track.centre[32], track.centre[45], atol=1)


def test_frames_after_the_last_face(portrait: Any, empty: NDArray[np.uint8]) -> None:
    track = track_mouth([*portrait.clip(40).frames, *[empty] * 30])
    assert len(track) == 70
    assert track.interpolated == 30
    np.testing.assert_allclose(track.centre[69], track.centre[30], atol=1)


@pytest.mark.parametrize("count", [1, 2, 3, 12, 13, 24, 25, 26])
def test_clips_shorter_than_the_look_ahead(portrait: Any, count: int) -> None:
    track = track_mouth(portrait.clip(count).frames)
    assert len(track) == count
    assert track.valid.all()


def test_grey_frames_do(portrait: Any) -> None:
    frames = [frame.mean(axis=-1).astype(np.uint8) for frame in portrait.clip(5).frames]
    track = track_mouth(frames)
    np.testing.assert_allclose(track.centre, portrait.clip(5).mouth, atol=3)


def test_no_frames() -> None:
    with pytest.raises(FaceError, match=r"clip\.mp4: holds no video frames"):
        track_mouth([], name="clip.mp4")


def test_no_face(empty: NDArray[np.uint8]) -> None:
    with pytest.raises(FaceError, match=r"wall\.mp4: no face found in 30 frames"):
        track_mouth([empty] * 30, name="wall.mp4")


def test_noise_is_no_face() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (15, 240, 320, 3), dtype=np.uint8)
    with pytest.raises(FaceError, match="no face"):
        track_mouth(list(noise))


def test_a_face_in_too_few_frames(portrait: Any, empty: NDArray[np.uint8]) -> None:
    with pytest.raises(FaceError, match="a face in only 20 of 60 frames"):
        track_mouth([*portrait.clip(20).frames, *[empty] * 40])


@pytest.mark.parametrize("talker", [0, 1])
def test_of_two_faces_the_one_that_talks_is_taken(portrait: Any, talker: int) -> None:
    silent = portrait.clip(40, shift=lambda index: (8 * math.sin(index / 6), 0.0), scale=lambda index: 1.05)
    talking = portrait.clip(40, opening=lambda index: 0.3 + 0.3 * math.sin(index / 2))
    frames = side_by_side(*((talking, silent) if talker == 0 else (silent, talking)))
    track = track_mouth(frames)
    assert (track.faces, track.face) == (2, talker)
    assert track.valid.all()
    np.testing.assert_allclose(track.centre[:, 0], talking.mouth[:, 0] + 330 * talker, atol=4)


def test_a_face_is_chosen_by_number(portrait: Any) -> None:
    clip = portrait.clip(10)
    frames = side_by_side(clip, clip)
    for face in (0, 1):
        track = track_mouth(frames, face=face)
        assert (track.faces, track.face) == (2, face)
        np.testing.assert_allclose(track.centre[:, 0], clip.mouth[:, 0] + 330 * face, atol=3)


def test_a_number_that_no_face_has(portrait: Any) -> None:
    clip = portrait.clip(10)
    with pytest.raises(FaceError, match="there is no face 2; it shows 2 faces, numbers 0 to 1"):
        track_mouth(side_by_side(clip, clip), face=2, name="two.mp4")
    with pytest.raises(FaceError, match="1 face, number 0"):
        track_mouth(clip.frames, face=1)
    with pytest.raises(FaceError, match="counted from 0"):
        track_mouth(clip.frames, face=-1)


def test_a_lost_face_is_not_replaced_by_another_one(portrait: Any, empty: NDArray[np.uint8]) -> None:
    both = side_by_side(portrait.clip(60), portrait.clip(60))
    for frame in both[30:40]:
        frame[:, :330] = empty
    track = track_mouth(both, face=0)
    assert track.interpolated == 10
    assert (track.centre[:, 0] < 330).all()


def test_stream_and_track_agree(portrait: Any, empty: NDArray[np.uint8]) -> None:
    frames = portrait.clip(90, **MOTIONS["all"]).frames
    frames[40:43] = [empty] * 3
    track = track_mouth(frames)
    mouths = list(stream_mouth(iter(frames)))
    np.testing.assert_array_equal(track.crops, [mouth.crop for mouth in mouths])
    np.testing.assert_array_equal(track.transform, [mouth.transform for mouth in mouths])
    np.testing.assert_array_equal(track.valid, [mouth.valid for mouth in mouths])
    np.testing.assert_array_equal(track.aperture, np.array([mouth.aperture for mouth in mouths], dtype=np.float32))
    assert all((mouth.landmarks is None) == (not mouth.valid) for mouth in mouths)


def test_a_stride_moves_the_crops_by_less_than_a_pixel(portrait: Any) -> None:
    swaying = {"shift": lambda index: (6 * math.sin(index / 8), 3 * math.cos(index / 6))}
    frames = portrait.clip(60, opening=lambda index: 0.3 + 0.3 * math.sin(index / 5), **swaying).frames
    every, other = track_mouth(frames), track_mouth(frames, stride=2)
    assert other.valid.all()
    assert other.confidence.min() > 0.9
    np.testing.assert_allclose(in_crop(every, other.centre.astype(np.float64)), MIDDLE, atol=0.9)
    np.testing.assert_allclose(other.aperture[3:-3], every.aperture[3:-3], atol=0.1)
    mouths = list(stream_mouth(frames, stride=2))
    assert 25 <= sum(mouth.landmarks is None for mouth in mouths) <= 30


def test_a_stride_keeps_to_a_fast_head_and_to_losses(portrait: Any, empty: NDArray[np.uint8]) -> None:
    frames = portrait.clip(60, **MOTIONS["all"]).frames
    frames[30:36] = [empty] * 6
    every, other = track_mouth(frames), track_mouth(frames, stride=2)
    assert every.interpolated == 6
    assert other.interpolated in (5, 6)  # the first lost frame may be one that was passed over
    np.testing.assert_allclose(in_crop(every, other.centre.astype(np.float64))[:28], MIDDLE, atol=1.5)


def test_live_video_is_looked_at_in_every_frame(portrait: Any) -> None:
    frames = portrait.clip(12).frames
    np.testing.assert_array_equal(track_mouth(frames, live=True, stride=2).crops, track_mouth(frames, live=True).crops)


def test_the_look_ahead_is_bounded_and_frames_are_let_go(portrait: Any) -> None:
    clip = portrait.clip(30, opening=lambda index: 0.3 + 0.3 * math.sin(index / 2))
    alive: dict[int, weakref.ref[Any]] = {}
    drawn = 0

    def frames() -> Iterator[NDArray[np.uint8]]:
        nonlocal drawn
        for index in range(200):
            frame = clip.frames[index % 30].copy()
            alive[index] = weakref.ref(frame, lambda _, index=index: alive.pop(index))  # type: ignore[misc]
            drawn = index + 1
            yield frame

    most = 0
    for index, _ in enumerate(stream_mouth(frames())):
        most = max(most, len(alive))
        if index == 0:
            assert drawn <= 2 * FPS
        elif drawn < 200 and index > 2 * FPS:
            assert drawn - index <= LOOK_AHEAD + 1
    assert drawn == 200
    assert most <= 2


@settings(max_examples=30)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 9))
def test_any_frame_size_is_survived(portrait: Any, height: int, width: int, seed: int) -> None:
    y, x = seed * (300 - height) // 9, seed * (330 - width) // 9
    frames = [portrait.picture[y : y + height, x : x + width]] * 2
    try:
        track = track_mouth(frames)
    except FaceError:
        return
    assert track.crops.shape == (2, 96, 96)
    assert np.isfinite(track.transform).all()


@pytest.mark.parametrize("shape", [(10, 10, 4), (10,), (2, 10, 10, 3)])
def test_frames_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceError, match="frames must be RGB"):
        track_mouth([np.zeros(shape, dtype=np.uint8)])
    with pytest.raises(FaceError, match="float32"):
        track_mouth([np.zeros((10, 10, 3), dtype=np.float32)])
