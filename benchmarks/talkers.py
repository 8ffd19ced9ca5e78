"""The card of the talker corpus: is the face found, do drawn and tracked lips agree, do homophenes look alike?

    python benchmarks/talkers.py runs/talker/corpus runs/shards/talker [--json FILE]

Minimal pairs are spoken by the synthesiser, each word with the times of its own phones, and drawn by one talker without
noise or motion of the head; tracked and cut out as any clip's, their mouths are compared frame by frame along the
cheapest warping of time. Words that differ in phones of one viseme should lie nearer than words that do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker.articulation import articulate
from unsilent.corpora.talker.look import make_speaker
from unsilent.corpora.talker.render import Performance, render
from unsilent.corpora.talker.scene import Camera, Scene, make_scene
from unsilent.corpora.talker.speech import SAMPLE_RATE, load_synthesiser
from unsilent.corpora.talker.video import FPS
from unsilent.evaluation.mcd import warped_mean
from unsilent.face import track_mouth
from unsilent.files import atomic_path
from unsilent.shards import ShardReader

ALIKE = (("pat", "bat"), ("pat", "mat"), ("tip", "dip"), ("tip", "nip"), ("fine", "vine"), ("cap", "cab"))
"""Words that differ in phones of one viseme."""
UNLIKE = (("pat", "fat"), ("pat", "cat"), ("tip", "pip"), ("tip", "ship"), ("fine", "pine"), ("cap", "cash"))
TALKERS = 4
_SMALL = 4  # pixels of the crop that are averaged, both ways: what a network of small crops sees


def tracked(corpus: Path, shards: Path) -> dict[str, float]:
    """Frames in which the face was found, and how drawn and tracked openings of the lips go together."""
    found = frames = 0
    agreement = []
    for row in ShardReader(shards):
        found, frames = found + sum(row.valid), frames + row.frames
        drawn = json.loads((corpus / f"{row.id.removeprefix('talker/')}.json").read_text(encoding="utf-8"))["aperture"]
        agreement.append(float(np.corrcoef(drawn[: row.frames], row.aperture)[0, 1]))
    return {
        "clips": len(agreement),
        "frames": frames,
        "frames with a face": found,
        "r of drawn and tracked opening, median": statistics.median(agreement),
        "clips with r below .5": sum(value < 0.5 for value in agreement),
        "r, least": min(agreement),
    }


def mouths(word: str, number: int) -> NDArray[np.float64]:
    """What is seen of a word's mouth, (T, pixels), drawn by talker ``number``."""
    speaker = make_speaker(0, f"t{number + 1}")
    spoken = load_synthesiser().say(word, speaker.voice)
    frames = int(len(spoken.samples) / SAMPLE_RATE * FPS)
    mouth = articulate(
        spoken.phones, (np.arange(frames) + 0.5) / FPS, clarity=1.0, variation=np.ones(len(spoken.phones))
    )
    made = make_scene(np.random.default_rng(number), frames, FPS, 0.0)
    still = np.repeat(made.poses[:1], frames, axis=0)
    scene = Scene(made.light, Camera(0.0, 0.0, 1.0, 1.0, (1.0, 1.0, 1.0)), made.background, still)
    eyes, brows = np.zeros(frames, np.int64), np.zeros(frames)
    crops = track_mouth(render(speaker.look, scene, Performance(mouth, eyes, brows), 0)).crops.astype(np.float64)
    small = crops.reshape(frames, 96 // _SMALL, _SMALL, 96 // _SMALL, _SMALL).mean((2, 4))
    return np.asarray(small.reshape(frames, -1))


def apart(first: str, second: str) -> float:
    """Root mean square difference of two words' mouths in grey levels of 255, mean over talkers."""
    gaps = []
    for number in range(TALKERS):
        one, other = mouths(first, number), mouths(second, number)
        gaps.append(warped_mean(one, other, reach=10) / np.sqrt(one.shape[1]))
    return float(np.mean(gaps))


def main() -> None:
    """Read the command line and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="what `unsilent talker` made")
    parser.add_argument("shards", type=Path, help="what `unsilent prepare talker` made of it")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, Any] = tracked(arguments.corpus, arguments.shards)
    for name, pairs in (("alike", ALIKE), ("unlike", UNLIKE)):
        gaps = {f"{first}, {second}": apart(first, second) for first, second in pairs}
        figures[f"words that are to look {name}, grey levels apart"] = gaps
        figures[f"words that are to look {name}, mean"] = statistics.fmean(gaps.values())
    for name, value in figures.items():
        shown = value if not isinstance(value, dict) else ", ".join(f"{pair}: {gap:.2f}" for pair, gap in value.items())
        sys.stdout.write(f"{name}: {shown:.3f}\n" if isinstance(shown, float) else f"{name}: {shown}\n")
    if arguments.json:
        with atomic_path(arguments.json) as path:
            path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
