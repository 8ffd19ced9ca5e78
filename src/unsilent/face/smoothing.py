"""Zero-phase smoothing of a face's pose with a bounded look-ahead, and bridging of short losses.

The position is smoothed over a few frames, against the mesh's jitter. The scale and the mouth's place in the face
are properties of a person and of the distance to the camera: they are smoothed over a second, so that neither an
opening mouth nor a nod changes the crop's scale or slides the crop along with the lips.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unsilent.face.geometry import Pose

__all__ = ["LIVE_LOOK_AHEAD", "LOOK_AHEAD", "MAX_BRIDGE", "PoseSmoother", "SmoothPose"]

MAX_BRIDGE = 12  # frames over which a loss is interpolated; a longer one holds the last pose first
_RADIUS = 12
_WIDTH = 2 * _RADIUS + 1
_VALUES = 12  # in a row: turn, origin, log size, offset, aperture, box
_SHORT_SIGMA = 1.5
_LONG_SIGMA = 8.0
LOOK_AHEAD = MAX_BRIDGE + _RADIUS
LIVE_LOOK_AHEAD = 1
"""Frames waited for where speech has to keep up with the video; a lost face is then held, not bridged."""

Row = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SmoothPose:
    """The smoothed pose of one frame: template ``factor``, mouth ``centre`` in the frame, ``aperture``, ``box``."""

    factor: complex
    centre: complex
    aperture: float
    box: tuple[float, float, float, float]


def _row(pose: Pose) -> Row:
    size = abs(pose.factor)
    turn = pose.factor / size if size else 1 + 0j
    values = (turn.real, turn.imag, pose.origin.real, pose.origin.imag)
    return np.array([*values, math.log(max(size, 1e-6)), pose.offset.real, pose.offset.imag, pose.aperture, *pose.box])


class PoseSmoother:
    """Takes one face's poses frame by frame (None where it was lost), gives them back smoothed and gapless.

    ``push`` answers for the frame ``look_ahead`` pushes ago (None while there is none such); ``finish`` gives the
    rest. An answer of ``None`` inside the sequence means that no pose is known near that frame: it lies before the
    face's first appearance by more than ``MAX_BRIDGE`` frames.

    Args:
        live: wait for ``LIVE_LOOK_AHEAD`` frames instead of ``LOOK_AHEAD``; the smoothing then is of the past, and of
            zero phase no more.
    """

    def __init__(self, *, live: bool = False) -> None:
        self._bridge, ahead = (0, LIVE_LOOK_AHEAD) if live else (MAX_BRIDGE, _RADIUS)
        self.look_ahead = self._bridge + ahead
        self._middle = _WIDTH - 1 - ahead
        offsets = np.arange(_WIDTH) - self._middle
        sigmas = np.array([[_SHORT_SIGMA], [_LONG_SIGMA]])
        self._weights = np.exp(-0.5 * (offsets / sigmas) ** 2)
        self._raw: deque[Row | None] = deque()
        self._rows = np.zeros((_WIDTH, _VALUES))
        self._known = np.zeros(_WIDTH, dtype=np.bool_)
        self._entered = 0
        self._last: Row | None = None
        self._pending = 0

    @property
    def ready(self) -> bool:
        """Whether the next ``push`` has a frame to answer for."""
        return self._pending >= self.look_ahead

    def push(self, pose: Pose | None) -> SmoothPose | None:
        """Add the next frame's pose; return that of ``look_ahead`` frames before if ``ready`` said so."""
        ready = self.ready
        self._raw.append(None if pose is None else _row(pose))
        self._pending += 1
        if len(self._raw) > self._bridge:
            self._fill()
        if not ready:
            return None
        self._pending -= 1
        return self._smooth()

    def finish(self) -> Iterator[SmoothPose | None]:
        """Give the answers for the last frames; call once, after the last ``push``."""
        for _ in range(self._pending):
            self._fill()
            while self._entered < _WIDTH - self._middle:
                self._fill()
            yield self._smooth()
        self._pending = 0

    def _fill(self) -> None:
        """Move the oldest raw pose into the window, interpolated to the next known one where it is missing."""
        row = self._bridged(self._raw.popleft()) if self._raw else None
        self._rows[:-1] = self._rows[1:]
        self._known[:-1] = self._known[1:]
        self._known[-1] = row is not None
        self._rows[-1] = 0.0 if row is None else row
        self._entered += 1

    def _bridged(self, row: Row | None) -> Row | None:
        if row is None:
            ahead = next(((step, later) for step, later in enumerate(self._raw, 2) if later is not None), None)
            if ahead is None:
                return self._last
            step, later = ahead
            row = later if self._last is None else self._last + (later - self._last) / step
        self._last = row
        return row

    def _smooth(self) -> SmoothPose | None:
        """Return the weighted mean of the window around its middle frame."""
        if not self._known[self._middle]:
            return None
        weights = self._weights if self._known.all() else self._weights * self._known
        means = weights @ self._rows[:, :7] / weights.sum(axis=1, keepdims=True)
        cos, sin, x, y = means[0, :4].tolist()
        size, right, down = means[1, 4:].tolist()
        turn = complex(cos, sin)
        factor = turn * math.exp(size) / max(abs(turn), 1e-9)
        aperture, x0, y0, x1, y1 = self._rows[self._middle, 7:].tolist()
        return SmoothPose(factor, complex(x, y) + factor * complex(right, down), aperture, (x0, y0, x1, y1))
