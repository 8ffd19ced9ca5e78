"""Following faces from frame to frame: the mesh keeps up, the detector is asked only where a face is missing.

With a stride, the mesh rests in the frames between while no face moves fast: speech does not move a head far in 40 ms,
and the smoothing that follows spans more.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from unsilent.face.geometry import Pose, measure
from unsilent.face.networks import Detection, FaceDetector, FaceMesh, Frame, Mesh, Square

__all__ = ["MAX_FACES", "FaceTracker", "Sighting", "TrackedFace", "search_regions"]

Box = tuple[float, float, float, float]

MAX_FACES = 4
_MIN_PRESENCE = 0.5
_SEARCH_EVERY = 12  # frames between searches for further faces
_LEVELS = 3
_MIN_TILE = 256.0  # pixels
_MIN_SHRINK = 0.8  # a level of tiles is worth while where it is this much finer than the one before
_PATIENCE = 25  # frames for which a lost face is looked for in every frame
_SAME_FACE = 0.4  # overlap from which two boxes are the same face
_KNOWN = 0.1  # overlap from which a find is a face that is followed already
_REACH = 1.5  # face widths a lost face may have moved at once
_REACH_GROWTH = 0.1  # and how much further for each frame it has been away
_CALM = 0.03  # of a face's width: what its centre and its width may change by in a frame


# Networks whose tracker is done. Every tracker has its own: they are not thread-safe.
_idle: deque[tuple[FaceDetector, FaceMesh]] = deque(maxlen=4)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one frame: its ``mesh``, its ``pose``."""

    mesh: Mesh
    pose: Pose


@dataclass(slots=True)
class TrackedFace:
    """A face under way: where and when it was first seen, where to look next (``region``), how often it was seen.

    ``sighting`` is what the newest frame shows, None where the face is lost, by now for ``away`` frames, or where it
    was not looked for (``resting``), which is so in the last ``passed`` frames; ``last`` is the newest sighting there
    was. A ``calm`` face hardly moves.
    """

    born: int
    born_x: float
    sighting: Sighting | None
    last: Sighting
    region: Square
    hits: int = 0
    away: int = 0
    calm: bool = False
    passed: int = 0

    @property
    def resting(self) -> bool:
        """Whether the newest frame was passed over while the face was in view."""
        return self.sighting is None and self.away == 0


class FaceTracker:
    """Follows up to four faces. ``update`` takes the RGB frames in order; ``faces`` holds the state of each face.

    A face's ``sighting`` is None in frames where it is lost. While ``searching`` is set, new faces are looked for
    every 12 frames; a lost face is looked for in every frame.

    Args:
        max_faces: how many faces to follow.
        stride: look at every ``stride``-th frame only, while all faces are in view and calm; a divisor of 12.

    Raises:
        ValueError: ``stride`` is none.
    """

    def __init__(self, max_faces: int = MAX_FACES, *, stride: int = 1) -> None:
        if stride < 1 or _SEARCH_EVERY % stride:
            raise ValueError(f"a stride of {stride}: give a divisor of {_SEARCH_EVERY}")
        try:
            self._networks = _idle.pop()
        except IndexError:
            self._networks = FaceDetector(), FaceMesh()
        self._detector, self._mesh = self._networks
        self._max_faces, self._stride = max_faces, stride
        self._index = 0
        self.faces: list[TrackedFace] = []
        self.searching = True

    def close(self) -> None:
        """Leave the networks to the next tracker, which then starts 15 ms sooner; this one must not be used again."""
        _idle.append(self._networks)

    def keep_only(self, face: TrackedFace) -> None:
        """Stop following every face but one, and stop looking for new ones."""
        self.faces = [face]
        self.searching = False

    def update(self, frame: Frame) -> None:
        """Find every face in the next RGB frame (H, W, 3), or let it pass."""
        if self._index % self._stride and self.faces and all(face.calm and not face.away for face in self.faces):
            for face in self.faces:
                face.sighting = None
                face.passed += 1
        else:
            self._find(frame)
        self._index += 1

    def _find(self, frame: Frame) -> None:
        for face in self.faces:
            face.sighting = self._look(frame, face.region) if face.away == 0 else None
        self._part_twins()
        self._search(frame)
        for face in self.faces:
            if face.sighting is None:
                face.away += 1
            else:
                steps = 1 + face.passed
                face.calm = face.hits > 0 and face.away == 0 and _is_calm(face.last, face.sighting, steps)
                face.away = face.passed = 0
                face.hits += 1
                face.last = face.sighting
                face.region = face.sighting.mesh.next_region

    def _look(self, frame: Frame, region: Square) -> Sighting | None:
        mesh = self._mesh(frame, region)
        if mesh.score < _MIN_PRESENCE:
            return None
        return Sighting(mesh, measure(mesh))

    def _part_twins(self) -> None:
        """Where two tracks have slid onto one face, the older keeps it."""
        seen: list[Sighting] = []
        for face in self.faces:
            if face.sighting is None:
                continue
            if any(_overlap(face.sighting.pose.box, other.pose.box) > _SAME_FACE for other in seen):
                face.sighting = None
            else:
                seen.append(face.sighting)

    def _search(self, frame: Frame) -> None:
        """Look where faces were lost; where none is in view, or it is time for further ones, look everywhere."""
        due = self._index % _SEARCH_EVERY == 0
        for face in self.faces:
            if face.sighting is None and (due or face.away < _PATIENCE):
                self._admit(frame, self._detector(frame, [_around(face.last.pose.box)]))
        levels = search_regions(*frame.shape[:2])
        if not any(face.sighting for face in self.faces):
            levels = levels if due else levels[:1]
        elif due and self.searching and len(self.faces) < self._max_faces:
            levels = [levels[self._index // _SEARCH_EVERY % len(levels)]]
        else:
            return
        for regions in levels:
            if self._admit(frame, self._detector(frame, regions)):
                return

    def _admit(self, frame: Frame, found: list[Detection]) -> bool:
        """Give finds that are no known face to lost faces within reach, then to new faces; say if any was taken."""
        taken = False
        for find in found:
            box = _box(find)
            if any(_overlap(box, face.sighting.pose.box) > _KNOWN for face in self.faces if face.sighting is not None):
                continue
            lost = self._nearest_lost(box)
            if lost is None and (not self.searching or len(self.faces) >= self._max_faces):
                continue
            sighting = self._look(frame, find.region())
            # A second look through the mesh's own region: the detector's is off by a few pixels.
            sighting = sighting and self._look(frame, sighting.mesh.next_region)
            if sighting is None:
                continue
            taken = True
            if lost is not None:
                lost.sighting = sighting
            else:
                x = (sighting.pose.box[0] + sighting.pose.box[2]) / 2
                self.faces.append(TrackedFace(self._index, x, sighting, sighting, sighting.mesh.next_region))
        return taken

    def _nearest_lost(self, box: Box) -> TrackedFace | None:
        """Return the lost face that a find may be: the nearest within reach, which grows while it is away."""
        x, y, _ = _middle(box)
        best, least = None, np.inf
        for face in self.faces:
            if face.sighting is not None:
                continue
            old_x, old_y, old_width = _middle(face.last.pose.box)
            distance = float(np.hypot(x - old_x, y - old_y)) / max(old_width, 1.0)
            if distance < min(least, _REACH + _REACH_GROWTH * face.away):
                best, least = face, distance
        return best


def search_regions(height: int, width: int) -> list[list[Square]]:
    """Return what to show the detector to find smaller and smaller faces: the whole frame, then overlapping tiles.

    The detector sees 128 x 128 pixels; a face narrower than a tenth of what it is shown escapes it. Tiles under 256
    pixels are left out: a mouth found there would be a few pixels wide.
    """
    levels = [[Square((width - 1) / 2, (height - 1) / 2, float(max(height, width)), 0.0)]]
    side = float(min(height, width))
    while len(levels) < _LEVELS and side >= _MIN_TILE:
        if side < _MIN_SHRINK * levels[-1][0].side:
            across, down = (_tile_centres(length, side) for length in (width, height))
            levels.append([Square(x, y, side, 0.0) for y in down for x in across])
        side /= 2
    return levels


def _tile_centres(length: int, side: float) -> list[float]:
    """Return the centres of tiles that cover ``length`` pixels and overlap by about half."""
    count = 1 + math.ceil((length - side) / (side / 2))
    return [float(value) - 0.5 for value in np.linspace(side / 2, length - side / 2, count)]


def _around(box: Box) -> Square:
    """Return the region in which to look for a face that was last seen at ``box``."""
    x, y, width = _middle(box)
    return Square(x, y, max(3 * max(width, box[3] - box[1]), 32.0), 0.0)


def _box(found: Detection) -> Box:
    x0, y0, x1, y1 = found.box.tolist()
    return x0, y0, x1, y1


def _middle(box: Box) -> tuple[float, float, float]:
    """Return the centre x, y and the width of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0]


def _is_calm(before: Sighting, now: Sighting, steps: int) -> bool:
    """Whether a face has hardly moved, and hardly changed its size, in ``steps`` frames."""
    (old_x, old_y, old_width), (x, y, width) = _middle(before.pose.box), _middle(now.pose.box)
    return max(math.hypot(x - old_x, y - old_y), abs(width - old_width)) < _CALM * steps * max(width, 1.0)


def _overlap(a: Box, b: Box) -> float:
    """Return the shared area of two boxes over the smaller one's."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return shared / max(smaller, 1e-9)
