from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.errors import FaceError
from unsilent.face import networks
from unsilent.face.networks import WEIGHTS_SHA256, FaceDetector, FaceMesh, Square, warp
from unsilent.files import sha256_file


def whole(frame: NDArray[np.uint8]) -> Square:
    height, width = frame.shape[:2]
    return Square((width - 1) / 2, (height - 1) / 2, float(max(height, width)), 0.0)


@pytest.mark.parametrize("file", sorted(WEIGHTS_SHA256))
def test_the_weights_are_the_published_ones(file: str) -> None:
    folder = files("unsilent.face").joinpath("weights")
    assert sha256_file(str(folder.joinpath(file))) == WEIGHTS_SHA256[file]
    notice = folder.joinpath("NOTICE.txt").read_text(encoding="utf-8")
    assert WEIGHTS_SHA256[file] in notice
    assert "Apache License, Version 2.0" in notice


def test_damaged_weights_are_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise ValueError("model is not valid")

    monkeypatch.setattr(networks, "Interpreter", broken)
    with pytest.raises(FaceError, match=r"face_landmark\.tflite: .*reinstall"):
        FaceMesh()


def test_loading_is_silent() -> None:
    code = "from unsilent.face.networks import FaceMesh; import os; FaceMesh(); os.write(2, b'later')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert done.stderr == "later"


def test_what_others_write_while_loading_is_passed_on() -> None:
    code = (
        "import os; from unsilent.face import networks\n"
        "with networks._without_chatter(): os.write(2, b'INFO: noise\\nWARNING: kept\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "WARNING: kept\n"


@pytest.mark.parametrize("size", [0.3, 1, 4])
def test_the_detector_finds_a_face_at_any_size(portrait: Any, size: float) -> None:
    picture = cv2.resize(portrait.picture, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    (found,) = FaceDetector()(picture, [whole(picture)])
    assert found.score > 0.8
    x0, y0, x1, y1 = found.box / size
    assert 100 < x0 < 139
    assert 187 < x1 < 230
    assert 60 < y0 < 100
    assert 155 < y1 < 190
    np.testing.assert_allclose(found.eyes / size, [[143, 100], [187, 106]], atol=6)


def test_finds_of_overlapping_regions_are_merged(portrait: Any) -> None:
    region = whole(portrait.picture)
    near = Square(region.x + 10, region.y - 5, region.side * 0.9, 0.0)
    assert len(FaceDetector()(portrait.picture, [region, near])) == 1


def test_two_faces_are_two_finds(portrait: Any) -> None:
    pair = np.concatenate([portrait.picture, portrait.picture[:, ::-1]], axis=1)
    centres = sorted(float(found.box[::2].mean()) for found in FaceDetector()(pair, [whole(pair)]))
    np.testing.assert_allclose(centres, [166, 659 - 166], atol=8)


@pytest.mark.parametrize("angle", [0, 40, -40])
@pytest.mark.parametrize("size", [0.4, 1, 5])
def test_the_mesh_lies_on_the_lips(portrait: Any, size: float, angle: float) -> None:
    affine = cv2.getRotationMatrix2D((165, 130), angle, 1)
    turned = cv2.warpAffine(portrait.picture, affine, (330, 300))
    picture = np.asarray(cv2.resize(turned, None, fx=size, fy=size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    mesh = FaceMesh()
    (face,) = FaceDetector()(picture, [whole(picture)])
    found = mesh(picture, face.region())
    found = mesh(picture, found.next_region)
    assert found.score > 0.9
    corners = np.array([[139.0, 139.1, 1], [186.8, 141.4, 1]]) @ affine.T
    np.testing.assert_allclose(found.points[[61, 291]], ((corners + 0.5) * size - 0.5), atol=3 * size)
    np.testing.assert_allclose(found.box[:2], found.points.min(axis=0), atol=1e-3)
    np.testing.assert_allclose(found.box[2:], found.points.max(axis=0), atol=1e-3)


def test_the_mesh_of_a_wall_is_no_face(empty: NDArray[np.uint8]) -> None:
    assert FaceMesh()(empty, Square(150, 150, 150, 0.0)).score < 0.1


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("side", [40.0, 96.0, 250.0, 400.0])
def test_a_warp_samples_where_it_says(side: float, colour: bool) -> None:
    y, x = np.mgrid[:540, :620].astype(np.float64)
    ramp = (0.3 * x + 0.1 * y).round().astype(np.uint8)
    frame = np.stack([ramp] * 3, axis=-1) if colour else ramp
    to_frame = Square(290.3, 260.8, side, 0.3).to_frame(96)
    seen = warp(frame, to_frame, 96)
    assert seen.shape == ((96, 96, 3) if colour else (96, 96))
    v, u = np.mgrid[:96, :96].astype(np.float64)
    places = to_frame[:, :2] @ np.stack([u.ravel(), v.ravel()]) + to_frame[:, 2:]
    expected = (0.3 * places[0] + 0.1 * places[1]).reshape(96, 96)
    np.testing.assert_allclose(seen[..., 0] if colour else seen, expected, atol=1.1)


def test_a_warp_does_not_alias() -> None:
    stripes = np.zeros((400, 400), dtype=np.uint8)
    stripes[:, ::2] = 200
    seen = warp(stripes, Square(200, 200, 384, 0.0).to_frame(96), 96)
    assert np.ptp(seen.astype(int)) <= 10


def test_outside_of_the_frame_it_is_black() -> None:
    frame = np.full((50, 50, 3), 255, dtype=np.uint8)
    assert not warp(frame, Square(500, 500, 60, 0.0).to_frame(64), 64).any()
    assert not warp(frame, Square(5000, 5000, 900, 0.0).to_frame(64), 64).any()
    half = warp(frame, Square(0, 25, 40, 0.0).to_frame(64), 64)
    assert not half[:, :30].any()
    assert (half[:, 34:] == 255).all()


@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    x=st.floats(-100, 200),
    y=st.floats(-100, 200),
    side=st.floats(1, 5000),
    angle=st.floats(-4, 4),
)
def test_any_warp_has_the_wanted_form(height: int, width: int, x: float, y: float, side: float, angle: float) -> None:
    to_frame = Square(x, y, side, angle).to_frame(32)
    assert warp(np.full((height, width, 3), 9, dtype=np.uint8), to_frame, 32).shape == (32, 32, 3)
    assert warp(np.full((height, width), 9, dtype=np.uint8), to_frame, 32).max() <= 9
