"""The contact sheet: on one page, what the tracker saw in a video and what a model will see of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray

from unsilent.errors import FaceError
from unsilent.face.geometry import CROP_SIZE, LIPS, STABLE
from unsilent.face.mouth import FPS, MouthFrame, stream_mouth
from unsilent.files import atomic_path

__all__ = ["Inspection", "draw_sheet", "inspect_mouth"]

_VIEWS = 4
_CROPS = 48
_COLUMNS = 12
_WIDTH = 12.0  # inches
_DPI = 100

Item = TypeVar("Item")


@dataclass(frozen=True)
class Inspection:
    """What is known of a video of T frames after tracking; memory does not grow with T but by a few bytes a frame.

    Attributes:
        name: what to call the video.
        valid: (T,) bool, False where the face was lost.
        confidence: (T,) float32 in 0..1.
        aperture: (T,) float32, opening of the inner lips over the width of the mouth.
        scale: (T,) float32, crop pixels per source pixel; above 2 the mouth is small in the picture.
        crops: up to 96 crops (96, 96) uint8 with their frame numbers, evenly spaced.
        views: up to 8 source frames (H, W, 3) with their numbers and what was found in them, evenly spaced.
        faces: how many faces were seen.
        face: index of the chosen one, from left to right.
    """

    name: str
    valid: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    aperture: NDArray[np.float32]
    scale: NDArray[np.float32]
    crops: list[tuple[int, NDArray[np.uint8]]]
    views: list[tuple[int, NDArray[np.uint8], MouthFrame]]
    faces: int
    face: int

    def summary(self) -> dict[str, Any]:
        """Return the figures, without pictures, as plain numbers."""
        return {
            "name": self.name,
            "frames": len(self.valid),
            "seconds": len(self.valid) / FPS,
            "faces": self.faces,
            "face": self.face,
            "interpolated": int((~self.valid).sum()),
            "confidence": {"mean": float(self.confidence.mean()), "min": float(self.confidence.min())},
            "aperture": {"mean": float(self.aperture.mean()), "std": float(self.aperture.std())},
            "crop_pixels_per_source_pixel": float(np.median(self.scale)),
        }


class _Thinned(Generic[Item]):
    """Keeps evenly spaced items of a sequence whose length is not known: between ``keep`` and twice as many."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._step = 1
        self.items: dict[int, Item] = {}

    def offer(self, index: int, make: Callable[[], Item]) -> None:
        """Keep item ``index`` if it is due."""
        if index % self._step:
            return
        self.items[index] = make()
        if len(self.items) > 2 * self._keep:
            self._step *= 2
            self.items = {number: item for number, item in self.items.items() if number % self._step == 0}


def inspect_mouth(
    frames: Iterable[NDArray[np.uint8]],
    *,
    face: int | None = None,
    name: str = "video",
    advance: Callable[[], object] = lambda: None,
) -> Inspection:
    """Track a mouth as `track_mouth` does, and keep what a contact sheet shows.

    Args:
        frames: RGB frames (H, W, 3) uint8 at 25 frames a second.
        face: which face to follow, left to right from 0; None takes the one whose mouth moves most.
        name: what error messages and the sheet call the video.
        advance: called once a frame.

    Raises:
        FaceError: as `track_mouth`.
    """
    pictures: _Thinned[NDArray[np.uint8]] = _Thinned(_VIEWS)
    found: _Thinned[MouthFrame] = _Thinned(_VIEWS)
    crops: _Thinned[NDArray[np.uint8]] = _Thinned(_CROPS)

    def watched() -> Iterator[NDArray[np.uint8]]:
        for index, frame in enumerate(frames):
            pictures.offer(index, frame.copy)
            advance()
            yield frame

    rows: list[tuple[bool, float, float, float]] = []
    mouth = None
    for index, mouth in enumerate(stream_mouth(watched(), face=face, name=name)):
        found.offer(index, lambda mouth=mouth: mouth)  # type: ignore[misc]
        crops.offer(index, mouth.crop.copy)
        scale = float(np.hypot(mouth.transform[0, 0], mouth.transform[0, 1]))
        rows.append((mouth.valid, mouth.confidence, mouth.aperture, scale))
    if mouth is None:
        raise FaceError(f"{name}: holds no video frames; check the file")
    valid, confidence, aperture, scales = (np.array(column) for column in zip(*rows, strict=True))
    return Inspection(
        name,
        valid,
        confidence.astype(np.float32),
        aperture.astype(np.float32),
        scales.astype(np.float32),
        sorted(crops.items.items(), key=lambda item: item[0]),
        [(index, pictures.items[index], seen) for index, seen in found.items.items() if index in pictures.items],
        mouth.faces,
        mouth.face,
    )


def draw_sheet(inspection: Inspection, output: str | Path) -> None:
    """Draw the contact sheet of an inspection as a picture (PNG, or what the suffix says).

    Raises:
        OutputError: the file cannot be written.
    """
    views = _spread(inspection.views, _VIEWS)
    crops = _spread(inspection.crops, _CROPS)
    height, width = views[0][1].shape[:2]
    view_height = _WIDTH / len(views) * min(height / width, 2.0) + 0.3
    grid_rows = -(-len(crops) // _COLUMNS)
    grid_height = _WIDTH / _COLUMNS * grid_rows
    figure = Figure(figsize=(_WIDTH, view_height + grid_height + 2.6), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(3, 1, height_ratios=[view_height, grid_height, 2.6], squeeze=False)
    top, middle, bottom = parts[:, 0]
    for axes, (index, frame, mouth) in zip(np.atleast_1d(top.subplots(1, len(views))), views, strict=True):
        _draw_view(axes, index, frame, mouth)
    _draw_crops(middle.subplots(), crops, grid_rows)
    _draw_curves(bottom.subplots(), inspection)
    with atomic_path(output) as temporary:
        figure.savefig(temporary)


def _spread(items: list[Any], count: int) -> list[Any]:
    """Return ``count`` of the items, evenly spaced, or all where there are fewer."""
    if len(items) <= count:
        return items
    return [items[round(position)] for position in np.linspace(0, len(items) - 1, count)]


def _draw_view(axes: Axes, index: int, frame: NDArray[np.uint8], mouth: MouthFrame) -> None:
    axes.imshow(frame, cmap="gray")
    axes.set_title(f"frame {index}, confidence {mouth.confidence:.2f}", fontsize=8)
    axes.set_axis_off()
    if not mouth.transform.any():
        return
    x0, y0, x1, y1 = mouth.box.tolist()
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="tab:blue", linewidth=1))
    axes.add_patch(Polygon(_crop_outline(mouth), fill=False, edgecolor="tab:orange", linewidth=1.5))
    if mouth.landmarks is not None:
        axes.plot(*mouth.landmarks.T, ".", color="white", markersize=0.6)
        axes.plot(*mouth.landmarks[list(LIPS)].T, ".", color="tab:red", markersize=1.5)
        axes.plot(*mouth.landmarks[list(STABLE)].T, ".", color="tab:green", markersize=3)
    axes.set_xlim(-0.5, frame.shape[1] - 0.5)
    axes.set_ylim(frame.shape[0] - 0.5, -0.5)


def _crop_outline(mouth: MouthFrame) -> NDArray[np.float64]:
    """Return the crop's four corners (4, 2) in source pixels."""
    low, high = -0.5, CROP_SIZE - 0.5
    corners = np.array([[low, low], [high, low], [high, high], [low, high]])
    affine = mouth.transform.astype(np.float64)
    return np.asarray((corners - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T)


def _draw_crops(axes: Axes, crops: list[tuple[int, NDArray[np.uint8]]], rows: int) -> None:
    columns = min(_COLUMNS, len(crops))
    page = np.full((rows * CROP_SIZE, columns * CROP_SIZE), 255, dtype=np.uint8)
    for place, (index, crop) in enumerate(crops):
        y, x = place // columns * CROP_SIZE, place % columns * CROP_SIZE
        page[y : y + CROP_SIZE, x : x + CROP_SIZE] = crop
        axes.text(x + 3, y + 3, str(index), color="yellow", fontsize=6, va="top")
    axes.imshow(page, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()


def _draw_curves(axes: Axes, inspection: Inspection) -> None:
    seconds = np.arange(len(inspection.valid)) / FPS
    axes.plot(seconds, inspection.aperture, color="tab:red", linewidth=1, label="aperture (opening / width)")
    axes.plot(seconds, inspection.confidence, color="tab:blue", linewidth=1, label="confidence")
    if not inspection.valid.all():
        axes.fill_between(
            seconds, 0, 1, where=~inspection.valid, step="mid", color="tab:grey", alpha=0.4, label="face lost"
        )
    axes.set_ylim(-0.02, 1.05)
    axes.set_xlim(0, max(float(seconds[-1]), 1 / FPS))
    axes.set_xlabel("seconds")
    axes.legend(loc="center right", fontsize=7)
    lost = int((~inspection.valid).sum())
    title = (
        f"{inspection.name}: face {inspection.face} of {inspection.faces}, {len(inspection.valid)} frames, {lost} lost"
    )
    axes.set_title(title, fontsize=9, parse_math=False)
