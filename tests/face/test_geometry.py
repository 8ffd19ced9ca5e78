from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unsilent.face.geometry import _TEMPLATE, CROP_SIZE, LIPS, STABLE, crop_mouth, crop_transform, measure
from unsilent.face.networks import Mesh, Square

MIDDLE = (CROP_SIZE - 1) / 2


def mesh(factor: complex, origin: complex, mouth: complex = 0j, opening: float = 0.0) -> Mesh:
    """A face laid by a similarity: stable points on the template, lips ``opening`` mouth widths apart."""
    places = np.zeros(468, np.complex128)
    places[list(STABLE)] = _TEMPLATE
    places[list(LIPS)] = mouth
    for point, x, y in ((61, -24, 0), (291, 24, 0)):
        places[point] += x + 1j * y
    for point in (82, 13, 312):
        places[point] -= 24j * opening
    for point in (87, 14, 317):
        places[point] += 24j * opening
    placed = origin + factor * places
    points = np.stack([placed.real, placed.imag], axis=1).astype(np.float32)
    return Mesh(np.ascontiguousarray(points), (0.0, 0.0, 1.0, 1.0), 1.0, Square(0, 0, 1, 0))


@given(st.floats(0.2, 6), st.floats(-math.pi, math.pi), st.floats(-500, 500), st.floats(-500, 500), st.floats(-8, 8))
def test_a_similarity_is_found_again(size: float, angle: float, x: float, y: float, down: float) -> None:
    factor = cmath.rect(size, angle)
    pose = measure(mesh(factor, complex(x, y), complex(0, down)))
    assert pose.factor == pytest.approx(factor, abs=2e-3 * size)
    assert pose.origin == pytest.approx(complex(x, y), abs=0.3 * size + 1e-2)
    # The mesh sets lips 2.3 crop pixels too high, which is put right.
    assert pose.offset == pytest.approx(complex(0, down + 2.3), abs=0.05)


def test_the_opening_of_the_lips_does_not_change_the_fit() -> None:
    closed, open_ = (measure(mesh(2 + 0.3j, 200 + 100j, opening=opening)) for opening in (0.0, 0.5))
    assert open_.factor == pytest.approx(closed.factor, abs=1e-4)
    assert closed.aperture == pytest.approx(0.0, abs=1e-4)
    assert open_.aperture == pytest.approx(0.5, rel=1e-3)


@given(st.floats(0.5, 4), st.floats(-1, 1))
def test_the_middle_of_the_crop_lies_on_the_mouth(size: float, angle: float) -> None:
    to_frame = crop_transform(cmath.rect(size, angle), 320 + 240j)
    np.testing.assert_allclose(to_frame @ (MIDDLE, MIDDLE, 1), (320, 240), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(to_frame[:, :2]), size**2, rtol=1e-9)


def drawn(x: float, y: float) -> NDArray[np.uint8]:
    """A bright spot on a dark frame."""
    rows, columns = np.mgrid[:240, :320]
    return np.asarray(200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 50), np.uint8)


@pytest.mark.parametrize("size", [0.5, 1.0, 2.2])
def test_what_lies_at_the_mouth_is_seen_in_the_middle(size: float) -> None:
    crop = crop_mouth(drawn(150.25, 121.5), crop_transform(complex(size), 150.25 + 121.5j)).astype(np.float64)
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    centre = [(crop * axis).sum() / crop.sum() for axis in (columns, rows)]
    np.testing.assert_allclose(centre, MIDDLE, atol=0.05)
