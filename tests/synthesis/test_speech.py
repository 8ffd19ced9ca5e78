from __future__ import annotations

import numpy as np

from unsilent.synthesis import Speech


def test_length_in_seconds() -> None:
    speech = Speech(np.zeros(12_000, np.float32), 24_000, np.zeros((80, 50), np.float32))
    assert speech.seconds == 0.5
