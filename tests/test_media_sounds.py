from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from tests.evaluation.sounds import speech

from unsilent.errors import MediaError, OutputError
from unsilent.media import SYNTHETIC_TAG, read_audio, write_audio
from unsilent.media.sounds import SoundKind, opus_bytes, sound_kind


def test_opus_in_memory_is_small_and_sounds_the_same(tmp_path: Path) -> None:
    samples = speech(2.0)
    data = opus_bytes(samples, 24_000, synthetic=True)
    assert len(data) < 2.0 * 32_000 / 8 * 1.3
    path = tmp_path / "a.ogg"
    path.write_bytes(data)
    heard = read_audio(path, 24_000)
    assert abs(len(heard) - len(samples)) <= 24
    length = min(len(heard), len(samples))
    assert np.corrcoef(heard[:length], samples[:length])[0, 1] > 0.97


@pytest.mark.parametrize("synthetic", [True, False])
def test_only_made_up_speech_is_tagged(synthetic: bool) -> None:
    with av.open(io.BytesIO(opus_bytes(speech(0.3), 24_000, synthetic=synthetic))) as container:
        tags = {**container.metadata, **container.streams.audio[0].metadata}
    assert (tags.get("comment") == SYNTHETIC_TAG) == synthetic


def test_no_sound_is_refused() -> None:
    for wrong in (np.zeros(0, np.float32), np.full(9, np.nan, np.float32)):
        with pytest.raises(OutputError):
            opus_bytes(wrong, 24_000, synthetic=True)


def test_kind_of_sound(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", speech(0.2), 16_000)
    assert sound_kind(tmp_path / "a.wav") == SoundKind(16_000, 1)
    (tmp_path / "b.wav").write_text("no sound")
    for name in ("b.wav", "absent.wav"):
        with pytest.raises(MediaError):
            sound_kind(tmp_path / name)
