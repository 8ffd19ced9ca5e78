"""How far picture and sound of a corpus are out of step, and what that costs a time-sensitive metric.

    python benchmarks/sync.py runs/shards/grid --split s1-val

For every clip: the lag that maximises the correlation of the mel that a model predicts with the true one; the lag of
the lips' opening against the sound's energy, which no model is part of; and ESTOI before and after the speech is moved
by the first lag. If both lags agree from clip to clip, it is the recordings that are out of step, not the model. Needs
the ``eval`` extra.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pystoi import stoi
from scipy.ndimage import gaussian_filter1d

from unsilent.shards import ClipRow, ShardReader
from unsilent.synthesis import Synthesizer, load

REACH, MARGIN = 12, 20
"""Mel frames (10 ms): the largest lag looked for, and what is left out at either end."""
CONFIDENT = 0.5
"""Correlation from which the lag of the lips against the sound's energy is believed."""
Array = NDArray[np.float32]


def best_lag(mine: Array, true: Array) -> tuple[float, float]:
    """Lag of ``true`` behind ``mine``, (..., M) both, in mel frames with a parabola's fraction, and its correlation."""
    width = min(mine.shape[-1], true.shape[-1])
    centre = mine[..., MARGIN : width - MARGIN].ravel()
    scores = np.array(
        [
            np.corrcoef(centre, true[..., MARGIN + lag : width - MARGIN + lag].ravel())[0, 1]
            for lag in range(-REACH, REACH + 1)
        ]
    )
    best = int(np.argmax(scores))
    lag = float(best - REACH)
    if 0 < best < 2 * REACH:
        before, at, after = scores[best - 1 : best + 2]
        lag += 0.5 * float(before - after) / float(before - 2 * at + after)
    return lag, float(scores[best])


def lip_lag(row: ClipRow, mel: Array) -> tuple[float, float]:
    """Lag of the sound's energy behind the lips' opening, by the changes of both, and its correlation."""
    frames = np.arange(mel.shape[1]) / 4 - 0.375  # the middle of a mel frame in video frames
    opening = np.interp(frames, np.arange(row.frames), row.aperture)
    energy = gaussian_filter1d(mel[5:40].mean(0), 2)
    moves = np.diff(gaussian_filter1d(opening, 3))
    return best_lag(moves.astype(np.float32), np.diff(energy).astype(np.float32))


def measure(voice: Synthesizer, row: ClipRow) -> tuple[float, float, float, float, float]:
    """Model's lag, lips' lag and its correlation, ESTOI as it is and after moving the speech."""
    sound = row.audio()
    true, speech = voice.mel(sound), voice.speak_crops(row.crops())
    lag, _ = best_lag(speech.mel, true)
    lips, trust = lip_lag(row, true)
    moved = np.roll(speech.samples, round(lag * voice.mel_config.hop_length))
    width = min(len(sound), len(moved))
    plain, aligned = (
        float(stoi(sound[:width], made[:width], voice.sample_rate, extended=True)) for made in (speech.samples, moved)
    )
    return lag, lips, trust, plain, aligned


def ceiling(voice: Synthesizer, rows: ShardReader, lags: Array) -> tuple[float, float]:
    """Mean ESTOI and STOI of the real sound against itself, each clip moved by its own lag (mel frames).

    What speech would score that is perfect, but in step with the picture.
    """
    scores = []
    for row, lag in zip(rows, lags, strict=True):
        sound = row.audio()
        early = np.roll(sound, -round(float(lag) * voice.mel_config.hop_length))
        scores.append([stoi(sound, early, voice.sample_rate, extended=extended) for extended in (True, False)])
    first, second = np.mean(scores, axis=0)
    return float(first), float(second)


def moved_estoi(voice: Synthesizer, rows: ShardReader, shift: float) -> float:
    """Mean ESTOI of the real sound, moved by ``shift`` seconds, against itself."""
    sounds = [row.audio() for row in rows]
    moved = [np.roll(sound, round(shift * voice.sample_rate)) for sound in sounds]
    pairs = zip(sounds, moved, strict=True)
    return float(np.mean([stoi(true, late, voice.sample_rate, extended=True) for true, late in pairs]))


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--split", default="s1-val")
    parser.add_argument("--model", default="grid")
    arguments = parser.parse_args()
    voice, rows = load(arguments.model), ShardReader(arguments.shards, split=arguments.split)
    lag, lips, trust, plain, aligned = np.array([measure(voice, row) for row in rows]).T
    sure = trust > CONFIDENT
    write = sys.stdout.write
    write(f"{arguments.split}: {len(rows)} clips, model {voice.name}\n")
    write(f"true speech behind the predicted: mean {10 * lag.mean():.0f} ms, deviation {10 * lag.std():.0f} ms, ")
    write(f"from {10 * lag.min():.0f} to {10 * lag.max():.0f} ms\n")
    write(f"correlation with the lag of energy behind the lips: {np.corrcoef(lag[sure], lips[sure])[0, 1]:.2f} ")
    write(f"over {sure.sum()} clips where the latter is clear\n")
    for shift in (0.01, 0.02, 0.04):
        write(f"true speech against itself, {1000 * shift:.0f} ms later: ESTOI {moved_estoi(voice, rows, shift):.2f}\n")
    perfect = ceiling(voice, rows, lag)
    write(
        f"true speech against itself, each clip moved by its own lag: ESTOI {perfect[0]:.2f}, STOI {perfect[1]:.2f}\n"
    )
    write(f"ESTOI {plain.mean():.3f}, after moving each clip by its lag {aligned.mean():.3f}\n")


if __name__ == "__main__":
    main()
