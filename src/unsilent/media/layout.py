"""Whether the pictures of a file can be copied as they are, and when they are shown."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unsilent.media.container import Damage, nominal_rate, open_media, packets, video_stream

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["PacketTimes", "packet_times"]

# Containers that can say which pictures are decoded but not shown.
_EDITED = frozenset({"mp4", "mov"})
# More pictures than any codec reorders; Matroska stores no decoding times, and FFmpeg leaves so many first ones open.
_MAX_REORDER = 32


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """When a stream's packets begin and how long they last."""

    start: int
    """Time of the first shown picture, in the stream's time base."""
    duration: float
    """Seconds from the first picture's beginning to the last one's end."""
    first_dts: tuple[int, ...]
    """Decoding times of the first packets, which the file leaves open, in the stream's time base."""


def packet_times(path: Path, container: str, reorders: bool) -> PacketTimes | None:
    """Return the times of a file's pictures, ``None`` where its packets cannot be copied and be shown as before.

    Args:
        path: the file to copy from.
        container: FFmpeg's name of the container to copy into.
        reorders: whether that container can hold pictures in another order than that of display.

    Raises:
        MediaError: the file cannot be read, or holds no video.
    """
    with open_media(path) as source:
        stream = video_stream(source, path)
        if source.format.name == "avi" and stream.codec_context.has_b_frames:
            return None
        rows = [row for packet in packets(source, stream, Damage(path, "video")) if (row := _row(packet)) is not None]
        return _times(stream, rows, container in _EDITED, reorders)


@dataclass(frozen=True, slots=True)
class _Row:
    pts: int | None
    dts: int | None
    duration: int
    hidden: bool
    corrupt: bool


def _row(packet: Packet[VideoStream]) -> _Row | None:
    if packet.size == 0:
        return None
    return _Row(packet.pts, packet.dts, packet.duration or 0, packet.is_discard, packet.is_corrupt)


def _times(stream: VideoStream, rows: list[_Row], edited: bool, reorders: bool) -> PacketTimes | None:
    if stream.time_base is None or any(row.corrupt or (row.hidden and not edited) for row in rows):
        return None
    period = max(1, round(1 / nominal_rate(stream) / stream.time_base))
    pts = [row.pts for row in rows if row.pts is not None]
    known = [row.dts for row in rows if row.dts is not None]
    count = len(rows) - len(known)
    if len(pts) < len(rows) or not known or count > _MAX_REORDER or any(row.dts is None for row in rows[count:]):
        return None
    early = tuple(known[0] - (count - index) * period for index in range(count))
    dts = [*early, *known]
    if any(after <= before for before, after in itertools.pairwise(dts)):
        return None
    if any(late > shown or (late != shown and not reorders) for late, shown in zip(dts, pts, strict=True)):
        return None
    shown = [(time, time + (row.duration or period)) for time, row in zip(pts, rows, strict=True) if not row.hidden]
    if not shown:
        return None
    start = min(shown)[0] if stream.start_time is None else stream.start_time
    duration = max(end for _, end in shown) - start
    return PacketTimes(start, float(duration * stream.time_base), early) if duration > 0 else None
