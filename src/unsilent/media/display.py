"""How a stored picture becomes the displayed one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from unsilent.media.container import FFMPEG_ERRORS, MAX_SIDE, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from av.sidedata.sidedata import SideDataContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Converter", "Display"]


@dataclass(frozen=True, slots=True)
class Display:
    """How a stored picture becomes the displayed one: scale to square pixels, then transpose, then mirror."""

    width: int
    height: int
    """Size in pixels after scaling, before turning."""
    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False
    rotation: int = 0

    @classmethod
    def of(cls, frame: VideoFrame, stream: VideoStream) -> Display:
        """Read it from the sample aspect ratio of the stream and the display matrix of its first frame."""
        aspect = stream.sample_aspect_ratio
        width = frame.width
        if aspect and 0.125 <= aspect <= 8 and abs(aspect - 1) > 0.005:
            scaled = max(1, round(frame.width * aspect))
            width = scaled if scaled <= MAX_SIDE else width
        try:
            side_data = cast("SideDataContainer", frame.side_data)[SideDataType.DISPLAYMATRIX]
        except KeyError:
            return cls(width, frame.height)
        if side_data.buffer_size < 36:
            return cls(width, frame.height)
        # Row vectors times the matrix: x' = a x + c y, y' = b x + d y, with y downwards; 16.16 fixed point.
        a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(side_data), np.int32, 5))
        if not (a or b or c or d):
            return cls(width, frame.height)
        rotation = round(math.degrees(math.atan2(b, a)) / 90) * 90 % 360
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(width, frame.height, True, c < 0, b < 0, rotation)
        return cls(width, frame.height, False, a < 0, d < 0, rotation)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels as displayed."""
        return (self.height, self.width) if self.transpose else (self.width, self.height)

    def turn(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture of shape (height, width, ...) as displayed, in memory of its own."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        if self.mirror_x:
            picture = picture[:, ::-1]
        if self.mirror_y:
            picture = picture[::-1]
        return picture.copy(order="C")


class Converter:
    """Turns decoded frames of any pixel format into displayed RGB or luma pictures of one size.

    Args:
        display: how to scale and turn.
        grey: luma, full range, instead of RGB.
        path: for messages.
    """

    def __init__(self, display: Display, grey: bool, path: Path) -> None:
        self._display = display
        self._format = "gray" if grey else "rgb24"
        self._channels = 1 if grey else 3
        self._path = path
        # One for all frames: it keeps FFmpeg's scaler; a new one for each frame costs more than the conversion.
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return the displayed picture, (H, W, 3) or (H, W), uint8, in memory of its own.

        Raises:
            MediaError: FFmpeg cannot convert the frame's pixel format.
        """
        width, height = self._display.width, self._display.height
        try:
            # A second thread costs more than it gains at the sizes of talking heads.
            plane = self._reformatter.reformat(frame, width, height, self._format, threads=1).planes[0]
        except FFMPEG_ERRORS as error:
            raise refusal(
                self._path, f"its pixel format {frame.format.name} cannot be shown; convert it to H.264 in mp4"
            ) from error
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)[:, : width * self._channels]
        return self._display.turn(rows if self._channels == 1 else rows.reshape(height, width, 3))
