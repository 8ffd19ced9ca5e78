"""A model that makes waveforms speaks without a vocoder, and without seams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.models.small import ENCODER, unsettle

from unsilent.errors import CheckpointError
from unsilent.models import ConformerConfig, ReconstructorConfig, build_reconstructor
from unsilent.models.config import WaveDecoderConfig
from unsilent.models.pretrained import save_model
from unsilent.synthesis import Synthesizer, WindowPlan, load

CONFIG = ReconstructorConfig(
    encoder=ENCODER,
    temporal=ConformerConfig(width=8, blocks=1, heads=2, hidden=12, kernel=3, dropout=0),
    decoder=WaveDecoderConfig(strides=(5, 4, 4, 12), widths=(8, 8, 6, 4), blocks=1),
)


def voice_of(windows: WindowPlan | None = None) -> Synthesizer:
    torch.manual_seed(0)
    model = build_reconstructor(CONFIG)
    unsettle(model)
    with torch.no_grad():
        model.decoder.head.weight.mul_(20)  # type: ignore[union-attr, operator]
    return Synthesizer(model.eval(), CONFIG, None, {"name": "tiny"}, windows)


def crops_of(frames: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (frames, 96, 96), np.uint8)


def test_samples_come_straight_from_the_model() -> None:
    voice = voice_of()
    speech = voice.speak_crops(crops_of(30))
    assert speech.samples.shape == (30 * 960,)
    assert speech.samples.dtype == np.float32
    assert 0 < np.abs(speech.samples).max() <= 1
    assert set(speech.timings) == {"model"}
    np.testing.assert_array_equal(speech.mel, voice.mel(speech.samples))
    np.testing.assert_allclose(voice.predict_mel(crops_of(30)), speech.mel, atol=1e-5)


def test_windows_leave_no_seam() -> None:
    crops = crops_of(90)
    whole = voice_of().speak_crops(crops).samples
    pieces = voice_of(WindowPlan(core=32, context=16, fade=4)).speak_crops(crops).samples
    assert pieces.shape == whole.shape
    # Attention sees a window instead of the whole clip: the same but for that, and no step where windows meet.
    error = np.abs(pieces - whole)
    assert np.corrcoef(pieces, whole)[0, 1] > 0.9
    steps, seams = np.abs(np.diff(pieces)), [32 * 960, 36 * 960, 64 * 960, 68 * 960]
    assert max(steps[seam - 2 : seam + 2].max() for seam in seams) <= steps.max()
    assert error.max() < np.abs(whole).max()


def test_a_folder_is_loaded_without_a_vocoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(tmp_path, build_reconstructor(CONFIG), CONFIG, {"name": "tiny"})
    voice = load(tmp_path)
    assert voice.speak_crops(crops_of(6)).samples.shape == (6 * 960,)
    with pytest.raises(CheckpointError, match="without a vocoder"):
        voice.vocode(np.zeros((80, 8), np.float32))
