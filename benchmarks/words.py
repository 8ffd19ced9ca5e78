"""What knowing every word and its time would be worth: the average of a speaker's own recordings of each word.

    python benchmarks/words.py runs/shards/grid --train s1-train --split s1-val

Each clip is put together from its word times and the mels of the same words in the training clips, stretched to length
and averaged. No lip reading is in it: what such speech lacks is what differs from one saying of a word to the next, as
the melody of the voice does. ESTOI is estimated from mels (`unsilent.training.intelligibility`); with ``--model``, that
of a model stands beside it, as it is and after each offset is taken out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.features import MelConfig, log_mel
from unsilent.shards import ClipRow, ShardReader
from unsilent.synthesis import load
from unsilent.training.augment import stretch
from unsilent.training.intelligibility import mel_estoi
from unsilent.training.losses import best_lags, shift_frames

CONFIG = MelConfig()
RATE = CONFIG.sample_rate / CONFIG.hop_length
REACH = 12
"""Mel frames: the largest offset looked for."""
Array = NDArray[np.float32]


def mel_of(row: ClipRow) -> Array:
    """Log-mel (F, 4 T) of a clip, whole frames of it alone."""
    mel: Array = log_mel(torch.from_numpy(row.audio())[None], CONFIG)[0].numpy()
    return mel[:, : row.samples // CONFIG.hop_length]


def sayings(rows: ShardReader) -> dict[str, list[Array]]:
    """Mels of every word."""
    found: dict[str, list[Array]] = {}
    for row in rows:
        mel = mel_of(row)
        for word in row.words:
            first, last = round(word.start * RATE), min(round(word.end * RATE), mel.shape[1])
            if last - first >= 3:
                found.setdefault(word.word, []).append(mel[:, first:last])
    return found


def put_together(
    row: ClipRow, width: int, known: dict[str, list[Array]], number: int, rng: np.random.Generator
) -> Array:
    """A clip's words at their times, each the average of ``number`` sayings of it."""
    mel = np.full((CONFIG.n_mels, width), -9.0, np.float32)
    for word in row.words:
        first, last = round(word.start * RATE), min(round(word.end * RATE), width)
        said = known.get(word.word, [])
        if last > first and said:
            chosen = rng.permutation(len(said))[:number]
            mel[:, first:last] = np.mean([stretch(said[i].T, last - first).T for i in chosen], axis=0)
    return mel


def score(made: list[Array], true: list[Array], aligned: bool = False) -> float:
    """Mean estimated ESTOI."""
    values = []
    for mine, target in zip(made, true, strict=True):
        width = min(mine.shape[1], target.shape[1])
        first, second = (torch.from_numpy(each[None, :, :width].copy()) for each in (mine, target))
        mask = torch.ones(1, width, dtype=torch.bool)
        if aligned:
            second, mask = shift_frames(second, mask, best_lags(first, second, mask, REACH, price=0.0))
        values.append(float(mel_estoi(first, second, mask, CONFIG)))
    return float(np.mean(values))


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--train", default="s1-train")
    parser.add_argument("--split", default="s1-val")
    parser.add_argument("--model", action="append", default=[])
    arguments = parser.parse_args()
    rows = ShardReader(arguments.shards, split=arguments.split)
    known, true = sayings(ShardReader(arguments.shards, split=arguments.train)), [mel_of(row) for row in rows]
    write, rng = sys.stdout.write, np.random.default_rng(0)
    write(f"{arguments.split}: {len(rows)} clips, estimated ESTOI\n")
    for number in (1, 5, 20, 80):
        made = [put_together(row, mel.shape[1], known, number, rng) for row, mel in zip(rows, true, strict=True)]
        write(f"true words at true times, average of {number} sayings: {score(made, true):.3f}\n")
    for name in arguments.model:
        voice = load(name)
        made = [voice.predict_mel(row.crops()) for row in rows]
        write(f"{name}: {score(made, true):.3f}, offsets taken out {score(made, true, aligned=True):.3f}\n")


if __name__ == "__main__":
    main()
