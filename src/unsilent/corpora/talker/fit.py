"""Fits the Gaussians of the aligner to the synthesiser's voice; prints nothing, writes ``phone_models.json``.

    python -m unsilent.corpora.talker.fit [FILE]

Viterbi training from the network's own durations, on sentences of both kinds. To be run again only for another
version of the synthesiser.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.talker.alignment import HOP_SECONDS, PhoneModels, best_path, features, states_of
from unsilent.corpora.talker.phones import Spelled
from unsilent.corpora.talker.sentences import draw
from unsilent.corpora.talker.speech import MODEL_SHA256, load_synthesiser
from unsilent.files import atomic_path

__all__ = ["Recording", "fit", "record"]

SENTENCES: Final = 400
ROUNDS: Final = 8
_PREDICTOR_STEP: Final = 0.025
_PACES: Final = (0.8, 0.95, 1.1, 1.25)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A sentence in the synthesiser's voice: features (frames, D) and the phones it should hold."""

    heard: NDArray[np.float64]
    spelled: Sequence[Spelled]


def record(count: int) -> list[Recording]:
    """Speak ``count`` sentences, half of them of the GRID grammar, at several paces."""
    synthesiser = load_synthesiser()
    recordings = []
    for number in range(count):
        kind = ("grid", "open")[number % 2]
        text = draw(kind, None, np.random.default_rng([number, 77]))
        characters = synthesiser.spelling(text, letters=kind == "grid")
        samples, spelled = synthesiser.base(characters, _PACES[number // 2 % len(_PACES)], number)
        recordings.append(Recording(features(samples), spelled))
    return recordings


def fit(recordings: Sequence[Recording], rounds: int = ROUNDS) -> PhoneModels:
    """Gaussians by alternately aligning and estimating; the first alignment is the predictor's, in equal parts."""
    paths = [_predicted(recording) for recording in recordings]
    models = _estimate(recordings, paths)
    for _ in range(rounds):
        models = _estimate(recordings, [best_path(r.heard, r.spelled, models) for r in recordings])
    return models


def _predicted(recording: Recording) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    times = np.arange(len(recording.heard)) * HOP_SECONDS / _PREDICTOR_STEP
    # What is heard comes about one unit before what is predicted.
    starts = np.array([item.first for item in recording.spelled]) - 1.0
    starts[0] = 0.0
    owners = np.searchsorted(starts, times, side="right") - 1
    ends = np.append(starts[1:], times[-1] + 1)
    counts = np.array([states_of(item.phone) for item in recording.spelled])
    within = (times - starts[owners]) / np.maximum(ends[owners] - starts[owners], 1e-6)
    return owners, np.minimum((within * counts[owners]).astype(np.int64), counts[owners] - 1)


def _estimate(
    recordings: Sequence[Recording], paths: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> PhoneModels:
    gathered: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
    for recording, (owners, states) in zip(recordings, paths, strict=True):
        keys = owners * 8 + states
        for key in np.unique(keys):
            owner, state = divmod(int(key), 8)
            phone = recording.spelled[owner].phone
            gathered.setdefault((phone, state), []).append(recording.heard[keys == key])
    frames = {key: np.concatenate(parts) for key, parts in gathered.items()}
    overall = np.concatenate([recording.heard for recording in recordings])
    # A few frames tell no variance: the estimate leans on that of all frames.
    means: dict[str, NDArray[np.float64]] = {}
    variances: dict[str, NDArray[np.float64]] = {}
    for phone in sorted({phone for phone, _ in frames}):
        rows = [frames.get((phone, state), frames.get((phone, 0), overall)) for state in range(states_of(phone))]
        means[phone] = np.stack([row.mean(0) for row in rows])
        variances[phone] = np.stack([(len(row) * row.var(0) + 10 * overall.var(0)) / (len(row) + 10) for row in rows])
    return PhoneModels(means, variances)


def main(target: Path) -> None:
    """Fit and write."""
    models = fit(record(SENTENCES))
    phones = {
        phone: {"mean": models.means[phone].round(3).tolist(), "variance": models.variances[phone].round(3).tolist()}
        for phone in sorted(models.means)
    }
    stored = {"synthesiser": "hibari-tts 0.2.1", "network_sha256": MODEL_SHA256, "phones": phones}
    with atomic_path(target) as temporary:
        temporary.write_text(json.dumps(stored, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("phone_models.json"))
