from __future__ import annotations

import numpy as np

from unsilent.demonstration import Demonstration
from unsilent.media import probe, read_audio


def test_the_sound_is_taken_out_and_another_put_in(shown: Demonstration) -> None:
    assert not probe(shown.files["silent"]).has_audio
    real, spoken = (read_audio(shown.files[name], 24_000) for name in ("original", "spoken"))
    assert spoken.std() > 1e-3
    length = min(len(real), len(spoken))
    assert not np.allclose(real[:length], spoken[:length], atol=1e-2)
    assert all(path.stat().st_size > 1000 for path in shown.files.values())


def test_what_comes_out_can_be_understood(shown: Demonstration) -> None:
    estoi = shown.metrics["estoi"]
    assert estoi.value is not None
    assert estoi.ceiling is not None
    assert 0.45 < estoi.value < estoi.ceiling


def test_a_metric_without_its_package_says_why(shown: Demonstration) -> None:
    wer = shown.metrics["wer_constrained"]
    assert (wer.value is None) == (wer.reason is not None)
    assert (wer.value is None) == (shown.heard is None)
