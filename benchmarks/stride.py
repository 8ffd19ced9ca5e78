"""What it saves, and what it costs, to find the mouth in every other frame only, as `unsilent speak` does.

    python benchmarks/stride.py ../shared/data/grid [--split s1-val] [--limit 50] [--model grid]

Every clip is tracked twice in a row, looking at every frame (as `unsilent prepare` and `unsilent evaluate` do) and at
every other one. Printed are the processor time of both, how far their crops lie apart, and the ESTOI of the model's
speech from either. Needs the packages of the ``eval`` extra.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import unsilent
from unsilent.corpora import GridCorpus
from unsilent.errors import UnsilentError
from unsilent.evaluation.metrics import estoi
from unsilent.evaluation.statistics import bootstrap_mean, bootstrap_paired
from unsilent.face import MouthTrack, track_mouth
from unsilent.media import read_audio, read_video
from unsilent.synthesis import Synthesizer
from unsilent.synthesis.stream import STRIDE


def apart(one: MouthTrack, other: MouthTrack) -> NDArray[np.float64]:
    """Distance (T,) of the crops' middles, in crop pixels."""
    scale = np.hypot(one.transform[:, 0, 0], one.transform[:, 0, 1])
    return np.asarray(np.hypot(*(one.centre - other.centre).T) * scale, np.float64)


def check(clips: list[Path], model: Synthesizer) -> None:
    """Print the figures."""
    seconds: dict[int, float] = defaultdict(float)
    scores: dict[int, list[float]] = {1: [], STRIDE: []}
    shifts: list[NDArray[np.float64]] = []
    for path in clips:
        frames, real = list(read_video(path)), read_audio(path, model.sample_rate)
        tracks: dict[int, MouthTrack] = {}
        for stride in scores:
            start = time.process_time()
            tracks[stride] = track_mouth(frames, name=str(path), stride=stride)
            seconds[stride] += time.process_time() - start
            scores[stride].append(estoi(real, model.speak_crops(tracks[stride].crops).samples))
        shifts.append(apart(tracks[1], tracks[STRIDE]))
    shift = np.concatenate(shifts)
    out = sys.stdout.write
    for stride, values in scores.items():
        found = bootstrap_mean(values)
        rate = len(shift) / seconds[stride]
        interval = f"[{found.low:.3f}, {found.high:.3f}]"
        out(f"stride {stride}: {rate:.0f} frames a processor second, ESTOI {found.mean:.4f} {interval}\n")
    gain = bootstrap_paired(scores[STRIDE], scores[1])
    out(f"difference of ESTOI: {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], {len(clips)} clips\n")
    out(
        f"crops apart by {shift.mean():.2f} pixels of 96 in the mean, {np.quantile(shift, 0.95):.2f} at the 95th "
        f"percentile, {shift.max():.2f} at most\n"
    )


def main() -> int:
    """Check a split of GRID."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, help="folder that holds s1/*.mp4 and so on")
    parser.add_argument("--split", default="s1-val")
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--model", default="grid")
    arguments = parser.parse_args()
    try:
        clips = [clip.path for clip in GridCorpus(arguments.root).clips(arguments.split)]
        check(clips[: arguments.limit], unsilent.load(arguments.model))
    except UnsilentError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
