"""Speaking while video arrives, by a small model that streams: the sound of a file, early enough, and the errors."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from unsilent.errors import CheckpointError, FaceError, MediaError
from unsilent.face import track_mouth
from unsilent.media import SYNTHETIC_TAG, read_video
from unsilent.models import ReconstructorConfig, Vocoder, build_reconstructor
from unsilent.models.config import VocoderConfig
from unsilent.synthesis import Synthesizer, load
from unsilent.synthesis.live import pcm_stream, speak_live, wave_file

CHUNK = 4
CONFIG = ReconstructorConfig.model_validate(
    {
        "encoder": {"resize": 20, "crop": 16, "stem_channels": 4, "widths": [4, 8], "out_width": 8},
        "temporal": {"width": 8, "blocks": 2, "heads": 2, "hidden": 16, "kernel": 5, "chunk": CHUNK, "history": 8},
        "decoder": {"width": 8, "blocks": 2, "causal": True},
    }
)


@pytest.fixture(scope="module")
def streaming() -> Synthesizer:
    torch.manual_seed(0)
    vocoder = Vocoder(VocoderConfig(width=16, hidden=32, blocks=2, kernel=3, phase_iterations=4)).eval()
    model = build_reconstructor(CONFIG).eval()
    # Without this a model that has learnt nothing says nothing.
    torch.nn.init.normal_(model.decoder.project.weight, std=1.0)  # type: ignore[union-attr, arg-type]
    torch.nn.init.constant_(model.decoder.project.bias, -4.0)  # type: ignore[union-attr, arg-type]
    return Synthesizer(model, CONFIG, vocoder, {"name": "streaming"})


@pytest.fixture(scope="module")
def frames(talking_video: Path) -> list[NDArray[np.uint8]]:
    return list(read_video(talking_video))


def test_frames_that_arrive_sound_like_the_file(
    streaming: Synthesizer, frames: list[NDArray[np.uint8]], talking_video: Path
) -> None:
    streamed = np.concatenate(list(streaming.stream(iter(frames))))
    spoken = streaming.speak(talking_video)
    np.testing.assert_array_equal(streamed, spoken.samples)
    assert streamed.shape == (960 * len(frames),)
    assert streamed.std() > 1e-4


def test_the_mel_is_that_of_one_pass_over_the_whole_clip(
    streaming: Synthesizer, frames: list[NDArray[np.uint8]]
) -> None:
    crops = track_mouth(iter(frames), live=True).crops
    spoken = streaming.speak_crops(crops)
    np.testing.assert_allclose(spoken.mel, streaming.predict_mel(crops), atol=1e-3)


def test_sound_comes_while_frames_are_still_awaited(streaming: Synthesizer, frames: list[NDArray[np.uint8]]) -> None:
    seen = 0
    many = list(frames) * 3

    def arriving() -> Iterator[NDArray[np.uint8]]:
        nonlocal seen
        for frame in many:
            seen += 1
            yield frame

    made = 0
    for piece in streaming.stream(arriving()):
        # A chunk, the encoder's 2 frames, the tracker's 1, and 1.9 of the vocoder's look-ahead and window.
        if made and seen < len(many):
            assert seen - made / 960 <= CHUNK + 2 + 1 + 2
        made += len(piece)
    assert made == 960 * len(many)


def test_latency_is_measured_from_arrival_to_sound(streaming: Synthesizer, frames: list[NDArray[np.uint8]]) -> None:
    ticks = count()
    pieces: list[NDArray[np.float32]] = []
    done = speak_live(streaming, frames, pieces.append, now=lambda: next(ticks) / 25)
    assert done.frames == len(frames)
    assert done.seconds == pytest.approx(len(frames) / 25)
    assert len(done.latencies) == len(pieces)
    assert 0 < done.latency < 1.5
    assert set(done.timings) == {"decode", "face", "model", "vocoder"}


def test_ctrl_c_keeps_what_was_said(streaming: Synthesizer, frames: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    def interrupted() -> Iterator[NDArray[np.uint8]]:
        yield from frames
        raise KeyboardInterrupt

    path = tmp_path / "live.wav"
    with wave_file(path, streaming.sample_rate) as sink:
        done = speak_live(streaming, interrupted(), sink)
    samples, rate = soundfile.read(path)
    assert rate == 24_000
    assert 0 < len(samples) == round(done.seconds * rate) < 960 * len(frames)
    assert SYNTHETIC_TAG.encode() in path.read_bytes()


def test_what_was_said_before_the_camera_went_away_is_kept(
    streaming: Synthesizer, frames: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    def unplugged() -> Iterator[NDArray[np.uint8]]:
        yield from frames
        raise MediaError("camera: stopped")

    with wave_file(tmp_path / "live.wav", streaming.sample_rate) as sink:
        done = speak_live(streaming, unplugged(), sink)
    assert "stopped" in str(done.failure)
    assert len(soundfile.read(tmp_path / "live.wav")[0]) == round(done.seconds * 24_000) > 0


def test_a_pipe_gets_wav_of_unknown_length() -> None:
    pipe, tone = io.BytesIO(), np.sin(np.arange(2400) / 20).astype(np.float32)
    sink = pcm_stream(pipe, 24_000)
    sink(tone[:1000])
    sink(tone[1000:] * 2)
    data = pipe.getvalue()
    start = data.index(b"data") + 8
    heard = np.frombuffer(data[start:], "<i2") / 32_767
    np.testing.assert_allclose(heard, np.concatenate([tone[:1000], (tone[1000:] * 2).clip(-1, 1)]), atol=1e-4)
    assert SYNTHETIC_TAG.encode() in data[:start]


def test_a_model_that_waits_is_refused(frames: list[NDArray[np.uint8]]) -> None:
    with pytest.raises(CheckpointError, match="waits for the end"):
        load("grid").stream(iter(frames))


def test_faceless_and_short_streams_are_refused(streaming: Synthesizer, frames: list[NDArray[np.uint8]]) -> None:
    with pytest.raises(FaceError, match="no face"):
        list(streaming.stream(np.zeros((20, 120, 160, 3), np.uint8)))
    with pytest.raises(MediaError, match="only 3 frames"):
        list(streaming.stream(frames[:3]))


def test_a_face_that_leaves_is_held(streaming: Synthesizer, frames: list[NDArray[np.uint8]]) -> None:
    empty = [np.zeros_like(frames[0])] * 6
    samples = np.concatenate(list(streaming.stream(chain(frames, empty, frames))))
    assert np.isfinite(samples).all()
    assert len(samples) == 960 * (2 * len(frames) + 6)
