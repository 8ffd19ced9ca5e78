from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from unsilent.training.plots import mel_figure, save_figure


@pytest.mark.parametrize("frames", [1, 7, 75])
def test_strip_and_mels_on_one_axis_of_time(tmp_path: Path, frames: int) -> None:
    mel = np.random.default_rng(0).uniform(-11, 2, (80, 4 * frames)).astype(np.float32)
    crops = np.full((frames, 16, 16), 128, np.uint8)
    figure = mel_figure(crops, {"true": mel, "predicted": mel - 1})
    assert len(figure.axes) == 3
    assert figure.axes[1].get_xlim() == figure.axes[2].get_xlim() == (0, frames / 25)
    assert [axis.get_ylabel().split("\n")[0] for axis in figure.axes[1:]] == ["true", "predicted"]
    save_figure(figure, str(tmp_path / "mel.png"))
    picture = cv2.imread(str(tmp_path / "mel.png"))
    assert picture is not None
    assert picture.std() > 10


def test_mels_alone() -> None:
    assert len(mel_figure(None, {"spoken": np.zeros((80, 8), np.float32)}).axes) == 1
