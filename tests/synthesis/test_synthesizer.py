from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from unsilent.errors import CheckpointError, FaceError, OutputError
from unsilent.face import track_mouth
from unsilent.media import SYNTHETIC_TAG, probe, read_audio, read_video
from unsilent.models import ReconstructorConfig, build_reconstructor
from unsilent.models.config import VocoderConfig
from unsilent.models.pretrained import SHIPPED, save_model
from unsilent.models.vocoder import Vocoder
from unsilent.synthesis import Synthesizer, WindowPlan, find_model, load, shipped_models
from unsilent.synthesis.stream import STRIDE
from unsilent.synthesis.windows import windowed_samples


@pytest.fixture(scope="module")
def voice() -> Synthesizer:
    return load("grid")


def test_grid_ships_and_fits_its_budget() -> None:
    assert "grid" in shipped_models()
    sizes = [path.stat().st_size for path in (SHIPPED / "grid").rglob("*.safetensors")]
    assert len(sizes) == 2
    assert max(sizes) <= 20e6
    assert sum(sizes) <= 30e6


def test_speech_is_as_long_as_the_video(voice: Synthesizer, talking_video: Path) -> None:
    speech = voice.speak(talking_video)
    frames = 30
    assert speech.samples.shape == (frames * 960,)
    assert speech.mel.shape == (80, frames * 4)
    assert speech.mouth is not None
    assert len(speech.mouth) == frames
    assert np.isfinite(speech.samples).all()
    assert np.abs(speech.samples).max() <= 1
    assert set(speech.timings) == {"decode", "face", "model", "vocoder"}
    assert all(seconds > 0 for seconds in speech.timings.values())


def test_crops_given_by_hand_say_the_same(voice: Synthesizer, talking_video: Path) -> None:
    crops = track_mouth(read_video(talking_video), stride=STRIDE).crops
    np.testing.assert_allclose(voice.speak_crops(crops).samples, voice.speak(talking_video).samples, atol=1e-4)


def test_a_saved_video_keeps_its_picture_and_is_tagged(voice: Synthesizer, talking_video: Path, tmp_path: Path) -> None:
    import av

    speech = voice.speak(talking_video)
    path = speech.save(tmp_path / "spoken.mp4")
    before, after = (list(read_video(file)) for file in (talking_video, path))
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert probe(path).has_audio
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == SYNTHETIC_TAG
    heard = read_audio(speech.save(tmp_path / "spoken.wav"), 24_000)
    np.testing.assert_allclose(heard, speech.samples, atol=1e-3)


def test_speech_from_crops_has_no_picture(voice: Synthesizer, tmp_path: Path) -> None:
    speech = voice.speak_crops(np.zeros((10, 96, 96), np.uint8))
    with pytest.raises(OutputError, match="no picture"):
        speech.save(tmp_path / "x.mp4")
    with pytest.raises(OutputError, match="suffix"):
        speech.save(tmp_path / "x.txt")
    assert not list(tmp_path.iterdir())


def test_no_crops_are_refused(voice: Synthesizer) -> None:
    with pytest.raises(FaceError, match="no mouth crops"):
        voice.speak_crops(np.zeros((0, 96, 96), np.uint8))


def test_windows_say_nearly_the_same_as_one_pass(voice: Synthesizer, talking_video: Path) -> None:
    crops = np.concatenate([track_mouth(read_video(talking_video)).crops] * 6)
    short = Synthesizer.__new__(Synthesizer)
    short.__dict__.update(voice.__dict__)
    short.windows = WindowPlan(core=100, context=50, fade=10)
    whole, pieces = voice.speak_crops(crops).mel, short.speak_crops(crops).mel
    assert whole.shape == pieces.shape
    assert np.abs(whole - pieces).mean() < 0.25 * np.abs(whole - whole.mean(1, keepdims=True)).mean()


def test_a_vocoded_mel_resembles_the_mel_it_came_from(voice: Synthesizer, shared_data: Path) -> None:
    speech = read_audio(shared_data / "grid" / "s1" / "bbir8p.mp4", 24_000)
    mel = voice.mel(speech)
    again = voice.mel(voice.vocode(mel))
    loud = mel > -6
    assert np.abs(again - mel)[loud].mean() < 0.3


def test_vocoding_in_pieces_equals_one_pass(voice: Synthesizer, talking_video: Path) -> None:
    context = voice._engine.context_frames
    assert context is not None
    crops = np.concatenate([track_mouth(read_video(talking_video)).crops] * 10)
    whole = voice.speak_crops(crops)
    in_pieces = np.concatenate(
        list(
            windowed_samples(
                (whole.mel[:, i : i + 200] for i in range(0, whole.mel.shape[1], 200)), voice.vocode, 240,
                context,
            )
        )
    )  # fmt: skip
    np.testing.assert_allclose(in_pieces, whole.samples, atol=2e-3)


def _random_model(folder: Path) -> Path:
    config = ReconstructorConfig()
    save_model(folder, build_reconstructor(config), config, {"name": "random"})
    return folder


def test_a_folder_without_a_vocoder_borrows_the_shipped_one(tmp_path: Path) -> None:
    voice = load(_random_model(tmp_path / "m"))
    assert voice.name == "random"
    assert voice.speak_crops(np.zeros((6, 96, 96), np.uint8)).samples.shape == (6 * 960,)


def test_a_vocoder_of_another_mel_is_refused(tmp_path: Path) -> None:
    folder = _random_model(tmp_path / "m")
    mel = VocoderConfig().mel.model_copy(update={"f_min": 60.0})
    config = VocoderConfig(mel=mel, width=8, hidden=8, blocks=1)
    save_model(folder / "vocoder", Vocoder(config), config, {"name": "other"})
    with pytest.raises(CheckpointError, match=r"f_min 0, the vocoder's 60"):
        load(folder)


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"no such model; shipped: .*grid"):
        load("nothing")


def test_a_mistyped_folder_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(CheckpointError, match="runs/mine: no such model"):
        load("runs/mine")


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "grid"
    shutil.copytree(SHIPPED / "grid", folder)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load(folder)


def test_synthesis_leaves_no_graph_behind(voice: Synthesizer) -> None:
    voice.speak_crops(np.zeros((6, 96, 96), np.uint8))
    assert torch.is_grad_enabled()


def test_a_folder_of_the_same_name_does_not_hide_a_shipped_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid").mkdir()
    assert find_model("grid") == SHIPPED / "grid"
    (tmp_path / "grid/best").mkdir()
    (tmp_path / "grid/best/card.json").write_text("{}")
    assert find_model("grid") == Path("grid/best")
    (tmp_path / "mine").mkdir()
    assert find_model("mine") == Path("mine")
