"""Put a trained model and vocoder into the package, with what the cards must say.

    python benchmarks/release.py grid runs/grid-small/best --vocoder runs/vocoder-small/best --scores scores.json

``--scores`` is what ``unsilent evaluate ... --json`` wrote for the model, or
``benchmarks/copy_quality.py --json``. A model without a vocoder of its own speaks through that of ``grid``. Which
speech a model, and the one that it started from, was trained on is taken from their cards.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from unsilent.files import atomic_path
from unsilent.models.pretrained import CARD, SHIPPED, WEIGHTS, amend_card, model_folder, read_card
from unsilent.synthesis.synthesizer import VOCODER_FOLDER

GRID = "GRID audio-visual sentence corpus, speaker s1 (Cooke, Barker, Cunningham, Shao 2006), CC BY 4.0"
SPEECH = {
    "kerstin": "Kerstin voice, CC0-1.0",
    "artikulate": "KDE Artikulate recordings, CC BY-SA 3.0",
    "librispeech": "LibriSpeech (Panayotov, Chen, Povey, Khudanpur 2015), CC BY 4.0",
}
TALKERS = "synthetic talkers made by `unsilent talker` (drawn faces, the voice of hibari-tts 0.2.1), Apache-2.0"
CLIPS = {"grid": [GRID], "grid-stream": [GRID], "grid-wave": [GRID], "talker": [TALKERS], "speech-mel": []}
VOCODER_DATA = [GRID, SPEECH["kerstin"], SPEECH["artikulate"]]
LIMITS = {
    "grid": "the grid model knows the 51 words of GRID and one man's face and voice (s1): it says nothing else, and "
    "speaks for anybody else in his voice",
    "grid-stream": "knows the 51 words of GRID and one man's face and voice (s1), as grid does, and less well: it "
    "does not wait for what comes later",
    "grid-wave": "knows the 51 words of GRID and one man's face and voice (s1), as grid does; it makes the waveform "
    "itself, without a vocoder",
    "talker": "a demonstration on drawn faces: knows the 51 words of GRID as synthetic talkers mouth them; it cannot "
    "read the lips of people",
    "speech-mel": "copies speech; it cannot read lips, and is there to start a model that does",
}
LARGEST = 20_000_000


def speech_of(model: Path) -> list[str]:
    """The speech that a model, or what it started from, was trained on, with its licence."""
    card = read_card(model)
    found: list[str] = []
    start = card["recipe"].get("start", {}).get("source")
    if start is not None:
        found += speech_of(model_folder(start) or Path(start))
    sources = card["trained_on"] if isinstance(card["trained_on"], list) else []
    for corpus in dict.fromkeys(corpus for source in sources for corpus in source["corpora"]):
        if corpus not in SPEECH:
            sys.exit(f"{model}: was trained on {corpus}, of which no licence is known here")
        found.append(SPEECH[corpus])
    return list(dict.fromkeys(found))


def release(source: Path, target: Path, extra: dict[str, object]) -> None:
    """Copy a model folder and add to its card."""
    size = (source / WEIGHTS).stat().st_size
    if size > LARGEST:
        sys.exit(f"{source / WEIGHTS}: {size} bytes, more than {LARGEST}")
    target.mkdir(parents=True, exist_ok=True)
    with atomic_path(target / WEIGHTS) as path:
        shutil.copyfile(source / WEIGHTS, path)
    with atomic_path(target / CARD) as path:
        shutil.copyfile(source / CARD, path)
    amend_card(target, extra)
    sys.stdout.write(f"{target}: {size / 1e6:.1f} MB\n")


def main() -> None:
    """Read the command line and release the model, and its vocoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CLIPS)
    parser.add_argument("model", type=Path)
    parser.add_argument("--vocoder", type=Path, help="of the model's own")
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--phase-iterations", type=int, help="of the vocoder at synthesis, instead of the recipe's")
    arguments = parser.parse_args()
    measured: dict[str, object] = {}
    if arguments.scores:
        scores = json.loads(arguments.scores.read_text())
        measured = {"split": scores["split"], **scores["systems"]["model"]} if "systems" in scores else scores
    folder = SHIPPED / arguments.name
    licence = "Apache-2.0 (weights); the data under the licences named"
    release(
        arguments.model,
        folder,
        {
            "name": arguments.name,
            "data": CLIPS[arguments.name] + speech_of(arguments.model),
            "licence": licence,
            "limits": LIMITS[arguments.name],
            "measured": measured,
        },
    )
    if arguments.vocoder is None:
        return
    config = read_card(arguments.vocoder)["config"]
    if arguments.phase_iterations:
        config["phase_iterations"] = arguments.phase_iterations
    extra = {"name": "vocoder", "config": config, "data": VOCODER_DATA, "licence": licence}
    release(arguments.vocoder, folder / VOCODER_FOLDER, extra)


if __name__ == "__main__":
    main()
