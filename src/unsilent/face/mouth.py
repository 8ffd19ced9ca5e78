"""From frames to mouth crops, as a stream with a bounded look-ahead and flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unsilent.errors import FaceError
from unsilent.face.geometry import CROP_SIZE, crop_mouth, crop_transform
from unsilent.face.networks import Frame
from unsilent.face.smoothing import PoseSmoother, SmoothPose
from unsilent.face.tracker import FaceTracker, TrackedFace
from unsilent.marks import part

__all__ = ["FPS", "MouthFrame", "MouthTrack", "stream_mouth", "track_mouth"]

FPS = 25

_SOLO_FRAMES = 2 * FPS  # a single face that moves its mouth is taken after this long
_SOLO_PATIENCE = 10 * FPS  # and one that does not, after this long
_DECIDE_FRAMES = 60 * FPS  # several faces are compared for this long
_SPEAKING = 0.015  # standard deviation of the aperture from which a mouth moves
_MIN_HITS = 3  # frames in which something must be a face to count as one


@dataclass(frozen=True, slots=True)
class MouthFrame:
    """The mouth in one frame; fields as in `MouthTrack`, one frame's worth.

    ``landmarks`` (468, 2) are the mesh's points in source pixels, None where the face was lost or not looked for.
    """

    crop: NDArray[np.uint8]
    valid: bool
    confidence: float
    aperture: float
    centre: NDArray[np.float32]
    transform: NDArray[np.float32]
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None
    faces: int
    face: int


@dataclass(frozen=True)
class MouthTrack:
    """The mouth of one speaker through a clip of T frames.

    Attributes:
        crops: (T, 96, 96) uint8 grey, the mouth's centre at the middle, the mouth about 48 pixels wide, upright.
        valid: (T,) bool, False where the face was lost and its place interpolated or held.
        confidence: (T,) float32 in 0..1, the mesh network's belief that it saw a face.
        aperture: (T,) float32, opening of the inner lips over the width of the mouth; about 0 (closed) to 1.
        centre: (T, 2) float32, the crop's middle in source pixels, x then y.
        transform: (T, 2, 3) float32, affine from source pixels to crop pixels (pixel centres at whole numbers).
        box: (T, 4) float32, the face in source pixels: x0, y0, x1, y1.
        faces: how many faces were seen.
        face: index of the chosen one, from left to right.
    """

    crops: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    aperture: NDArray[np.float32]
    centre: NDArray[np.float32]
    transform: NDArray[np.float32]
    box: NDArray[np.float32]
    faces: int
    face: int

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def interpolated(self) -> int:
        """How many frames the face was lost in."""
        return int((~self.valid).sum())

    @classmethod
    def of(cls, mouths: Sequence[MouthFrame]) -> MouthTrack:
        """Collect the frames of one clip, at least one."""
        return cls(
            crops=np.stack([mouth.crop for mouth in mouths]),
            valid=np.array([mouth.valid for mouth in mouths]),
            confidence=np.array([mouth.confidence for mouth in mouths], dtype=np.float32),
            aperture=np.array([mouth.aperture for mouth in mouths], dtype=np.float32),
            centre=np.stack([mouth.centre for mouth in mouths]),
            transform=np.stack([mouth.transform for mouth in mouths]),
            box=np.stack([mouth.box for mouth in mouths]),
            faces=mouths[-1].faces,
            face=mouths[-1].face,
        )


def track_mouth(
    frames: Iterable[NDArray[np.uint8]],
    *,
    face: int | None = None,
    name: str = "video",
    live: bool = False,
    stride: int = 1,
) -> MouthTrack:
    """Find, follow and cut out the mouth of the one who speaks.

    Args:
        frames: RGB frames (H, W, 3) uint8 at 25 frames a second, all of one size.
        face: which face to follow, counted from 0 left to right as they first appear; None takes the one whose
            mouth moves most in the first minute.
        name: what error messages call the video.
        live: as for `stream_mouth`.
        stride: as for `stream_mouth`.

    Raises:
        FaceError: there is no frame, no face, no face of that number, or the face is in under half of the frames.
    """
    mouths = list(stream_mouth(frames, face=face, name=name, live=live, stride=stride))
    return MouthTrack.of(mouths)


def stream_mouth(
    frames: Iterable[NDArray[np.uint8]],
    *,
    face: int | None = None,
    name: str = "video",
    live: bool = False,
    stride: int = 1,
) -> Iterator[MouthFrame]:
    """Yield one `MouthFrame` a frame: the same results as `track_mouth`, without holding the video.

    At most 24 frames (grey) are held at a time. The first result comes once the face is chosen: after 2 s where there
    is a single face that moves its mouth, after 10 s if it does not move, and after at most a minute of several faces
    (of which only the crops are held). That a face is in too few frames is known, and raised, only at the end.

    With ``live`` a result comes one frame after its own (`LIVE_LOOK_AHEAD`), for video that is just being recorded: the
    largest face of the first frames is taken, its place is smoothed over the past, and where it is lost its last place
    is held.

    A ``stride`` of 2 looks at every other frame only, while the face is calm, and takes its place between from both
    neighbours: two thirds faster. Crops move by a fraction of a pixel; the aperture is interpolated, too, and loses
    the shortest closures. Not with ``live``, where nothing is waited for.

    Raises:
        FaceError: as `track_mouth`.
    """
    if face is not None and face < 0:
        raise FaceError(f"{name}: there is no face {face}; faces are counted from 0, left to right")
    tracker = FaceTracker(stride=1 if live else stride)
    stream = _Stream(name, face, tracker, live=live)
    try:
        for frame in frames:
            yield from stream.push(frame)
        yield from stream.finish()
    finally:
        tracker.close()


class _Seen(NamedTuple):
    """What a frame says about a face; the defaults are those of a lost one."""

    valid: bool = False
    confidence: float = 0.0
    landmarks: NDArray[np.float32] | None = None


@dataclass(slots=True)
class _Lane:
    """One face on its way from the tracker to its crops."""

    tracked: TrackedFace
    start: int  # frame of the first answer of the smoother
    smoother: PoseSmoother
    seen: deque[_Seen] = field(default_factory=deque)
    held: list[MouthFrame] = field(default_factory=list)
    apertures: list[float] = field(default_factory=list)

    def size(self) -> float:
        """Height of the face where it was seen last, in pixels."""
        _, top, _, bottom = self.tracked.last.mesh.box
        return bottom - top

    def movement(self) -> float:
        """How much the mouth opens and closes: the spread of its aperture over all frames it was seen in."""
        return float(np.std(self.apertures)) * len(self.apertures) ** 0.5 if self.apertures else 0.0


class _Stream:
    """The state of one `stream_mouth`."""

    def __init__(self, name: str, face: int | None, tracker: FaceTracker, *, live: bool) -> None:
        self._live, self._look_ahead = live, PoseSmoother(live=live).look_ahead
        self._name = name
        self._wanted = face
        self._tracker = tracker
        self._lanes: list[_Lane] = []
        self._greys: deque[Frame] = deque()
        self._count = 0
        self._chosen: _Lane | None = None
        self._faces = 0
        self._face = 0
        self._valid = 0

    def push(self, frame: Frame) -> Iterator[MouthFrame]:
        """Take the next frame; give what is certain by now."""
        rgb, grey = _as_rgb_and_grey(frame, self._name)
        self._tracker.update(rgb)
        self._greys.append(grey)
        self._open_lanes()
        for lane in self._lanes:
            sighting = lane.tracked.sighting
            if sighting is not None and self._chosen is None:
                lane.apertures.append(sighting.pose.aperture)
            lane.seen.append(_seen(lane.tracked))
            ready = lane.smoother.ready
            pose = lane.smoother.push(None if sighting is None else sighting.pose)
            if ready:
                lane.held.append(self._cut(lane, pose, self._greys[0]))
        self._count += 1
        if len(self._greys) > self._look_ahead:
            self._greys.popleft()
        if self._chosen is None:
            self._decide()
        yield from self._release()

    def finish(self) -> Iterator[MouthFrame]:
        """Give the rest, or raise what is wrong with the whole."""
        if self._count == 0:
            raise FaceError(f"{self._name}: holds no video frames; check the file and the time range")
        if self._chosen is None:
            self._choose(final=True)
        lane = self._chosen
        assert lane is not None
        for pose, grey in zip(lane.smoother.finish(), self._greys, strict=True):
            lane.held.append(self._cut(lane, pose, grey))
        yield from self._release()
        if self._valid * 2 < self._count:
            raise FaceError(
                f"{self._name}: a face in only {self._valid} of {self._count} frames; "
                "cut the video to where the speaker is in view"
            )

    def _open_lanes(self) -> None:
        """Give every new face a lane that reaches back over the frames still held."""
        for tracked in self._tracker.faces[len(self._lanes) :] if self._chosen is None else ():
            back = len(self._greys) - 1
            lane = _Lane(tracked, self._count - back, PoseSmoother(live=self._live))
            for _ in range(back):
                lane.smoother.push(None)
                lane.seen.append(_Seen())
            self._lanes.append(lane)

    def _cut(self, lane: _Lane, pose: SmoothPose | None, grey: Frame) -> MouthFrame:
        seen = lane.seen.popleft()
        if pose is None:
            return _blank()
        to_frame = crop_transform(pose.factor, pose.centre)
        with part("crop"):
            crop = crop_mouth(grey, to_frame)
        return MouthFrame(
            crop=crop,
            valid=seen.valid,
            confidence=seen.confidence,
            aperture=pose.aperture,
            centre=np.array([pose.centre.real, pose.centre.imag], dtype=np.float32),
            transform=cv2.invertAffineTransform(to_frame).astype(np.float32),
            box=np.array(pose.box, dtype=np.float32),
            landmarks=seen.landmarks,
            faces=0,
            face=0,
        )

    def _decide(self) -> None:
        """Choose the face as soon as the choice is safe."""
        if not self._lanes:
            return
        age = self._count - self._lanes[0].tracked.born
        if age < _SOLO_FRAMES and not self._live:
            return
        lanes = self._confirmed()
        if self._live:
            settled = bool(lanes) and (self._wanted is None or self._wanted < len(lanes))
        elif self._wanted is not None:
            settled = self._wanted < len(lanes)
        elif len(lanes) == 1 and all(lane is lanes[0] or lane.tracked.away for lane in self._lanes):
            settled = age >= _SOLO_PATIENCE or float(np.std(lanes[0].apertures)) > _SPEAKING
        else:
            settled = False
        if settled or age >= _DECIDE_FRAMES:
            self._choose(final=False)

    def _confirmed(self) -> list[_Lane]:
        """Return the lanes that are faces: those of the first two seconds left to right, then later arrivals."""
        lanes = [lane for lane in self._lanes if lane.tracked.hits >= _MIN_HITS]
        if not self._lanes:
            return lanes
        first = self._lanes[0].tracked.born
        return sorted(lanes, key=lambda lane: _order(lane.tracked, first))

    def _choose(self, *, final: bool) -> None:
        lanes = self._confirmed() or (self._lanes if final else [])
        if not lanes:
            if final:
                raise FaceError(
                    f"{self._name}: no face found in {self._count} frames; "
                    "the speaker must face the camera, upright and large enough"
                )
            return
        self._faces = len(lanes)
        if self._wanted is None:
            measure = _Lane.size if self._live else _Lane.movement
            self._face = int(np.argmax([measure(lane) for lane in lanes]))
        elif self._wanted < len(lanes):
            self._face = self._wanted
        else:
            seen = "1 face, number 0" if len(lanes) == 1 else f"{len(lanes)} faces, numbers 0 to {len(lanes) - 1}"
            raise FaceError(f"{self._name}: there is no face {self._wanted}; it shows {seen} (left to right)")
        self._chosen = lanes[self._face]
        self._lanes = [self._chosen]
        self._chosen.apertures.clear()
        self._tracker.keep_only(self._chosen.tracked)
        self._chosen.held[:0] = [_blank()] * self._chosen.start

    def _release(self) -> Iterator[MouthFrame]:
        if self._chosen is None:
            return
        held, self._chosen.held = self._chosen.held, []
        for mouth in held:
            self._valid += mouth.valid
            yield _numbered(mouth, self._faces, self._face)


def _seen(tracked: TrackedFace) -> _Seen:
    if tracked.sighting is None:
        return _Seen(True, tracked.last.mesh.score) if tracked.resting else _Seen()
    return _Seen(True, tracked.sighting.mesh.score, tracked.sighting.mesh.points)


def _order(tracked: TrackedFace, first: int) -> tuple[int, float]:
    early = tracked.born - first < _SOLO_FRAMES
    return (0 if early else tracked.born, tracked.born_x)


def _blank() -> MouthFrame:
    """Return what stands for a frame long before the face first appears: black, not valid."""
    return MouthFrame(
        crop=np.zeros((CROP_SIZE, CROP_SIZE), dtype=np.uint8),
        valid=False,
        confidence=0.0,
        aperture=0.0,
        centre=np.zeros(2, dtype=np.float32),
        transform=np.zeros((2, 3), dtype=np.float32),
        box=np.zeros(4, dtype=np.float32),
        landmarks=None,
        faces=0,
        face=0,
    )


def _numbered(mouth: MouthFrame, faces: int, face: int) -> MouthFrame:
    return replace(mouth, faces=faces, face=face)


def _as_rgb_and_grey(frame: Frame, name: str) -> tuple[Frame, Frame]:
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] != 3):
        raise FaceError(f"{name}: frames must be RGB (H, W, 3) uint8, not {frame.dtype} {frame.shape}")
    if frame.ndim == 2:
        return cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB), frame  # type: ignore[return-value]
    return frame, cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]
