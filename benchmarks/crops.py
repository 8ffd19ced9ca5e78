"""Check mouth crops against an independent landmark detector, and time the tracker.

    python benchmarks/crops.py ../shared/data/grid [--every 1] [--json FILE]

For every clip: track the mouth, take one frame at random (seeded by the clip's name), find dlib's 68 points in the
source frame, map them through the track's transform and measure how far their mouth (the mean of points 48-67) lies
from the crop's middle. dlib's frontal detector and its landmark model know nothing of the mesh the tracker uses.
Needs the packages of the ``dev`` extra.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import UnsilentError
from unsilent.face import CROP_SIZE, MouthTrack, track_mouth
from unsilent.face.networks import FaceMesh, Square
from unsilent.media import read_video

LIMIT = 4.0  # crop pixels
MIDDLE = (CROP_SIZE - 1) / 2


class Dlib:
    """dlib's frontal face detector and 68-point predictor (the latter's training data is for research only)."""

    def __init__(self) -> None:
        import dlib

        package = find_spec("face_recognition_models")
        if package is None or package.origin is None:
            raise SystemExit("needs the package face_recognition_models: pip install unsilent[dev]")
        model = Path(package.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat"
        self._detect = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(model))

    def mouth(self, frame: NDArray[np.uint8], track: MouthTrack, index: int) -> NDArray[np.float64] | None:
        """Return points 48-67 (20, 2) in crop pixels, or None where dlib finds no face around the tracked mouth."""
        x, y = track.centre[index].tolist()
        for box in self._detect(frame, 0):
            if box.left() < x < box.right() and box.top() < y < box.bottom() + box.height() / 4:
                parts = list(self._predict(frame, box).parts())[48:]
                points = np.array([(part.x, part.y) for part in parts], dtype=np.float64)
                affine = track.transform[index].astype(np.float64)
                return np.asarray(points @ affine[:, :2].T + affine[:, 2])
        return None


def network_seconds(frame: NDArray[np.uint8], calls: int = 50) -> float:
    """Return the processor time of one mesh network call alone, for comparison with the whole of tracking."""
    mesh = FaceMesh()
    mesh(frame, Square(frame.shape[1] / 2, frame.shape[0] / 2, frame.shape[0] / 2, 0.0))
    start = time.process_time()
    for _ in range(calls):
        mesh.invoke()
    return (time.process_time() - start) / calls


def check(root: Path, every: int) -> dict[str, Any]:
    """Track every ``every``-th clip under ``root`` and return the figures."""
    dlib, clips = Dlib(), sorted(root.glob("s*/*.mp4"))[::every]
    dropped: list[str] = []
    unseen: list[str] = []
    centres: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    widths: list[float] = []
    frames_all = interpolated = 0
    seconds, network = 0.0, []
    for number, path in enumerate(clips):
        name = f"{path.parent.name}/{path.stem}"
        frames = list(read_video(path))
        start = time.process_time()
        try:
            track = track_mouth(frames, name=name)
        except UnsilentError as error:
            dropped.append(str(error))
            continue
        seconds += time.process_time() - start
        if number % 20 == 0:
            network.append(network_seconds(frames[0]))
        frames_all += len(track)
        interpolated += track.interpolated
        index = random.Random(name).randrange(len(track))
        points = dlib.mouth(frames[index], track, index)
        if points is None:
            unseen.append(f"{name} frame {index}")
            continue
        centres[path.parent.name].append(points.mean(axis=0) - MIDDLE)
        widths.append(float(np.hypot(*(points[6] - points[0]))))
    offsets = np.concatenate([np.stack(values) for values in centres.values()])
    far = np.hypot(offsets[:, 0], offsets[:, 1])
    return {
        "clips": len(clips),
        "dropped": dropped,
        "frames": frames_all,
        "interpolated": interpolated,
        "sampled": len(far),
        "without_independent_face": unseen,
        "within_4_px": float((far <= LIMIT).mean()),
        "distance_px": {"median": float(np.median(far)), "p95": float(np.quantile(far, 0.95)), "max": float(far.max())},
        "bias_px": offsets.mean(axis=0).tolist(),
        "speakers": {
            name: {
                "clips": len(values),
                "bias_px": np.mean(values, axis=0).round(2).tolist(),
                "within_4_px": float((np.hypot(*np.stack(values).T) <= LIMIT).mean()),
            }
            for name, values in sorted(centres.items())
        },
        "mouth_width_px": {"mean": float(np.mean(widths)), "std": float(np.std(widths))},
        "frames_per_processor_second": frames_all / seconds,
        "milliseconds_a_frame": 1e3 * seconds / frames_all,
        "network_alone_milliseconds": 1e3 * float(np.median(network)),
        "ratio_to_network_alone": seconds / frames_all / float(np.median(network)),
    }


def main() -> int:
    """Print the figures; end with 1 where a clip is dropped or under 95 % of the samples lie within 4 pixels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder that holds s1/*.mp4 and so on")
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip only")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    figures = check(arguments.root, arguments.every)
    text = json.dumps(figures, indent=2)
    sys.stdout.write(text + "\n")
    if arguments.json:
        Path(arguments.json).write_text(text + "\n", encoding="utf-8")
    return 0 if not figures["dropped"] and figures["within_4_px"] >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
