"""Silent video to speech."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.errors import CheckpointError, FaceError
from unsilent.face import FPS, MouthFrame, MouthTrack, stream_mouth
from unsilent.features import MelConfig, log_mel
from unsilent.media import read_video
from unsilent.models.config import ReconstructorConfig
from unsilent.models.folding import fold_batch_norms
from unsilent.models.pretrained import load_reconstructor, load_vocoder, read_card
from unsilent.models.reconstructor import Reconstructor
from unsilent.models.video import centre_crop, resize_crops
from unsilent.models.vocoder import Vocoder
from unsilent.synthesis.speech import Speech
from unsilent.synthesis.windows import WindowPlan, windowed_mel, windowed_samples

__all__ = ["Synthesizer", "load", "shipped_models"]

WEIGHTS = Path(__file__).parent.parent / "weights"
DEFAULT_MODEL = "grid"
VOCODER_FOLDER = "vocoder"
T = TypeVar("T")


def shipped_models() -> list[str]:
    """Names of the models in the package."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/card.json"))


def load(model: str | Path = DEFAULT_MODEL) -> Synthesizer:
    """Load a synthesiser: a video-to-mel model with its vocoder.

    A model folder brings its vocoder in ``vocoder/``; one without, such as ``runs/NAME/best``, is heard through the
    shipped one, if their mels are the same.

    Args:
        model: the name of a shipped model, or a model folder.

    Raises:
        CheckpointError: there is no such model, it is damaged, or its mel is not the vocoder's.
    """
    folder = Path(model)
    if not folder.is_dir():
        folder = WEIGHTS / str(model)
        if str(model) not in shipped_models():
            known = ", ".join(shipped_models()) or "none"
            raise CheckpointError(f"{model}: no such model; shipped: {known}; or give a folder that holds card.json")
    reconstructor, config, card = load_reconstructor(folder)
    own = folder / VOCODER_FOLDER
    vocoder, vocoder_config, _ = load_vocoder(own if own.is_dir() else WEIGHTS / DEFAULT_MODEL / VOCODER_FOLDER)
    if vocoder_config.mel != config.mel:
        raise CheckpointError(f"{folder}: its mel ({config.mel}) is not its vocoder's ({vocoder_config.mel})")
    return Synthesizer(reconstructor, config, vocoder, card)


class Synthesizer:
    """Turns video, or mouth crops, into speech.

    Args:
        reconstructor: video to mel, in evaluation mode.
        config: its settings.
        vocoder: mel to waveform, in evaluation mode.
        card: what is known about the model.
        windows: how long clips are cut.
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        config: ReconstructorConfig,
        vocoder: Vocoder,
        card: dict[str, Any],
        windows: WindowPlan | None = None,
    ) -> None:
        self.config, self.card, self.windows = config, card, windows or WindowPlan()
        self._model = fold_batch_norms(reconstructor.eval())
        self._model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._vocoder = vocoder.eval()

    @property
    def sample_rate(self) -> int:
        """Samples a second of the speech."""
        return self.config.mel.sample_rate

    @property
    def name(self) -> str:
        """Name on the model's card."""
        return str(self.card.get("name", "unnamed"))

    def speak(
        self, video: str | Path, *, face: int | None = None, on_frame: Callable[[], None] | None = None
    ) -> Speech:
        """Give a video its speech.

        Args:
            video: any file that `unsilent.media.read_video` reads.
            face: which face, from left to right; the one whose mouth moves most if not given.
            on_frame: called after every frame that the tracker has seen.

        Raises:
            MediaError: the file cannot be read as video.
            FaceError: there is no usable face.
        """
        clock = _Clock()
        frames: list[MouthFrame] = []
        mels: list[NDArray[np.float32]] = []
        stream = self._crops(Path(video), face, clock, frames.append, on_frame)
        samples = np.concatenate(list(self._samples(stream, clock, mels.append)))
        return Speech(
            samples,
            self.sample_rate,
            np.concatenate(mels, axis=1),
            MouthTrack.of(frames),
            Path(video),
            clock.seconds,
        )

    def stream_file(
        self, video: str | Path, *, face: int | None = None, on_frame: Callable[[], None] | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Speech of a video in pieces that follow one another, with memory that does not grow with its length.

        Arguments and errors as `speak`.
        """
        clock = _Clock()
        stream = self._crops(Path(video), face, clock, lambda frame: None, on_frame)
        yield from self._samples(stream, clock, lambda mel: None)

    def speak_crops(self, crops: NDArray[np.uint8]) -> Speech:
        """Speech of mouth crops (T, 96, 96) at 25 fps, as `unsilent.face.track_mouth` cuts them.

        Raises:
            FaceError: there is no crop.
        """
        if not len(crops):
            raise FaceError("no mouth crops were given")
        clock = _Clock()
        mels: list[NDArray[np.float32]] = []
        samples = np.concatenate(list(self._samples(iter(crops), clock, mels.append)))
        return Speech(samples, self.sample_rate, np.concatenate(mels, axis=1), timings=clock.seconds)

    def mel(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel (F, M) of a waveform (n,) at ``sample_rate``."""
        mel: NDArray[np.float32] = log_mel(torch.from_numpy(samples)[None], self.config.mel)[0].numpy()
        return mel

    @torch.inference_mode()
    def vocode(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """Waveform (M * hop_length,) in [-1, 1] of a log-mel (F, M)."""
        made: NDArray[np.float32] = self._vocoder(torch.from_numpy(mel)[None])[0].clamp(-1, 1).numpy()
        return made

    @torch.inference_mode()
    def predict_mel(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Log-mel (F, 4 T) of crops (T, 96, 96), in one pass."""
        encoder = self.config.encoder
        seen = np.ascontiguousarray(centre_crop(resize_crops(crops, encoder.resize), encoder.crop))
        mask = torch.ones(1, len(seen), dtype=torch.bool)
        mel: NDArray[np.float32] = self._model(torch.from_numpy(seen)[None], mask)[0].numpy()
        return mel

    @property
    def mel_config(self) -> MelConfig:
        """The mel definition."""
        return self.config.mel

    def _crops(
        self,
        video: Path,
        face: int | None,
        clock: _Clock,
        keep: Callable[[MouthFrame], None],
        on_frame: Callable[[], None] | None,
    ) -> Iterator[NDArray[np.uint8]]:
        decoded = clock.iterate("decode", read_video(video, FPS))
        for frame in clock.iterate("face", stream_mouth(decoded, face=face, name=str(video))):
            keep(frame)
            if on_frame:
                on_frame()
            yield frame.crop

    def _samples(
        self, crops: Iterable[NDArray[np.uint8]], clock: _Clock, keep: Callable[[NDArray[np.float32]], None]
    ) -> Iterator[NDArray[np.float32]]:
        mel = self.config.mel

        def predict(window: NDArray[np.uint8]) -> NDArray[np.float32]:
            with clock.stage("model"):
                return self.predict_mel(window)

        def vocode(piece: NDArray[np.float32]) -> NDArray[np.float32]:
            with clock.stage("vocoder"):
                return self.vocode(piece)

        def kept() -> Iterator[NDArray[np.float32]]:
            for piece in windowed_mel(crops, predict, self.windows, mel.mels_per_frame):
                keep(piece)
                yield piece

        return windowed_samples(kept(), vocode, mel.hop_length)


class _Clock:
    """Seconds by stage; a stage that waits for another is not charged for it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = time.perf_counter()

    def stage(self, name: str) -> _Stage:
        return _Stage(self, name)

    def iterate(self, name: str, source: Iterable[T]) -> Iterator[T]:
        iterator = iter(source)
        while True:
            try:
                with self.stage(name):
                    item = next(iterator)
            except StopIteration:
                return
            yield item

    def enter(self, name: str) -> None:
        self._charge()
        self._running.append(name)
        self.seconds.setdefault(name, 0.0)

    def leave(self) -> None:
        self._charge()
        self._running.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


class _Stage:
    """Context in which time belongs to one stage."""

    def __init__(self, clock: _Clock, name: str) -> None:
        self._clock, self._name = clock, name

    def __enter__(self) -> None:
        self._clock.enter(self._name)

    def __exit__(self, *_: object) -> None:
        self._clock.leave()


def describe(folder: Path) -> dict[str, Any]:
    """The card of a shipped model or model folder."""
    return read_card(folder if folder.is_dir() else WEIGHTS / str(folder))
