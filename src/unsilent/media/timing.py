"""From a file's own frame times to a constant frame rate. Pure functions, no FFmpeg."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from unsilent.media.container import MAX_GAP

__all__ = ["Timed", "Timeline", "constant_rate"]

T = TypeVar("T")

# Longest run of frames held back to spread over the time up to the next good timestamp; bounds memory.
_MAX_RUN = 8
# A step back of more than this is a restarted clock (files joined end to end), not frames out of order.
_MAX_STEP_BACK = 1.0
# Half a tick, less rounding of the timestamps themselves (Matroska: 1 ms; MPEG: 11 us), so that ties go forward.
_TIE = 1e-6


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """A frame, when it is shown (``None``: the file does not say) and for how long, in seconds (0: not known)."""

    time: float | None
    duration: float
    item: T


class Timeline:
    """Makes the times of a stream's frames strictly increasing.

    A missing, repeated or backward time is replaced: a run of such frames is spread evenly over the time up to the
    next good one, or follows at the nominal rate where no good one comes. A jump forward by more than ``MAX_GAP`` or
    back by more than a second restarts the clock there, at the nominal distance.

    Args:
        period: nominal seconds between two frames.
        origin: time at which the first frame is expected, seconds.

    Attributes:
        end: when the last frame so far ends, seconds.
        replaced: how many times that the file gives were not believed.
    """

    def __init__(self, period: float, origin: float = 0.0) -> None:
        self.period = period
        self.replaced = 0
        self.end = origin
        self._last = origin - period
        self._offset = 0.0

    def __call__(self, frames: Iterable[Timed[T]]) -> Iterator[tuple[float, T]]:
        """Yield (time in seconds, frame), times strictly increasing; ``end`` then is when the last one ends."""
        run: list[Timed[T]] = []
        first = True
        for frame in frames:
            time = self._rebased(frame.time, first)
            if time is None or (not first and time <= self._last):
                run.append(frame)
                if len(run) >= _MAX_RUN:
                    yield from self._spread(run, None)
                    run = []
                first = False
                continue
            yield from self._spread(run, time)
            run = []
            first = False
            yield self._place(time, frame)
        yield from self._spread(run, None)

    def _rebased(self, time: float | None, first: bool) -> float | None:
        if time is None or not math.isfinite(time):
            return None
        time -= self._offset
        expected = self._last + self.period
        step_back = MAX_GAP if first else _MAX_STEP_BACK
        if time - self._last > MAX_GAP or time < self._last - step_back:
            self.replaced += 1
            self._offset += time - expected
            return expected
        return time

    def _spread(self, run: list[Timed[T]], until: float | None) -> Iterator[tuple[float, T]]:
        if not run:
            return
        self.replaced += sum(frame.time is not None for frame in run)
        step = self.period if until is None else (until - self._last) / (len(run) + 1)
        for frame in run:
            yield self._place(self._last + step, frame)

    def _place(self, time: float, frame: Timed[T]) -> tuple[float, T]:
        self._last = time
        self.end = time + (frame.duration if 0 < frame.duration <= MAX_GAP else self.period)
        return time, frame.item


def constant_rate(
    frames: Iterable[tuple[float, T]], fps: float, timeline: Timeline, first: int = 0, last: int | None = None
) -> Iterator[tuple[T, int]]:
    """Resample timed frames to ticks ``first <= k < last`` of a constant rate.

    Each frame's time is rounded to the nearest tick ``k / fps`` (ties forward), which keeps the mean error at zero
    and lets a clip of that rate pass frame for frame in spite of rounded timestamps. The last frame to land on a tick
    wins; a tick on which none lands repeats the one before it. Ticks before the first frame show the first frame. The
    number of ticks of the whole stream is ``round(duration * fps)``, at least 1. (The rule of FFmpeg's ``fps`` filter.)

    Yields:
        (frame, how many ticks in a row it fills); frames that fill none are not yielded.
    """
    held: T | None = None
    position = first
    for time, item in frames:
        tick = math.floor(time * fps + 0.5 + _TIE)
        if last is not None:
            tick = min(tick, last)
        if held is not None and tick > position:
            yield held, tick - position
            position = tick
        held = item
        if last is not None and position >= last:
            return
    # Rounded twice: 1.7000000000000002 s at 25 fps is a tie, 42.5, not more.
    total = max(1, round(round(timeline.end * fps, 6)))
    stop = total if last is None else min(total, last)
    if held is not None and stop > position:
        yield held, stop - position
