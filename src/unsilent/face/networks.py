"""The two networks of Google MediaPipe that find a face: BlazeFace (where is one?) and the 468-point face mesh.

Both run through LiteRT on two threads, or on one where ``OMP_NUM_THREADS`` says so, to the same result. All
image positions are in pixels of the frame that was passed in, with pixel centres at whole numbers (OpenCV's
convention).

Sources: Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs"; Kartynnik et al.
2019, "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs"; decoding after MediaPipe's
``face_detection_short_range`` and ``face_landmark`` graphs.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from unsilent.errors import FaceError
from unsilent.workers import cores

__all__ = ["WEIGHTS_SHA256", "Detection", "FaceDetector", "FaceMesh", "Mesh", "Square", "warp"]

Frame = NDArray[np.uint8]
Points = NDArray[np.float32]

WEIGHTS_SHA256 = {
    "face_landmark.tflite": "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
    "face_detection_short_range.tflite": "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
}

_DETECTOR_SIZE = 128
_MOST_THREADS = 2
_MESH_SIZE = 192
_MIN_SIDE = 4.0  # pixels
_MIN_SCORE = 0.5
_MIN_OVERLAP = 0.3
_LEFT_EYE, _RIGHT_EYE = 33, 263  # outer corners, as seen in the picture
_ROI_SCALE = 1.5
# Where the mesh counts from: half-way between a pixel's corner and its centre (measured with mirrored pictures).
_POINT_SHIFT = np.float32(0.25)


@dataclass(frozen=True, slots=True)
class Square:
    """A rotated square region of a frame: centre x, y and side in pixels, angle in radians (clockwise on screen)."""

    x: float
    y: float
    side: float
    angle: float

    def to_frame(self, size: int) -> NDArray[np.float64]:
        """Return the (2, 3) affine that takes pixel positions in a ``size`` x ``size`` picture of it to the frame."""
        scale = self.side / size
        cos, sin = scale * math.cos(self.angle), scale * math.sin(self.angle)
        half = (size - 1) / 2
        return np.array(
            [[cos, -sin, self.x - half * (cos - sin)], [sin, cos, self.y - half * (sin + cos)]], dtype=np.float64
        )


@dataclass(frozen=True, slots=True)
class Detection:
    """A face that BlazeFace found: ``box`` (4,) x0, y0, x1, y1; both ``eyes`` (2, 2); ``score`` in 0..1."""

    box: Points
    eyes: Points
    score: float

    def region(self) -> Square:
        """Return the square that the mesh network wants to see: 1.5 times the box, upright by the eyes."""
        x0, y0, x1, y1 = (float(value) for value in self.box)
        dx, dy = (float(value) for value in self.eyes[1] - self.eyes[0])
        return Square((x0 + x1) / 2, (y0 + y1) / 2, _ROI_SCALE * max(x1 - x0, y1 - y0), float(np.arctan2(dy, dx)))


@dataclass(frozen=True, slots=True)
class Mesh:
    """A face's mesh.

    ``points`` (468, 2) in frame pixels; ``box`` around them, x0, y0, x1, y1; ``score`` in 0..1, how surely it is a
    face; ``next_region``, where to look for it in the next frame.
    """

    points: Points
    box: tuple[float, float, float, float]
    score: float
    next_region: Square


def warp(frame: Frame, to_frame: NDArray[np.float64], size: int) -> Frame:
    """Sample a ``size`` x ``size`` picture whose pixel p lies at ``to_frame @ (p, 1)``, without aliasing.

    Bilinear where a step is below two source pixels; where it is larger, the part of the frame that is seen is
    first averaged down by a whole factor, so that big faces and small ones give equally clean pictures. What lies
    outside the frame is black.
    """
    factor = max(1, int(math.hypot(to_frame[0, 0], to_frame[1, 0])))
    colour = frame.ndim == 3
    if factor > 1 or colour:
        frame, to_frame = _part(frame, to_frame, size, factor)
        if not frame.size:
            return np.zeros((size, size, 3) if colour else (size, size), dtype=np.uint8)
    # OpenCV warps four channels in less than half of the time that it takes for three.
    source = cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA) if colour else frame
    seen = cv2.warpAffine(source, to_frame, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB) if colour else seen  # type: ignore[return-value]


def _part(frame: Frame, to_frame: NDArray[np.float64], size: int, factor: int) -> tuple[Frame, NDArray[np.float64]]:
    """Return the part of a frame that a warp needs, averaged down by ``factor``, and the affine into it."""
    corners = to_frame @ np.array([[0, size, 0, size], [0, 0, size, size], [1, 1, 1, 1]], dtype=np.float64)
    height, width = frame.shape[:2]
    x0, y0 = (max(0, int(value) - 2 * factor) for value in corners.min(axis=1))
    x1, y1 = (int(value) + 3 * factor for value in corners.max(axis=1))
    columns, rows = (min(width, x1) - x0) // factor, (min(height, y1) - y0) // factor
    if columns < 1 or rows < 1:
        return frame[:0], to_frame
    part = frame[y0 : y0 + rows * factor, x0 : x0 + columns * factor]
    moved = to_frame / factor
    moved[:, 2] -= (np.array([x0, y0]) + (factor - 1) / 2) / factor
    if factor > 1:
        part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return part, moved


def _load(file: str) -> Any:
    """Return a ready interpreter of a network in ``weights/``."""
    try:
        content = files("unsilent.face").joinpath("weights", file).read_bytes()
        with _without_chatter():
            interpreter = Interpreter(model_content=content, num_threads=_threads())
            interpreter.allocate_tensors()
    except (OSError, ValueError, RuntimeError) as error:
        raise FaceError(f"{file}: the face network cannot be loaded; reinstall unsilent ({error})") from error
    return interpreter


def _threads() -> int:
    """Threads of a network: a second saves a third of the time, further ones next to nothing."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(_MOST_THREADS, int(told) if told.isdecimal() and int(told) else cores())


_greeted = threading.Lock()


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep LiteRT's one ``INFO:`` line a process from standard error, where users expect one-line errors.

    LiteRT writes it from C++ and has no switch for it. Whatever else arrives in these milliseconds is passed on.
    """
    if not _greeted.acquire(blocking=False):  # never released: the line comes only once
        yield
        return
    try:
        sys.stderr.flush()
        before = os.dup(2)
    except (OSError, AttributeError, ValueError):  # no standard error, as in a windowed program
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            caught.seek(0)
            rest = [line for line in caught.read().splitlines(keepends=True) if not line.startswith(b"INFO: ")]
            if rest:
                os.write(2, b"".join(rest))


def _anchors() -> NDArray[np.float32]:
    """Return the (896, 2) anchor centres in 0..1: 2 a cell of a 16 x 16 grid, 6 a cell of an 8 x 8 grid."""
    grids = []
    for cells, repeats in ((16, 2), (8, 6)):
        ticks = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        grids.append(np.repeat(grid, repeats, axis=0))
    return np.concatenate(grids)


class FaceDetector:
    """BlazeFace, short range: every face in a frame, best first. About 1 ms a call; not thread-safe."""

    def __init__(self) -> None:
        self._network = _load("face_detection_short_range.tflite")
        self._input = self._network.tensor(self._network.get_input_details()[0]["index"])
        outputs = sorted(self._network.get_output_details(), key=lambda item: -int(item["shape"][-1]))
        self._boxes, self._scores = (int(item["index"]) for item in outputs)
        self._anchors = _anchors()

    def __call__(self, frame: Frame, regions: Sequence[Square]) -> list[Detection]:
        """Return the faces in some regions of an RGB frame (H, W, 3) with a score of at least 0.5, best first.

        A face is found where it fills about a tenth to the whole of a region's side. Finds that overlap are merged.
        """
        found = [self._candidates(frame, region) for region in regions]
        shapes = np.concatenate([shapes for shapes, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        return [Detection(shape[:2].reshape(4), shape[2:], score) for shape, score in _merge(shapes, scores)]

    def _candidates(self, frame: Frame, region: Square) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return box corners and eyes (n, 4, 2) in frame pixels and scores (n,) of all anchors that see a face."""
        to_frame = region.to_frame(_DETECTOR_SIZE)
        picture = warp(frame, to_frame, _DETECTOR_SIZE)
        target = self._input()[0]
        np.multiply(picture, np.float32(2 / 255), out=target)
        target -= 1
        del target
        self._network.invoke()
        logits = self._network.get_tensor(self._scores).reshape(-1)
        chosen = np.flatnonzero(logits > np.log(_MIN_SCORE / (1 - _MIN_SCORE)))
        raw = self._network.get_tensor(self._boxes).reshape(len(logits), -1, 2)[chosen] / _DETECTOR_SIZE
        scores = 1 / (1 + np.exp(-logits[chosen].astype(np.float64)))
        raw[:, 0] += self._anchors[chosen]
        raw[:, 2:] += self._anchors[chosen, None]
        half = raw[:, 1] / 2
        shapes = np.stack([raw[:, 0] - half, raw[:, 0] + half, raw[:, 2], raw[:, 3]], axis=1)
        pixels: NDArray[np.float64] = (shapes * _DETECTOR_SIZE - 0.5) @ to_frame[:, :2].T + to_frame[:, 2]
        return pixels, scores


def _merge(shapes: NDArray[np.float64], scores: NDArray[np.float64]) -> list[tuple[Points, float]]:
    """Weighted non-maximum suppression: every group of overlapping (n, 4, 2) shapes becomes its mean by score."""
    merged = []
    order = np.argsort(-scores)
    while len(order):
        best = shapes[order[0]]
        near = _overlap(best[:2], shapes[order, :2]) > _MIN_OVERLAP
        near[0] = True
        group = order[near]
        mean = np.average(shapes[group], axis=0, weights=scores[group])
        merged.append((mean.astype(np.float32), float(scores[group[0]])))
        order = order[~near]
    return merged


def _overlap(box: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
    """Return the intersection over union of one (2, 2) box with (n, 2, 2) others."""
    inner = np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0])
    shared = inner.clip(0).prod(axis=1)
    total = (box[1] - box[0]).prod() + (boxes[:, 1] - boxes[:, 0]).prod(axis=1) - shared
    return np.asarray(shared / np.maximum(total, 1e-9))


class FaceMesh:
    """The 468-point mesh network. About 1.2 ms a call; not thread-safe."""

    def __init__(self) -> None:
        self._network = _load("face_landmark.tflite")
        self._input = self._network.tensor(self._network.get_input_details()[0]["index"])
        outputs = sorted(self._network.get_output_details(), key=lambda item: -int(item["shape"][-1]))
        self._points, self._score = (self._network.tensor(int(item["index"])) for item in outputs)

    def __call__(self, frame: Frame, region: Square) -> Mesh:
        """Return the mesh of the face that fills two thirds of ``region`` in an RGB frame (H, W, 3)."""
        to_frame = region.to_frame(_MESH_SIZE)
        np.multiply(warp(frame, to_frame, _MESH_SIZE), np.float32(1 / 255), out=self._input()[0])
        self.invoke()
        local = np.ascontiguousarray(self._points().reshape(-1, 3)[:, :2].T) - _POINT_SHIFT
        logit = float(self._score().reshape(-1)[0])
        affine = to_frame.astype(np.float32)
        placed = affine[:, :2] @ local + affine[:, 2:]
        (left, top), (right, bottom) = placed.min(axis=1).tolist(), placed.max(axis=1).tolist()
        points = np.ascontiguousarray(placed.T)
        (x0, y0), (x1, y1) = local.min(axis=1).tolist(), local.max(axis=1).tolist()
        x, y = (to_frame @ ((x0 + x1) / 2, (y0 + y1) / 2, 1.0)).tolist()
        side = max(_ROI_SCALE * max(x1 - x0, y1 - y0) * region.side / _MESH_SIZE, _MIN_SIDE)
        dx, dy = (points[_RIGHT_EYE] - points[_LEFT_EYE]).tolist()
        score = 1 / (1 + math.exp(-min(max(logit, -80.0), 80.0)))
        return Mesh(points, (left, top, right, bottom), score, Square(x, y, side, math.atan2(dy, dx)))

    def invoke(self) -> None:
        """Run the network alone on whatever its input holds: what a benchmark compares with."""
        self._network.invoke()
