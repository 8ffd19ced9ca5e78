"""Parameters of every shipped recipe's model, beside what SVTS publishes. Prints the table of docs/models.md."""

from __future__ import annotations

import sys

from torch import nn

from unsilent.config import load_recipe
from unsilent.models import ReconstructorConfig, build_reconstructor
from unsilent.training.recipe import TrainRecipe

PUBLISHED = {"paper-s": 27.3, "paper-m": 43.1, "paper-l": 87.6}
SPEAKER_WIDTH = 256
"""SVTS concatenates a speaker embedding of this width before its conformer."""


def count(module: nn.Module) -> float:
    """Return millions of parameters."""
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def explained(config: ReconstructorConfig) -> dict[str, float]:
    """Return what SVTS has and this model has elsewhere or not at all, in millions."""
    width, blocks = config.temporal.width, config.temporal.blocks
    return {
        "relative positions": blocks * (width**2 + 2 * width) / 1e6,
        "speaker embedding": SPEAKER_WIDTH * width / 1e6,
        "projection to mel": (width + 1) * config.mel.n_mels * config.mel.mels_per_frame / 1e6,
    }


def main() -> None:
    """Print the table as Markdown."""
    write = sys.stdout.write
    write("| recipe | encoder | conformer | sum | relative positions | speaker embedding | projection to mel ")
    write("| sum with these | published | mel decoder |\n|---|---|---|---|---|---|---|---|---|---|\n")
    for name in ("grid-small", *PUBLISHED):
        config = load_recipe(name, TrainRecipe).model
        model = build_reconstructor(config)
        encoder, temporal, decoder = (count(part) for part in (model.encoder, model.temporal, model.decoder))
        extra = explained(config)
        published = PUBLISHED.get(name)
        cells = [name, f"{encoder:.2f}", f"{temporal:.2f}", f"{encoder + temporal:.2f}"]
        cells += [f"{value:.2f}" for value in extra.values()] if published else ["-"] * 3
        cells += [f"{encoder + temporal + sum(extra.values()):.2f}", f"{published}"] if published else ["-"] * 2
        write(f"| {' | '.join(cells)} | {decoder:.2f} |\n")


if __name__ == "__main__":
    main()
