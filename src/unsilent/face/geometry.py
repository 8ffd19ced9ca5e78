"""From a face mesh to the similarity transform that lays a mouth into its crop.

The transform is fitted to points that speech does not move (eye corners and nose), so opening the mouth is not
normalised away. Positions are kept as complex numbers x + iy: a similarity is then one complex factor and one
complex shift, and its least-squares fit a dot product.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unsilent.face.networks import Frame, Mesh, warp

__all__ = ["CROP_SIZE", "LIPS", "STABLE", "Pose", "crop_mouth", "crop_transform", "measure"]

CROP_SIZE = 96

# Mesh points that do not move with speech, and where they lie on a mean face in crop pixels from the mouth's centre
# (the mouth 48 wide): the Procrustes mean, made symmetric, of ten GRID speakers (CC BY 4.0).
STABLE = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 98, 327)
_TEMPLATE = np.array(
    [
        -41.37 - 64.84j,
        -15.81 - 63.44j,
        15.81 - 63.44j,
        41.37 - 64.84j,
        -69.14j,
        -61.36j,
        -54.42j,
        -48.01j,
        -41.15j,
        -32.82j,
        -15.96 - 22.74j,
        15.96 - 22.74j,
    ]
)
_OUTER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_INNER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LIPS = _OUTER_LIP + _INNER_LIP
_CORNERS = (61, 291)
_INNER_UPPER = (82, 13, 312)
_INNER_LOWER = (87, 14, 317)

_UPPER_INDEX, _LOWER_INDEX = np.array(_INNER_UPPER), np.array(_INNER_LOWER)


def _readings() -> NDArray[np.complex64]:
    """Return the (3, 468) matrix that reads factor, origin and mouth's centre off a mesh in one product."""
    mean = _TEMPLATE.mean()
    fit = np.conj(_TEMPLATE - mean) / (np.abs(_TEMPLATE - mean) ** 2).sum()
    matrix = np.zeros((3, 468), dtype=np.complex128)
    matrix[0, list(STABLE)] = fit
    matrix[1, list(STABLE)] = 1 / len(STABLE) - fit * mean
    matrix[2, list(LIPS)] = 1 / len(LIPS)
    return matrix.astype(np.complex64)


_READINGS = _readings()

# The mesh sets the lips higher than they are: against dlib's 68 points by 2.3 crop pixels (benchmarks/crops.py).
_LIP_BIAS = 2.3j

# The crop's centre, between its middle pixels: 48 pixels from every edge.
_CENTRE = (CROP_SIZE - 1) / 2 * (1 + 1j)


@dataclass(frozen=True, slots=True)
class Pose:
    """What one frame says about one face.

    ``factor`` and ``origin`` (complex) map the template to the frame: frame = origin + factor * template. ``offset``
    is where the mouth's centre lies in the template's units, 0 for the mean face. ``aperture`` is the inner lips'
    opening over the mouth's width. ``box`` is x0, y0, x1, y1 of the whole mesh.
    """

    factor: complex
    origin: complex
    offset: complex
    aperture: float
    box: tuple[float, float, float, float]


def measure(mesh: Mesh) -> Pose:
    """Fit the template to a mesh's stable points by least squares and read the mouth off the mesh."""
    flat = mesh.points.view(np.complex64)[:, 0]
    factor, origin, mouth = (_READINGS @ flat).tolist()
    width = abs(complex(flat[_CORNERS[0]] - flat[_CORNERS[1]]))
    opening = float(np.abs(flat[_UPPER_INDEX] - flat[_LOWER_INDEX]).sum()) / len(_INNER_UPPER)
    offset = (mouth - origin) / factor + _LIP_BIAS if factor else 0j
    return Pose(factor, origin, offset, opening / max(width, 1e-6), mesh.box)


def crop_transform(factor: complex, centre: complex) -> NDArray[np.float64]:
    """Return the (2, 3) affine from crop pixels to frame pixels, the crop's middle at ``centre`` in the frame."""
    shift = centre - factor * _CENTRE
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def crop_mouth(grey: Frame, to_frame: NDArray[np.float64]) -> Frame:
    """Cut the (96, 96) crop out of a grey frame (H, W).

    It is sampled twice as densely as needed and averaged 2 x 2: no aliasing when the mouth shrinks, and the same
    softness wherever the mouth lies between the pixels (plain bilinear flickers as a head drifts).
    """
    dense = to_frame.copy()
    dense[:, :2] /= 2
    dense[:, 2] -= dense[:, :2].sum(axis=1) / 2
    return cv2.resize(warp(grey, dense, 2 * CROP_SIZE), (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
