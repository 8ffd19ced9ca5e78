"""The tracker on real recordings, against an independent landmark detector."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from unsilent.face import CROP_SIZE, track_mouth
from unsilent.media import read_video

SPEAKERS = ("s1", "s2", "s3", "s4", "s5", "s30", "s31", "s32", "s33", "s34")


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_no_frame_is_lost_and_the_scale_is_steady(shared_data: Path, speaker: str) -> None:
    clip = sorted((shared_data / "grid" / speaker).glob("*.mp4"))[0]
    track = track_mouth(read_video(clip), name=clip.name)
    assert track.faces == 1
    assert track.interpolated == 0
    assert 70 <= len(track) <= 76
    scale = np.hypot(track.transform[:, 0, 0], track.transform[:, 0, 1])
    assert 0.9 < scale.mean() < 1.3
    assert np.ptp(scale) / scale.mean() < 0.06
    assert np.linalg.norm(np.diff(track.centre, axis=0), axis=1).max() < 3
    assert track.aperture.std() > 0.005


def test_the_mouth_is_where_dlib_finds_it(shared_data: Path) -> None:
    dlib = pytest.importorskip("dlib")
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or package.origin is None:
        pytest.skip("needs face_recognition_models")
    model = Path(package.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat"
    detect, predict = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model))
    offsets, widths = [], []
    for speaker in SPEAKERS:
        clip = sorted((shared_data / "grid" / speaker).glob("*.mp4"))[1]
        frames = list(read_video(clip))
        track = track_mouth(frames)
        (box,) = detect(frames[30], 0)
        points = np.array([(part.x, part.y) for part in list(predict(frames[30], box).parts())[48:]], dtype=float)
        affine = track.transform[30]
        mapped = points @ affine[:, :2].T + affine[:, 2]
        offsets.append(mapped.mean(axis=0) - (CROP_SIZE - 1) / 2)
        widths.append(np.hypot(*(mapped[6] - mapped[0])))
    assert np.hypot(*np.transpose(offsets)).max() < 4
    assert np.abs(np.mean(offsets, axis=0)).max() < 1.5
    assert 40 < np.mean(widths) < 52
