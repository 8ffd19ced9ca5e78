"""Whose voice is spoken with: a recording, its embedding, or nobody's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.sounds import speech
from tests.models.small import unsettle

from unsilent.cli import main
from unsilent.errors import CheckpointError, MediaError
from unsilent.media import write_audio
from unsilent.models import ReconstructorConfig, build_reconstructor
from unsilent.models.config import SpeakerConfig
from unsilent.models.pretrained import save_model
from unsilent.synthesis import Synthesizer, load

CROPS = np.random.default_rng(0).integers(0, 255, (12, 96, 96)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that is told voices."""
    path = tmp_path_factory.mktemp("model")
    config = ReconstructorConfig(speaker=SpeakerConfig(width=8))
    model = build_reconstructor(config)
    unsettle(model)
    save_model(path, model, config, {"name": "many"})
    return path


@pytest.fixture(scope="module")
def many(folder: Path) -> Synthesizer:
    return load(folder)


def recording(path: Path, seed: int = 0, seconds: float = 2.0) -> Path:
    write_audio(path, speech(seconds, seed), 24_000)
    return path


def test_a_recording_and_its_embedding_are_one_voice(many: Synthesizer, tmp_path: Path) -> None:
    assert many.voices
    one, other = recording(tmp_path / "one.wav", 0), recording(tmp_path / "other.wav", 1)
    embedding = many.voice_of(one)
    assert embedding.shape == (8,)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    spoken = many.speak_crops(CROPS, voice=one).mel
    np.testing.assert_array_equal(many.speak_crops(CROPS, voice=embedding).mel, spoken)
    np.testing.assert_allclose(many.predict_mel(CROPS, voice=embedding), spoken, atol=1e-4)
    assert np.abs(many.speak_crops(CROPS, voice=other).mel - spoken).max() > 1e-4
    assert np.abs(many.speak_crops(CROPS).mel - spoken).max() > 1e-3


def test_a_model_with_one_voice_refuses_another(tmp_path: Path) -> None:
    grid = load("grid")
    assert not grid.voices
    with pytest.raises(CheckpointError, match="has no choice of voices; leave the voice out"):
        grid.speak_crops(CROPS, voice=recording(tmp_path / "one.wav"))
    with pytest.raises(CheckpointError, match="a voice of shape"):
        grid.speak_crops(CROPS, voice=np.zeros(8, np.float32))


def test_an_embedding_of_another_model_is_refused(many: Synthesizer) -> None:
    with pytest.raises(CheckpointError, match=r"many: a voice of shape \(7,\) is not of this model"):
        many.speak_crops(CROPS, voice=np.zeros(7, np.float32))


@pytest.mark.parametrize(
    ("samples", "said"), [(speech(0.3), "too short to know a voice by"), (np.zeros(48_000, np.float32), "is silent")]
)
def test_a_recording_that_holds_no_voice(many: Synthesizer, samples: np.ndarray, said: str, tmp_path: Path) -> None:
    write_audio(tmp_path / "voice.wav", samples, 24_000)
    with pytest.raises(MediaError, match=f"voice.wav: .*{said}"):
        many.voice_of(tmp_path / "voice.wav")
    with pytest.raises(MediaError, match=f"the reference: .*{said}"):
        many.voice_of(samples)


def test_only_half_a_minute_is_heard(many: Synthesizer) -> None:
    heard = speech(30.0)
    longer = np.concatenate([heard, speech(5.0, 3)])
    np.testing.assert_array_equal(many.voice_of(longer), many.voice_of(heard))


def test_the_command_speaks_with_a_voice(folder: Path, talking_video: Path, tmp_path: Path) -> None:
    outputs = []
    for number, options in enumerate(([], ["--voice", str(recording(tmp_path / "voice.flac"))])):
        output = tmp_path / f"{number}.wav"
        assert main(["speak", str(talking_video), "--model", str(folder), "-o", str(output), *options]) == 0
        outputs.append(output.read_bytes())
    assert outputs[0] != outputs[1]


def test_the_command_refuses_a_voice_that_is_no_sound(
    folder: Path, talking_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "voice.wav").write_text("no sound")
    command = ["speak", str(talking_video), "--model", str(folder), "-o", str(tmp_path / "out.mp4")]
    assert main([*command, "--voice", str(tmp_path / "voice.wav")]) == 2
    assert "voice.wav" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()
