from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.sounds import speech
from tests.models.small import CONFIG, reconstructor

from unsilent.errors import CheckpointError
from unsilent.features import MelConfig
from unsilent.models.config import AudioEncoderConfig, ReconstructorConfig
from unsilent.models.pretrained import save_model
from unsilent.synthesis import Copier


def audio_model(folder: Path, mel: MelConfig | None = None) -> Path:
    encoder = AudioEncoderConfig(widths=(4, 4, 4, 4, 4), bottleneck=4, out_width=8)
    changes = {"encoder": encoder} | ({"mel": mel} if mel else {})
    config = ReconstructorConfig.model_validate(CONFIG.model_dump() | {k: v.model_dump() for k, v in changes.items()})
    save_model(folder, reconstructor(config), config, {"name": "echo"}, torch.float32)
    return folder


@pytest.mark.parametrize("length", [24_000, 24_001, 500])
def test_copy_is_as_long_as_the_sound(tmp_path: Path, length: int) -> None:
    copier = Copier(audio_model(tmp_path / "a2a"))
    assert copier.name == "echo"
    assert copier.sample_rate == 24_000
    sound = speech(2.0)[:length]
    made = copier.copy(sound)
    assert made.shape == sound.shape
    assert made.dtype == np.float32
    assert np.abs(made).max() <= 1
    assert np.array_equal(made, copier.copy(sound))
    assert not np.array_equal(made, copier.copy(-0.5 * sound))


def test_models_that_cannot_copy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="reads video"):
        Copier("grid")
    with pytest.raises(CheckpointError, match="no such model"):
        Copier(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="its mel is not its vocoder's"):
        Copier(audio_model(tmp_path / "other", MelConfig(f_max=8000.0)))
