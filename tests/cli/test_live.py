from __future__ import annotations

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from tests.synthesis.test_live import CONFIG

from unsilent.cli import main
from unsilent.errors import MediaError
from unsilent.media import read_video
from unsilent.media.live import read_live
from unsilent.models import Vocoder, build_reconstructor
from unsilent.models.config import VocoderConfig
from unsilent.models.pretrained import save_model
from unsilent.synthesis import load


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streaming")
    save_model(folder, build_reconstructor(CONFIG), CONFIG, {"name": "streaming"})
    config = VocoderConfig(width=16, hidden=32, blocks=2, kernel=3, phase_iterations=4)
    save_model(folder / "vocoder", Vocoder(config), config, {"name": "vocoder"})
    return folder


def _piped(video: Path, rate: int = 25, kind: str = "matroska") -> io.BytesIO:
    """The video as a camera at ``rate`` frames a second would send it."""
    pipe = io.BytesIO()
    with av.open(pipe, "w", format=kind) as sink:
        stream = sink.add_stream("mpeg4", rate=rate)
        pictures = list(read_video(video, rate))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"qscale": "2"}
        for picture in pictures:
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        sink.mux(stream.encode())
    pipe.seek(0)
    return pipe


@pytest.mark.parametrize(("rate", "kind"), [(25, "matroska"), (30, "mpegts"), (50, "matroska"), (10, "matroska")])
def test_pictures_of_a_pipe_come_at_25_a_second(talking_video: Path, rate: int, kind: str) -> None:
    expected = list(read_video(talking_video))
    seen = list(read_live("-", pipe=_piped(talking_video, rate, kind)))
    assert abs(len(seen) - len(expected)) <= 25 / rate + 2
    assert seen[0].shape == expected[0].shape
    if rate == 25:
        assert np.abs(seen[4].astype(int) - expected[4]).mean() < 6


def test_what_is_no_video_is_refused() -> None:
    with pytest.raises(MediaError, match="no video"):
        list(read_live("-", pipe=io.BytesIO(b"nothing to see here" * 100)))


def test_a_file_is_no_camera(tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").touch()
    with pytest.raises(MediaError, match=r"talk\.mp4: is a file, not a camera; leave --live out"):
        list(read_live(str(tmp_path / "talk.mp4")))


def test_a_camera_that_is_not_there_is_refused() -> None:
    with pytest.raises(MediaError, match="camera"):
        list(read_live("/dev/video77"))


class _Input:
    def __init__(self, pipe: io.BytesIO) -> None:
        self.buffer = pipe


def test_a_pipe_becomes_a_sound_file(
    model: Path, talking_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _Input(_piped(talking_video)))
    arguments = ["speak", "--live", "-", "--model", str(model), "-o", str(tmp_path / "out.wav")]
    assert main([*arguments, "--json", str(tmp_path / "live.json")]) == 0
    samples, rate = soundfile.read(tmp_path / "out.wav")
    found = json.loads((tmp_path / "live.json").read_text())
    assert len(samples) == found["frames"] * 960
    assert rate == 24_000
    assert found["latencies"]


def test_the_shipped_model_speaks_where_none_is_named(
    talking_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = _piped(talking_video)
    (tmp_path / "same.mkv").write_bytes(piped.getvalue())
    monkeypatch.setattr("sys.stdin", _Input(piped))
    arguments = ["speak", "--live", "-", "-o", str(tmp_path / "out.wav"), "--json", str(tmp_path / "live.json")]
    assert main(arguments) == 0
    assert json.loads((tmp_path / "live.json").read_text())["model"] == "grid-stream"
    live, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    whole = load("grid-stream").speak(tmp_path / "same.mkv").samples
    np.testing.assert_allclose(live, whole, atol=2e-4)  # 16 bits a sample


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["-", "--model", "grid"], "choose a model that streams"),
        (["-", "-o", "out.mp4"], "name a .wav file"),
        (["a", "b"], "name one"),
        (["-", "--spectrogram", "a.png"], "leave those options out"),
        (["-", "--engine", "onnx"], "leave those options out"),
        (["-", "-o", "-", "--json", "-"], "name a file"),
    ],
)
def test_mistakes_get_one_line(arguments: list[str], remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speak", "--live", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert remedy in error
    assert "Traceback" not in error
