"""How well an audio-to-audio model copies speech that it never heard: clean, masked and noisy.

    python benchmarks/copy_quality.py runs/pretrain-small runs/shards/speech --split held-out

ESTOI of the copy through the vocoder, beside that of the vocoder on true mels of the same recordings. Several models,
such as a sweep of bottleneck widths, make several rows. ``--linear 16,64`` adds what a linear code of so many values a
video frame keeps: its principal components, of 400 recordings of the split ``train``. Needs the ``eval`` extra.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.metrics import estoi
from unsilent.features import log_mel
from unsilent.models.pretrained import CARD, SHIPPED, load_reconstructor, load_vocoder
from unsilent.shards import open_speech_shards
from unsilent.synthesis.synthesizer import DEFAULT_MODEL, VOCODER_FOLDER
from unsilent.training.corrupt import corrupt
from unsilent.training.pretrain_recipe import CorruptConfig

CONDITIONS = {
    "clean": CorruptConfig(noise=0.0, mask=0.0),
    "masked": CorruptConfig(noise=0.0, mask=0.3),
    "noisy, 10 dB": CorruptConfig(noise=1.0, noise_db=(10.0, 10.0), mask=0.0),
}
Samples = NDArray[np.float32]


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="model or run folders; then the folder of shards")
    parser.add_argument("shards", type=Path)
    parser.add_argument("--split", default="held-out")
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--gain-db", type=float, default=8.0, help="the middle of what the models were trained with")
    parser.add_argument("--linear", default="", help="widths of linear codes to compare with, separated by commas")
    parser.add_argument("--json", type=Path, help="write the figures, for the card of a model")
    arguments = parser.parse_args()
    sounds = some_sounds(arguments.shards, arguments.split, arguments.clips, arguments.gain_db)
    vocoder, config, _ = load_vocoder(SHIPPED / DEFAULT_MODEL / VOCODER_FOLDER)
    write = sys.stdout.write
    write(f"{len(sounds)} recordings of {arguments.shards}, {arguments.split}, {arguments.gain_db:+g} dB: mean ESTOI\n")
    write(
        f"| model | {' | '.join(CONDITIONS)} | share of the vocoder's, clean |\n|---{'|---' * (len(CONDITIONS) + 1)}|\n"
    )

    def vocoded(mel: torch.Tensor) -> Samples:
        made: Samples = vocoder(mel)[0].clamp(-1, 1).numpy()
        return made

    found: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        mels = [log_mel(torch.from_numpy(sound)[None], config.mel) for sound in sounds]
        ceiling = mean_estoi(sounds, [vocoded(mel) for mel in mels])
        write(f"| vocoder on true mels | {ceiling:.3f} | | | 1.00 |\n")
        widths = [int(width) for width in arguments.linear.split(",") if width]
        if widths:
            others = some_sounds(arguments.shards, "train", 400, arguments.gain_db)
            mean, axes = principal([log_mel(torch.from_numpy(sound)[None], config.mel) for sound in others])
        for width in widths:
            axis = axes[:, :width]
            copies = [from_frames((frames(mel) - mean) @ axis @ axis.T + mean) for mel in mels]
            score = mean_estoi(sounds, [vocoded(mel) for mel in copies])
            write(f"| linear code of {width} values | {score:.3f} | | | {score / ceiling:.2f} |\n")
            found[f"linear-{width}"] = {"vocoder": ceiling, "clean": score}
        for folder in arguments.models:
            place = folder if (folder / CARD).is_file() else folder / "best"
            model, settings, _ = load_reconstructor(place, source="audio")
            scores = []
            for name, condition in CONDITIONS.items():
                rng = np.random.default_rng(len(name))
                heard = [torch.from_numpy(corrupt(sound, condition, 24_000, rng))[None] for sound in sounds]
                masks = [torch.ones(1, each.shape[1] // 960, dtype=torch.bool) for each in heard]
                made = [model(each, mask) for each, mask in zip(heard, masks, strict=True)]
                wave = settings.decoder.target == "wave"
                scores.append(mean_estoi(sounds, [m[0].numpy() if wave else vocoded(m) for m in made]))
            cells = " | ".join(f"{score:.3f}" for score in scores)
            write(f"| {folder} | {cells} | {scores[0] / ceiling:.2f} |\n")
            found[str(folder)] = {"vocoder": ceiling, **dict(zip(CONDITIONS, scores, strict=True))}
    if arguments.json:
        figures = {"recordings": len(sounds), "split": arguments.split, "gain_db": arguments.gain_db, "estoi": found}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def some_sounds(shards: Path, split: str, number: int, gain_db: float) -> list[Samples]:
    """Recordings of a split, the same in every run, made louder; whole video frames, and enough for the metric."""
    rows = open_speech_shards(shards, split=split)
    chosen = np.random.default_rng(0).permutation(len(rows))[:number]
    sounds = [rows[int(index)].audio() for index in chosen]
    gain = np.float32(10 ** (gain_db / 20))
    return [np.clip(gain * sound[: len(sound) // 960 * 960], -1, 1) for sound in sounds if len(sound) > 24_000]


def frames(mel: torch.Tensor) -> torch.Tensor:
    """Log-mel (1, F, 4 T) to the values of each video frame, (T, 4 F)."""
    return mel[0].T.reshape(-1, 4 * mel.shape[1])


def from_frames(values: torch.Tensor) -> torch.Tensor:
    """What `frames` took apart."""
    return values.reshape(4 * len(values), -1).T[None].contiguous()


def principal(mels: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (4 F,) and principal axes (4 F, 4 F), the strongest first, of the video frames of log-mels."""
    values = torch.cat([frames(mel) for mel in mels])
    axes: torch.Tensor = torch.linalg.eigh(torch.cov(values.T))[1]
    return values.mean(0), axes.flip(1)


def mean_estoi(sounds: list[Samples], made: list[Samples]) -> float:
    """Mean over the recordings on which the metric is defined."""
    values = []
    for real, copy in zip(sounds, made, strict=True):
        try:
            values.append(estoi(real, copy))
        except EvaluationError:
            continue
    return float(np.mean(values))


if __name__ == "__main__":
    main()
