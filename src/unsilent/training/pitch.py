"""Pitch of the true sound, for decoders that are to learn it: the autocorrelation of Boersma 1993.

Shapes: B batch, N samples, M frames.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["autocorrelation_pitch", "fill_pitch", "pitch_l1"]

PERIODS = 3
"""Of the lowest pitch that the window holds."""
OCTAVE_COST = 0.02
"""Of autocorrelation, that every octave down must be worth: any multiple of a period fits as well."""
PERIODIC = 0.6
"""Autocorrelation from which on a frame counts as voiced."""
SILENT = 0.03
"""Of a recording's loudest frame; below it nothing is voiced."""
SOFT = 2_000.0
"""Hz."""
NEIGHBOUR = 0.2
"""Log-pitch to either neighbour beyond which a voiced frame is taken for an error."""


@torch.no_grad()
def autocorrelation_pitch(
    samples: Tensor, hop_length: int, sample_rate: int, lowest: float = 60.0, highest: float = 500.0
) -> Tensor:
    """Pitch of every frame in Hz, 0 where there is none.

    The autocorrelation of a windowed frame, divided by that of the window, peaks at the period (Boersma 1993, "Accurate
    short-term analysis of the fundamental frequency", equations 7 to 9 and 24). No path is sought through the frames:
    a frame that agrees with neither neighbour is left out.

    Args:
        samples: (B, N), N a multiple of ``hop_length``.
        hop_length: samples a frame; frame m is centred on sample ``(m + 1/2) hop_length``.
        sample_rate: Hz.
        lowest: Hz.
        highest: Hz.

    Returns:
        (B, N // hop_length).
    """
    length = int(PERIODS * sample_rate / lowest) // 2 * 2
    side = (length - hop_length) // 2
    frames = functional.pad(samples.float(), (side, length - hop_length - side)).unfold(1, length, hop_length)
    frames = frames - frames.mean(2, keepdim=True)
    window = torch.hann_window(length, device=samples.device)
    points = 1 << (length + int(sample_rate / lowest)).bit_length()
    alike = _autocorrelation(frames * window, points, sample_rate)
    ideal = _autocorrelation(window, points, sample_rate)
    first, last = int(sample_rate / highest), int(sample_rate / lowest) + 1
    scaled = alike[..., first - 1 : last + 2] / alike[..., :1].clamp(min=1e-9) / ideal[first - 1 : last + 2] * ideal[0]
    lags = torch.arange(first, last + 1, device=samples.device)
    peaks = scaled[..., 1:-1]
    is_peak = (peaks >= scaled[..., :-2]) & (peaks > scaled[..., 2:])
    worth = peaks - OCTAVE_COST * torch.log2(lags * (lowest / sample_rate))
    best = torch.where(is_peak, worth, torch.full_like(worth, -torch.inf)).argmax(2, keepdim=True)
    strength = peaks.gather(2, best)[..., 0]
    left, right = (scaled.gather(2, best + shift)[..., 0] for shift in (0, 2))
    # The top of the parabola through the peak and its neighbours.
    bend = (2 * strength - left - right).clamp(min=1e-6)
    period = lags[best[..., 0]] + (0.5 * (right - left) / bend).clamp(-0.5, 0.5)
    loud = frames.abs().amax(2)
    voiced = (strength > PERIODIC) & (loud > SILENT * loud.amax(1, keepdim=True)) & is_peak.any(2)
    pitch = torch.where(voiced, sample_rate / period, torch.zeros_like(period))
    return torch.where(_agrees(pitch), pitch, torch.zeros_like(pitch))


def fill_pitch(pitch: Tensor) -> Tensor:
    """Bridge what has no pitch between frames that have one, on a logarithmic scale; before and after, it is held.

    Args:
        pitch: (B, M) Hz, 0 where there is none.

    Returns:
        (B, M) Hz, 0 throughout for an item without any.
    """
    place = torch.arange(pitch.shape[1], device=pitch.device).expand_as(pitch)
    there = pitch > 0
    before = torch.where(there, place, torch.full_like(place, -1)).cummax(1).values
    after = torch.where(there, place, torch.full_like(place, pitch.shape[1])).flip(1).cummin(1).values.flip(1)
    before, after = (
        torch.where(before < 0, after, before),
        torch.where(after >= pitch.shape[1], before, after),
    )
    none = ~there.any(1, keepdim=True)
    before, after = before.clamp(0, pitch.shape[1] - 1), after.clamp(0, pitch.shape[1] - 1)
    log = pitch.clamp(min=1e-3).log()
    share = (place - before) / (after - before).clamp(min=1)
    filled = torch.exp(log.gather(1, before) * (1 - share) + log.gather(1, after) * share)
    return torch.where(none, torch.zeros_like(filled), filled)


def pitch_l1(made: Tensor, true: Tensor, mean: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Mean absolute difference of the logarithm of pitches (B, M), where the true one is above 0."""
    voiced = true > 0
    difference = (made.log() - true.clamp(min=1.0).log()).abs() * voiced
    return mean(difference.sum(), voiced.sum())


def _autocorrelation(frames: Tensor, points: int, sample_rate: int) -> Tensor:
    """Of what is below about `SOFT`: a sharper peak would lie between two lags, and a multiple of it nearer to one."""
    hertz = torch.fft.rfftfreq(points, 1 / sample_rate, device=frames.device)
    spectrum = torch.fft.rfft(frames, points)
    power = (spectrum.real.square() + spectrum.imag.square()) * torch.exp(-(hertz / SOFT).square())
    alike: Tensor = torch.fft.irfft(power, points)
    return alike


def _agrees(pitch: Tensor) -> Tensor:
    log = pitch.clamp(min=1e-3).log()
    step = (log[:, 1:] - log[:, :-1]).abs() < NEIGHBOUR
    return functional.pad(step, (1, 0)) | functional.pad(step, (0, 1))
