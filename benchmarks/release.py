"""Put a trained model and vocoder into the package, with what the cards must say.

    python benchmarks/release.py grid runs/grid-small/best runs/vocoder-small/best --scores scores.json

``--scores`` is what ``unsilent evaluate ... --json`` wrote for the model.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from unsilent.files import atomic_path
from unsilent.models.pretrained import CARD, WEIGHTS, read_card
from unsilent.synthesis.synthesizer import VOCODER_FOLDER
from unsilent.synthesis.synthesizer import WEIGHTS as PACKAGE

DATA = {
    "grid": "GRID audio-visual sentence corpus, speaker s1 (Cooke, Barker, Cunningham, Shao 2006), CC BY 4.0",
    "kerstin": "Kerstin voice, CC0-1.0",
    "artikulate": "KDE Artikulate recordings, CC BY-SA 3.0",
}
LIMITS = {
    "grid": "the grid model knows the 51 words of GRID and one man's face and voice (s1): it says nothing else, and "
    "speaks for anybody else in his voice",
}
LARGEST = 20_000_000


def release(source: Path, target: Path, extra: dict[str, object]) -> None:
    """Copy a model folder and add to its card."""
    card = read_card(source)
    size = (source / WEIGHTS).stat().st_size
    if size > LARGEST:
        sys.exit(f"{source / WEIGHTS}: {size} bytes, more than {LARGEST}")
    target.mkdir(parents=True, exist_ok=True)
    with atomic_path(target / WEIGHTS) as path:
        shutil.copyfile(source / WEIGHTS, path)
    with atomic_path(target / CARD) as path:
        path.write_text(json.dumps({**card, **extra}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{target}: {size / 1e6:.1f} MB\n")


def main() -> None:
    """Read the command line and release both models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("model", type=Path)
    parser.add_argument("vocoder", type=Path)
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--phase-iterations", type=int, help="of the vocoder at synthesis, instead of the recipe's")
    arguments = parser.parse_args()
    measured: dict[str, object] = {}
    if arguments.scores:
        scores = json.loads(arguments.scores.read_text())
        measured = {"split": scores["split"], **scores["systems"]["model"]}
    folder = PACKAGE / arguments.name
    licence = "Apache-2.0 (weights); the data under the licences named"
    release(
        arguments.model,
        folder,
        {"name": arguments.name, "data": [DATA["grid"]], "licence": licence, "limits": LIMITS.get(arguments.name, ""),
         "measured": measured},
    )  # fmt: skip
    config = read_card(arguments.vocoder)["config"]
    if arguments.phase_iterations:
        config["phase_iterations"] = arguments.phase_iterations
    extra = {"name": "vocoder", "config": config, "data": list(DATA.values()), "licence": licence}
    release(arguments.vocoder, folder / VOCODER_FOLDER, extra)


if __name__ == "__main__":
    main()
