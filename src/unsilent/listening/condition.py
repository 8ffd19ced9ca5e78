"""A recording as it came, turned into pieces to train on: trimmed, cut, of one loudness; or refused, and why."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from unsilent.config import RecipeModel
from unsilent.listening.activity import ACTIVITY_RATE, frame_power, signal_to_noise, speech_activity, stretches
from unsilent.listening.bandwidth import measure_bandwidth
from unsilent.listening.loudness import active_level, normalise
from unsilent.listening.reading import ANALYSIS_RATE
from unsilent.media.audio import resample

__all__ = ["SAMPLE_RATE", "ConditionConfig", "Conditioned", "Piece", "Unfit", "condition"]

SAMPLE_RATE: Final = 24_000
_SILENCE: Final = 1e-4
_FADE: Final = 120
_PLATEAU: Final = 0.995
_SMOOTHING: Final = 9


class ConditionConfig(RecipeModel):
    """What becomes of a recording."""

    shortest: float = Field(1.0, gt=0)
    """Seconds; a shorter piece keeps silence around it, and is dropped where there is none."""
    longest: float = Field(12.0, gt=0)
    """Seconds; longer speech is cut at its pauses, else where it is softest."""
    pause: float = Field(0.5, ge=0)
    """Seconds that stay of a longer pause."""
    good_length: float = Field(4.0, gt=0)
    """Seconds from which on a long pause ends a piece instead of being shortened."""
    loudness: float | None = Field(-25.0, le=0)
    """Level of the speech, dB relative to full scale; None leaves the level as it is."""
    lowest_ratio: float = 10.0
    """Decibels of speech over noise below which a recording is dropped as noisy."""
    most_clipped: float = Field(1e-3, ge=0)
    """Share of samples at the recording's own peak above which it is dropped as clipped."""
    narrowest: float = Field(3000.0, ge=0)
    """Hz; a recording of less bandwidth is dropped."""


class Piece(NamedTuple):
    """One piece of a recording, at 24 kHz."""

    samples: NDArray[np.float32]
    """(n,), a multiple of nothing in particular."""
    start: float
    """Seconds into the recording."""


class Conditioned(NamedTuple):
    """What was made of a recording."""

    pieces: list[Piece]
    bandwidth: float
    """Hz."""
    ratio: float
    """Speech over noise in decibels."""
    clipped: float
    """Share of samples at the recording's peak."""


class Unfit(NamedTuple):
    """A recording that cannot be used: one of a few reasons, and what was measured."""

    reason: str
    detail: str


def condition(
    samples: NDArray[np.float32], config: ConditionConfig, band_limit: float = 24_000.0
) -> Conditioned | Unfit:
    """Trim, cut and level a recording, (n,) in [-1, 1] at :data:`ANALYSIS_RATE`.

    Args:
        samples: the recording.
        config: the rules.
        band_limit: half of the rate at which it was stored, in Hz; its bandwidth cannot be more.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < _SILENCE:
        return Unfit("silent", "the sound is silence")
    if len(samples) < config.shortest * ANALYSIS_RATE:
        return Unfit("too short", f"lasts {len(samples) / ANALYSIS_RATE:.2f} s, less than {config.shortest:g} s")
    clipped = float(np.mean(np.abs(samples) >= _PLATEAU * peak))
    if clipped > config.most_clipped:
        return Unfit("clipped", f"{100 * clipped:.2f} % of its samples are at its peak")
    sound = resample(samples, ANALYSIS_RATE, SAMPLE_RATE)
    power = frame_power(sound, SAMPLE_RATE)
    active = speech_activity(sound, SAMPLE_RATE, power)
    if not active.any():
        return Unfit("no speech", "no voice activity")
    ratio = signal_to_noise(power, active)
    if ratio < config.lowest_ratio:
        return Unfit("noisy", f"speech is {ratio:.1f} dB over noise, less than {config.lowest_ratio:g} dB")
    bandwidth = min(band_limit, measure_bandwidth(_active_part(samples, active), ANALYSIS_RATE))
    if bandwidth < config.narrowest:
        return Unfit("narrow band", f"nothing above {bandwidth:.0f} Hz, which is less than {config.narrowest:.0f} Hz")
    pieces = []
    for parts in plan_pieces(active, power, config):
        piece = _joined(sound, parts)
        if config.loudness is not None:
            frames = np.concatenate([np.arange(start, end) for start, end in parts])
            piece = normalise(piece, active_level(power[frames], active[frames]), config.loudness)
        pieces.append(Piece(piece, parts[0][0] / ACTIVITY_RATE))
    return Conditioned(pieces, bandwidth, ratio, clipped)


def plan_pieces(
    active: NDArray[np.bool_], power: NDArray[np.float64], config: ConditionConfig
) -> list[list[tuple[int, int]]]:
    """Which stretches of a recording, in frames of 10 ms, are joined into each piece.

    Pauses up to ``config.pause`` stay; of longer ones that much stays if the piece before them is not long enough to
    end there. No piece is longer than ``config.longest``, and none shorter than ``config.shortest``.

    Args:
        active: (n,) whether someone speaks.
        power: (n,) of every frame; speech without pauses is cut where it is least.
        config: the rules.
    """
    shortest, longest, pause, good = (
        round(ACTIVITY_RATE * value)
        for value in (config.shortest, config.longest, config.pause, min(config.good_length, config.longest))
    )
    pieces: list[list[tuple[int, int]]] = []
    current: list[tuple[int, int]] = []
    length = 0
    for start, end in _speech(active, power, longest):
        gap = start - current[-1][1] if current else 0
        joined = length + min(gap, pause) + end - start
        if current and (joined > longest or (gap > pause and length >= good)):
            pieces.append(current)
            current, length, gap = [], 0, 0
        if not current:
            current, length = [(start, end)], end - start
            continue
        length += min(gap, pause) + end - start
        current = _with_pause(current, start, end, gap, pause)
    if current:
        pieces.append(current)
    widened = (_widened(piece, len(active), shortest) for piece in pieces)
    return [piece for piece in widened if sum(end - start for start, end in piece) >= shortest]


def _speech(active: NDArray[np.bool_], power: NDArray[np.float64], longest: int) -> list[tuple[int, int]]:
    """The stretches of speech, those longer than ``longest`` cut where they are softest."""
    kernel = np.ones(_SMOOTHING) / _SMOOTHING
    found: list[tuple[int, int]] = []
    for start, end in stretches(active):
        while end - start > longest:
            soft = np.convolve(power[start + longest // 2 : start + longest], kernel, "same")
            cut = (
                start + longest // 2 + int(soft[_SMOOTHING:-_SMOOTHING].argmin()) + _SMOOTHING
                if len(soft) > 2 * _SMOOTHING
                else start + longest
            )
            found.append((start, cut))
            start = cut
        found.append((start, end))
    return found


def _with_pause(current: list[tuple[int, int]], start: int, end: int, gap: int, pause: int) -> list[tuple[int, int]]:
    first, last = current[-1]
    if gap <= pause:
        return [*current[:-1], (first, end)]
    before = pause // 2
    return [*current[:-1], (first, last + before), (start - (pause - before), end)]


def _widened(piece: list[tuple[int, int]], frames: int, shortest: int) -> list[tuple[int, int]]:
    """A piece that is too short, with what lies before and after it."""
    missing = shortest - sum(end - start for start, end in piece)
    if missing <= 0:
        return piece
    before = min(piece[0][0], missing // 2)
    after = min(frames - piece[-1][1], missing - before)
    before = min(piece[0][0], missing - after)
    first, last = piece[0], piece[-1]
    if len(piece) == 1:
        return [(first[0] - before, first[1] + after)]
    return [(first[0] - before, first[1]), *piece[1:-1], (last[0], last[1] + after)]


def _joined(sound: NDArray[np.float32], parts: list[tuple[int, int]]) -> NDArray[np.float32]:
    """The parts one after the other, each seam faded over 5 ms on both sides."""
    hop = SAMPLE_RATE // ACTIVITY_RATE
    cut = [sound[start * hop : end * hop].copy() for start, end in parts]
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
    for before, after in pairwise(cut):
        before[-_FADE:] *= ramp[::-1]
        after[:_FADE] *= ramp
    return np.concatenate(cut)


def _active_part(samples: NDArray[np.float32], active: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The samples, at the analysis rate, of the frames in which someone speaks, runs kept whole."""
    hop = ANALYSIS_RATE // ACTIVITY_RATE
    return np.concatenate([samples[start * hop : end * hop] for start, end in stretches(active)])
