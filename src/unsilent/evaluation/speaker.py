"""Who is heard: speaker embeddings by the network of Resemblyzer (GE2E, Wan et al. 2018; Apache-2.0).

Its weights come with the package resemblyzer 0.1.4; they are read directly, without its pickled code being run, because
the package itself imports librosa. What is done to the sound before is as there: loudness, trimming, linear mels,
windows of 1.6 s.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.files import sha256_file

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["RATE", "embed", "network_file"]

RATE: Final = 16_000
_SHA256: Final = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
_REMEDY: Final = "pip install --no-deps resemblyzer==0.1.4"
_WIDTH, _BANDS, _LAYERS = 256, 40, 3
_LOUDNESS: Final = -30.0
_WINDOW: Final = 480
"""Samples that voice activity is judged on: 30 ms."""
_FRAME, _FRAMES = 160, 160
"""Samples a mel frame, and mel frames a window."""
_STEP: Final = round(RATE / 1.3 / _FRAME)
_COVERAGE: Final = 0.75


def network_file() -> Path:
    """Where the network is, or would be."""
    spec = find_spec("resemblyzer")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places or ["resemblyzer"]))) / "pretrained.pt"


@lru_cache(maxsize=1)
def _network() -> tuple[nn.LSTM, nn.Linear]:
    import torch
    from torch import nn

    path = network_file()
    if not path.is_file():
        raise EvaluationError(f"{path}: is missing; {_REMEDY}")
    if sha256_file(path) != _SHA256:
        raise EvaluationError(f"{path}: is not the network of resemblyzer 0.1.4; {_REMEDY}")
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = nn.LSTM(_BANDS, _WIDTH, _LAYERS, batch_first=True), nn.Linear(_WIDTH, _WIDTH)
    lstm.load_state_dict({name[5:]: value for name, value in state.items() if name.startswith("lstm.")})
    linear.load_state_dict({name[7:]: value for name, value in state.items() if name.startswith("linear.")})
    return lstm.eval(), linear.eval()


def embed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Embedding (256,) of length 1 of the voice in (n,) samples at 16 kHz; two of one voice have a cosine of about .8.

    Raises:
        EvaluationError: the package is missing, or nothing in the samples is taken for speech.
    """
    return _embed(np.ascontiguousarray(samples, np.float32).tobytes())


# All systems of a clip are compared with one real voice.
@lru_cache(maxsize=4)
def _embed(sound: bytes) -> NDArray[np.float32]:
    import torch
    from torch.nn import functional

    lstm, linear = _network()
    speech = _speech(np.frombuffer(sound, np.float32))
    if not len(speech):
        raise EvaluationError("no speech is found, so there is no voice to compare")
    starts = _starts(len(speech))
    speech = np.pad(speech, (0, max(0, (starts[-1] + _FRAMES) * _FRAME - len(speech))))
    with torch.inference_mode():
        mel = _mel(torch.from_numpy(speech))
        windows = torch.stack([mel[start : start + _FRAMES] for start in starts])
        _, (hidden, _) = lstm(windows)
        partial = functional.normalize(linear(hidden[-1]).relu(), dim=1)
        embedding: NDArray[np.float32] = functional.normalize(partial.mean(0), dim=0).numpy()
    embedding.flags.writeable = False
    return embedding


def _speech(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples, no quieter than -30 dBFS, without long silences."""
    import webrtcvad

    level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    if level == 0:
        return samples[:0]
    samples = samples * np.float32(max(1.0, 10 ** (_LOUDNESS / 20) / level))
    windows = samples[: len(samples) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    pcm = np.round(np.clip(windows, -1, 1) * 32767).astype("<i2")
    detector = webrtcvad.Vad(3)
    voiced = np.array([detector.is_speech(window.tobytes(), RATE) for window in pcm], float)
    # A moving average over 8 windows, three before and four after, then everything within three windows of speech.
    sums = np.convolve(np.pad(voiced, (3, 4)), np.ones(8), "valid")
    near = np.convolve(np.round(sums / 8), np.ones(7), "same") > 0
    return np.asarray(windows[near[: len(windows)]].reshape(-1), np.float32)


def _starts(samples: int) -> list[int]:
    """First mel frames of the windows; the last is left out if too little of it is sound."""
    frames = -(-(samples + 1) // _FRAME)
    starts = list(range(0, max(1, frames - _FRAMES + _STEP + 1), _STEP))
    covered = (samples - starts[-1] * _FRAME) / (_FRAMES * _FRAME)
    return starts[:-1] if covered < _COVERAGE and len(starts) > 1 else starts


def _mel(samples: Tensor) -> Tensor:
    """Linear mel power (M, 40) of samples (n,), with frames centred as librosa does it."""
    import torch

    from unsilent.features import MelConfig, mel_filterbank

    config = MelConfig(sample_rate=RATE, n_fft=400, hop_length=_FRAME, win_length=400, n_mels=_BANDS, f_max=RATE / 2)
    spectrum = torch.stft(
        samples, 400, _FRAME, window=torch.hann_window(400), center=True, pad_mode="constant", return_complex=True
    )
    return (mel_filterbank(config) @ spectrum.abs().square()).T
