"""How far generated speech is out of step with the real one, and moving it there.

Many corpora have pictures and sound out of step, by another amount in every clip: speech in step with the picture is
then out of step with the recording, and metrics of short frames punish it. So the offset is reported beside them, and
the metrics once more after it is taken out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.features import MelConfig, log_mel

__all__ = ["MAX_OFFSET", "move", "offset"]

MAX_OFFSET: Final = 0.15
"""Largest offset looked for, in seconds."""
_STILL: Final = 1e-3
"""Standard deviation of a log-mel below which nothing happens in it."""


def offset(reference: NDArray[np.float32], degraded: NDArray[np.float32]) -> float:
    """Seconds by which ``degraded`` has to be moved later to fit ``reference`` best.

    The lag that maximises the correlation of the two log-mel spectrograms over all bands, refined by a parabola through
    its neighbours.

    Args:
        reference: (n,) at 24 kHz.
        degraded: (n,), of the same length.

    Returns:
        Seconds in ±`MAX_OFFSET`.

    Raises:
        EvaluationError: they are too short to tell (under .6 s), or one of them never changes (silence).
    """
    config = MelConfig()
    with torch.inference_mode():
        true, mine = (
            log_mel(torch.from_numpy(np.array(x, np.float32))[None], config)[0] for x in (reference, degraded)
        )
    reach = round(MAX_OFFSET * config.sample_rate / config.hop_length)
    width = mine.shape[1] - 2 * reach
    if width < 2 * reach:
        shortest = 4 * reach * config.hop_length / config.sample_rate
        raise EvaluationError(
            f"the signals are too short to find their offset ({len(reference) / config.sample_rate:.2f} s, "
            f"{shortest:.1f} s are needed)"
        )
    if min(float(true.std()), float(mine.std())) < _STILL:
        raise EvaluationError("one of the signals never changes, so there is no offset to find")
    centre = _standard(mine[:, reach : reach + width])
    scores = np.array(
        [
            float((centre * _standard(true[:, reach + lag : reach + lag + width])).mean())
            for lag in range(-reach, reach + 1)
        ]
    )
    best = int(scores.argmax())
    lag = float(best - reach)
    if 0 < best < 2 * reach:
        before, at, after = scores[best - 1 : best + 2]
        curvature = before - 2 * at + after
        lag += 0.5 * float(before - after) / float(curvature) if curvature < 0 else 0.0
    return lag * config.hop_length / config.sample_rate


def _standard(mel: torch.Tensor) -> torch.Tensor:
    centred = mel - mel.mean()
    return centred / centred.std().clamp(min=1e-6)


def move(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Samples (n,) moved ``count`` later, or earlier if negative, filled with silence; the length stays."""
    moved = np.zeros_like(samples)
    if abs(count) < len(samples):
        source = samples[max(0, -count) : len(samples) - max(0, count)]
        moved[max(0, count) : max(0, count) + len(source)] = source
    return moved
