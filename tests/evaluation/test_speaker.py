"""Speaker embeddings equal those of the package whose network they come from."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.sounds import speech

from unsilent.errors import EvaluationError
from unsilent.evaluation import metrics, speaker
from unsilent.evaluation.metrics import measure, resample
from unsilent.media import read_audio

needs_network = pytest.mark.skipif(
    not speaker.network_file().is_file(), reason="needs resemblyzer's network: pip install --no-deps resemblyzer==0.1.4"
)


@needs_network
@pytest.mark.parametrize(
    ("seed", "largest", "values"),
    [
        # What resemblyzer 0.1.4 itself (with librosa 0.10.2) makes of the same sound.
        (0, [246, 51, 89, 243, 218, 9], [0.3241, 0.2385, 0.2323, 0.2147, 0.2112, 0.2030]),
        (1, [246, 243, 51, 218, 89, 78], [0.3337, 0.2397, 0.2267, 0.2192, 0.2189, 0.2147]),
    ],
)
def test_embeddings_are_the_packages(seed: int, largest: list[int], values: list[float]) -> None:
    made = speaker.embed(resample(speech(3.0, seed), speaker.RATE))
    assert np.argsort(-made)[:6].tolist() == largest
    np.testing.assert_allclose(made[largest], values, atol=2e-4)
    assert np.linalg.norm(made) == pytest.approx(1, abs=1e-5)


@needs_network
def test_one_voice_is_nearer_to_itself_than_to_another(shared_data: Path) -> None:
    voices = {
        name: [
            speaker.embed(read_audio(path, speaker.RATE))
            for path in sorted((shared_data / "grid" / name).glob("*.mp4"))[:3]
        ]
        for name in ("s1", "s5")
    }
    same = min(float(a @ b) for each in voices.values() for a, b in pairwise(each))
    other = max(float(a @ b) for a in voices["s1"] for b in voices["s5"])
    assert same > 0.72 > other


@needs_network
def test_quiet_speech_has_the_voice_of_loud_speech() -> None:
    sound = speech(3.0)
    quiet = sound * np.float32(
        10 ** (-31 / 20) / float(np.sqrt(np.mean(sound**2)))
    )  # what is under -30 dBFS is turned up
    assert metrics.speaker(quiet, quiet / np.float32(4)) == pytest.approx(1, abs=1e-3)
    assert metrics.speaker(sound, speech(3.0, 1)) < 0.999


@needs_network
def test_silence_has_no_voice() -> None:
    hum = np.full(24_000, 1e-3, np.float32)
    assert "no speech is found" in str(measure("speaker", hum, hum).reason)


def test_a_missing_or_changed_network_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speaker._network.cache_clear()
    monkeypatch.setattr(speaker, "network_file", lambda: tmp_path / "pretrained.pt")
    with pytest.raises(EvaluationError, match=r"pretrained.pt: is missing; pip install --no-deps resemblyzer==0.1.4"):
        speaker.embed(speech(1.0))
    (tmp_path / "pretrained.pt").write_bytes(b"other")
    with pytest.raises(EvaluationError, match=r"is not the network of resemblyzer 0\.1\.4"):
        speaker.embed(speech(1.0))
