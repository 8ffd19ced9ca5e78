"""Bandwidth: measured from the sound, whatever the file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr
from tests.speech_sounds import RATE, speech, syllables

from unsilent.listening import measure_bandwidth, read_recording


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 32_000])
def test_resampled_speech_shows_its_rate(rate: int) -> None:
    narrow = soxr.resample(soxr.resample(syllables(2.0), RATE, rate), rate, RATE)
    rounded = np.rint(narrow * 32767).astype(np.float32) / 32768
    assert measure_bandwidth(rounded, RATE) == pytest.approx(rate / 2, rel=0.08)


@pytest.mark.parametrize("gain", [1e-2, 1.0, 3.0])
def test_full_band_at_any_level(gain: float) -> None:
    assert measure_bandwidth(syllables(2.0) * np.float32(gain), RATE) > 22_000


def test_whistle_is_no_bandwidth() -> None:
    narrow = soxr.resample(soxr.resample(syllables(2.0), RATE, 8_000), 8_000, RATE).astype(np.float32)
    whistle = 0.01 * np.sin(2 * np.pi * 15_625 * np.arange(len(narrow)) / RATE)
    assert measure_bandwidth((narrow + whistle).astype(np.float32), RATE) < 5_000


@pytest.mark.parametrize("count", [0, 10, 5000])
def test_silence_has_none(count: int) -> None:
    assert measure_bandwidth(np.zeros(count, np.float32), RATE) == 0


def test_short_sound_has_one() -> None:
    assert measure_bandwidth(speech(0.03), RATE) > 0


def test_real_speech(shared_data: Path) -> None:
    folder = shared_data / "speech" / "artikulate"
    samples, rate = read_recording(min(folder.glob("ba_*.opus")))
    assert samples is not None
    assert rate == 48_000
    assert measure_bandwidth(samples, RATE) > 14_000
    narrow = soxr.resample(soxr.resample(samples, RATE, 8_000), 8_000, RATE).astype(np.float32)
    assert measure_bandwidth(narrow, RATE) == pytest.approx(4_000, abs=250)
