"""Long clips in overlapping windows: the same model, flat memory, no seams.

Shapes: F mel bands, S crop side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["WindowPlan", "windowed_mel", "windowed_samples"]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class WindowPlan:
    """How a long clip is cut, in video frames."""

    core: int = 500
    """Frames that a window contributes. A clip that fits into a core and its context is done in one piece."""
    context: int = 50
    """Frames on either side that the model sees but whose output is dropped."""
    fade: int = 10
    """Frames over which one window's output passes into the next one's."""

    def __post_init__(self) -> None:
        if not 0 < self.fade <= self.context or self.core < 2 * self.context:
            raise ValueError("0 < fade <= context <= core / 2 must hold")


def windowed_mel(
    crops: Iterable[NDArray[np.uint8]],
    model: Callable[[NDArray[np.uint8]], Array],
    plan: WindowPlan,
    mels_per_frame: int,
) -> Iterator[Array]:
    """Run a crops-to-mel model over a stream of crops.

    Args:
        crops: (S, S) mouth crops in order.
        model: (T, S, S) crops to (F, T * mels_per_frame) mel.
        plan: window sizes.
        mels_per_frame: mel frames a video frame.

    Yields:
        (F, n) pieces that follow one another without a gap, n a multiple of ``mels_per_frame``.
    """
    buffer: list[NDArray[np.uint8]] = []
    before = 0  # frames of context at the buffer's start
    tail: Array | None = None  # the last window's view of the first frames of this one

    def finish(mel: Array, first: int) -> Array:
        out = mel[:, first * mels_per_frame :].copy()
        if tail is not None:
            ramp = np.linspace(0, 1, tail.shape[1], dtype=np.float32)
            width = min(tail.shape[1], out.shape[1])
            out[:, :width] = tail[:, :width] * (1 - ramp[:width]) + out[:, :width] * ramp[:width]
        return out

    for crop in crops:
        buffer.append(crop)
        # One frame more than a whole window: only then is it sure that another window follows.
        if len(buffer) > before + plan.core + 2 * plan.context:
            end = before + plan.core
            mel = model(np.stack(buffer[: end + plan.context]))
            yield finish(mel[:, : end * mels_per_frame], before)
            tail = mel[:, end * mels_per_frame : (end + plan.fade) * mels_per_frame]
            buffer = buffer[end - plan.context :]
            before = plan.context
    if buffer:
        yield finish(model(np.stack(buffer)), before)


def windowed_samples(
    mels: Iterable[Array], vocoder: Callable[[Array], Array], hop_length: int, context: int
) -> Iterator[Array]:
    """Run a vocoder over pieces of mel, with ``context`` mel frames on either side that cover its receptive field.

    Args:
        mels: (F, n) pieces in order.
        vocoder: (F, M) mel to (M * hop_length,) samples.
        hop_length: samples a mel frame.
        context: mel frames on either side whose samples are dropped.

    Yields:
        Samples that follow one another without a gap; equal to those of one pass over the whole mel.
    """
    pending: Array | None = None
    before = 0
    for piece in mels:
        pending = piece if pending is None else np.concatenate((pending, piece), axis=1)
        ready = pending.shape[1] - context
        if ready - before > context:
            samples = vocoder(pending)
            yield samples[before * hop_length : ready * hop_length]
            keep = max(0, ready - context)
            pending, before = pending[:, keep:], ready - keep
    if pending is not None and pending.shape[1] > before:
        yield vocoder(pending)[before * hop_length :]
