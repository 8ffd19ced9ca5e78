from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.speech_sounds import save, speech

from unsilent.errors import MediaError
from unsilent.synthesis.reference import LONGEST, read_reference

RATE = 24_000


def test_a_file_and_its_samples_are_heard_alike(tmp_path: Path) -> None:
    samples = speech(2.0, rate=RATE)
    path = save(tmp_path / "voice.wav", samples, RATE)
    np.testing.assert_allclose(read_reference(path, RATE), read_reference(samples, RATE), atol=1e-4)


def test_no_more_than_half_a_minute_is_heard() -> None:
    samples = np.tile(speech(10.0, rate=RATE), 5)
    heard = read_reference(samples, RATE)
    np.testing.assert_array_equal(heard, samples[: round(LONGEST * RATE)])


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(0, np.float32), "the reference: only 0.00 s of sound"),
        (np.full(RATE // 4, 0.1, np.float32), "the reference: only 0.25 s"),
        (np.zeros(RATE, np.float32), "the reference: is silent"),
    ],
)
def test_what_is_no_voice_is_refused(samples: np.ndarray, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        read_reference(samples, RATE)


def test_the_message_names_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "quiet.wav", np.zeros(RATE, np.float32), RATE)
    with pytest.raises(MediaError, match=r"quiet\.wav: is silent"):
        read_reference(path, RATE)
    with pytest.raises(MediaError, match=r"none\.wav"):
        read_reference(tmp_path / "none.wav", RATE)
