"""ONNX Runtime speaks as torch does: a real clip, windows, streams, voices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.models.small import CONFIG, VOCODER, reconstructor, unsettle

from unsilent.errors import CheckpointError
from unsilent.export import export_onnx
from unsilent.files import cache_folder
from unsilent.models import Vocoder
from unsilent.models.config import SpeakerConfig
from unsilent.models.pretrained import save_model
from unsilent.synthesis import Synthesizer, WindowPlan, load
from unsilent.synthesis.clock import Clock
from unsilent.synthesis.engine import TorchEngine
from unsilent.synthesis.onnx_engine import OnnxEngine, read_exported

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSILENT_CACHE", str(cache))


def crops_of(frames: int) -> NDArray[np.uint8]:
    smooth = np.linspace(0, 6 * np.pi, frames)[:, None, None] + np.linspace(0, 3, 96)[:, None]
    noise = np.random.default_rng(0).normal(0, 12, (frames, 96, 96))
    return np.clip(120 + 60 * np.sin(smooth) + noise, 0, 255).astype(np.uint8)


def folder_of(where: Path) -> Path:
    torch.manual_seed(0)
    vocoder = Vocoder(VOCODER)
    unsettle(vocoder)
    save_model(where, reconstructor(), CONFIG, {"name": "small"}, torch.float32)
    save_model(where / "vocoder", vocoder, VOCODER, {}, torch.float32)
    return where


def test_a_real_clip_sounds_the_same(talking_video: Path, cache: Path) -> None:
    by_torch, by_onnx = load("grid"), load("grid", engine="onnx")
    assert (by_torch.engine, by_onnx.engine) == ("torch", "onnx")
    wanted, made = by_torch.speak(talking_video), by_onnx.speak(talking_video)
    assert np.abs(wanted.samples).max() > 0.01
    np.testing.assert_allclose(made.mel, wanted.mel, atol=TOLERANCE)
    np.testing.assert_allclose(made.samples, wanted.samples, atol=TOLERANCE)
    assert set(made.timings) == {"decode", "face", "model", "vocoder"}
    assert by_onnx.card["sha256"] == by_torch.card["sha256"]
    assert by_onnx.config == by_torch.config
    # The second time it is read from the cache.
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*.onnx")}
    assert {path.name for path in kept} == {"model.onnx", "vocoder.onnx"}
    again = load("grid", engine="onnx").speak(talking_video)
    np.testing.assert_array_equal(again.samples, made.samples)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.onnx")} == kept


def test_windows_and_streams_are_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m")
    voices = [load(folder), load(folder, engine="onnx")]
    crops, pieces, mels = crops_of(150), [], []
    for voice in voices:
        voice.windows = WindowPlan(core=40, context=10, fade=4)
        heard: list[NDArray[np.float32]] = []
        pieces.append(list(voice.samples(iter(crops), Clock(), heard.append)))
        mels.append(np.concatenate(heard, axis=1))
    assert len(pieces[0]) > 2
    assert [len(piece) for piece in pieces[0]] == [len(piece) for piece in pieces[1]]
    np.testing.assert_allclose(mels[1], mels[0], atol=TOLERANCE)
    np.testing.assert_allclose(np.concatenate(pieces[1]), np.concatenate(pieces[0]), atol=TOLERANCE)


def test_another_checkpoint_is_another_file_in_the_cache(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m")
    first = load(folder, engine="onnx").speak_crops(crops_of(6)).mel
    torch.manual_seed(5)
    save_model(folder, reconstructor(), CONFIG, {"name": "small"}, torch.float32)
    second = load(folder, engine="onnx").speak_crops(crops_of(6)).mel
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_allclose(second, load(folder).speak_crops(crops_of(6)).mel, atol=TOLERANCE)


def test_an_exported_file_speaks_without_its_folder(tmp_path: Path) -> None:
    model, vocoder = reconstructor(), Vocoder(VOCODER).eval()
    for path in (tmp_path / "one.onnx", tmp_path / "parts"):
        export_onnx(model, CONFIG, vocoder, {"name": "small"}, path)
        voice = load(path)
        assert (voice.engine, voice.name) == ("onnx", "small")
        wanted = Synthesizer(model, CONFIG, vocoder, {}).speak_crops(crops_of(8))
        np.testing.assert_allclose(voice.speak_crops(crops_of(8)).samples, wanted.samples, atol=TOLERANCE)


def test_voices_are_told_the_same_way(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"speaker": SpeakerConfig(width=6, hidden=8, blocks=2)})
    model, vocoder = reconstructor(config), Vocoder(VOCODER).eval()
    by_torch = Synthesizer(model, config, vocoder, {"name": "told"})
    export_onnx(model, config, vocoder, {"name": "told"}, tmp_path / "told")
    by_onnx = load(tmp_path / "told")
    reference = np.random.default_rng(1).normal(0, 0.1, 24_000).astype(np.float32)
    told = by_onnx.voice_of(reference)
    np.testing.assert_allclose(told, by_torch.voice_of(reference), atol=TOLERANCE)
    for voice in (None, told):
        made, wanted = (each.predict_mel(crops_of(9), voice=voice) for each in (by_onnx, by_torch))
        np.testing.assert_allclose(made, wanted, atol=TOLERANCE)
    assert np.abs(by_onnx.predict_mel(crops_of(9)) - by_onnx.predict_mel(crops_of(9), voice=told)).max() > TOLERANCE
    export_onnx(model, config, vocoder, {"name": "told"}, tmp_path / "told.onnx")
    with pytest.raises(CheckpointError, match="to a folder"):
        load(tmp_path / "told.onnx").voice_of(reference)


def test_half_an_export_is_refused(tmp_path: Path) -> None:
    export_onnx(reconstructor(), CONFIG, Vocoder(VOCODER).eval(), {"name": "small"}, tmp_path / "m")
    (tmp_path / "m" / "vocoder.onnx").unlink()
    with pytest.raises(CheckpointError, match="only a part"):
        read_exported(tmp_path / "m")


def test_an_unknown_engine_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="torch, onnx"):
        load("grid", engine="tensor")


def test_the_engines_are_alike_in_what_they_are_asked(tmp_path: Path) -> None:
    model, vocoder = reconstructor(), Vocoder(VOCODER).eval()
    export_onnx(model, CONFIG, vocoder, {"name": "small"}, tmp_path / "m")
    by_torch, by_onnx = TorchEngine(model, vocoder), OnnxEngine(tmp_path / "m")
    assert by_onnx.context_frames == by_torch.context_frames == vocoder.context_frames
    mel = np.random.default_rng(0).normal(-4, 1, (80, 3)).astype(np.float32)
    np.testing.assert_allclose(by_onnx.vocode(mel), by_torch.vocode(mel), atol=TOLERANCE)


def test_the_cache_is_where_it_is_told_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder("onnx").name == "onnx"
    monkeypatch.delenv("UNSILENT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder("onnx") == tmp_path / "unsilent" / "onnx"
