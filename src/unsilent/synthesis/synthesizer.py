"""Silent video to speech."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.errors import CheckpointError, FaceError
from unsilent.export import export_onnx
from unsilent.face import MouthFrame, MouthTrack
from unsilent.features import MelConfig, log_mel
from unsilent.models.config import ReconstructorConfig, VideoEncoderConfig
from unsilent.models.hub import download_model, is_hub_id
from unsilent.models.pretrained import CARD, SHIPPED, load_reconstructor, load_vocoder, model_folder
from unsilent.models.public_vocoders import PublicVocoder, mel_differences
from unsilent.models.reconstructor import Reconstructor
from unsilent.models.video import centre_crop, resize_crops
from unsilent.models.vocoder import Vocoder
from unsilent.synthesis.clock import Clock
from unsilent.synthesis.engine import ENGINES, Engine, TorchEngine
from unsilent.synthesis.onnx_engine import exported_folder, read_exported
from unsilent.synthesis.reference import Voice, read_reference
from unsilent.synthesis.speech import Speech
from unsilent.synthesis.stream import SpeechStream
from unsilent.synthesis.windows import WindowPlan, windowed_mel, windowed_samples

__all__ = ["Synthesizer", "find_model", "load", "read_model", "shipped_models", "vocoder_of"]

DEFAULT_MODEL = "grid"
VOCODER_FOLDER = "vocoder"


def shipped_models() -> list[str]:
    """Names of the models in the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/card.json"))


def load(model: str | Path = DEFAULT_MODEL, *, engine: str = "torch") -> Synthesizer:
    """Load a synthesiser: a video-to-mel model with its vocoder.

    A model folder brings its vocoder in ``vocoder/``; one without, such as ``runs/NAME/best``, is heard through the
    shipped one, if their mels are the same.

    Args:
        model: the name of a shipped model, a model folder, the folder of a training run, whose best model is taken, a
            model of the Hugging Face hub (``user/model`` or ``user/model@revision``), or what ``unsilent export onnx``
            wrote.
        engine: ``torch`` or ``onnx`` (ONNX Runtime). A model is exported for the latter once, into the cache; what was
            exported already speaks through it anyway.

    Raises:
        CheckpointError: there is no such model or engine, it is damaged, or its mel is not the vocoder's.
    """
    if engine not in ENGINES:
        raise CheckpointError(f"{engine}: no such engine; give one of {', '.join(ENGINES)}")
    path = Path(model)
    if path.suffix.lower() == ".onnx" or ((path / "model.onnx").is_file() and not (path / CARD).is_file()):
        return Synthesizer.on(*read_exported(path))
    folder = find_model(model)
    if engine == "onnx":
        kept = exported_folder(folder, vocoder_of(folder), lambda to: export_onnx(*read_model(folder), to))
        return Synthesizer.on(*read_exported(kept))
    reconstructor, config, vocoder, card = read_model(folder)
    return Synthesizer(reconstructor, config, vocoder, card)


def read_model(
    model: str | Path,
) -> tuple[Reconstructor, ReconstructorConfig, Vocoder | PublicVocoder | None, dict[str, Any]]:
    """Network, settings, vocoder (None if it needs none) and card of a model that is named as in `load`.

    Raises:
        CheckpointError: as `load`.
    """
    folder = find_model(model)
    reconstructor, config, card = load_reconstructor(folder, source="video")
    if config.decoder.target == "wave":
        return reconstructor, config, None, card
    vocoder, vocoder_config, _ = load_vocoder(vocoder_of(folder))
    different = mel_differences(vocoder_config.mel, config.mel)
    if different:
        raise CheckpointError(f"{folder}: its mel is not its vocoder's: {different}; put one that fits into vocoder/")
    return reconstructor, config, vocoder, card


def find_model(model: str | Path) -> Path:
    """Folder of a model that is named as in `load`.

    Raises:
        CheckpointError: there is none.
    """
    folder = Path(model)
    if (found := model_folder(folder)) is not None:
        return found
    if folder.is_dir():
        return folder
    # A name below a folder that is here is a mistyped path, not a model of the hub.
    if is_hub_id(str(model)) and not folder.parent.is_dir():
        return download_model(str(model))
    known = ", ".join(shipped_models()) or "none"
    raise CheckpointError(f"{model}: no such model; shipped: {known}; or give a folder that holds card.json")


def vocoder_of(folder: Path) -> Path:
    """Folder of the vocoder that a model's folder brings, or else of the shipped one."""
    own = folder / VOCODER_FOLDER
    return own if own.is_dir() else SHIPPED / DEFAULT_MODEL / VOCODER_FOLDER


class Synthesizer:
    """Turns video, or mouth crops, into speech.

    Args:
        reconstructor: video to mel or waveform, in evaluation mode.
        config: its settings.
        vocoder: mel to waveform, in evaluation mode; None for a model that makes the waveform itself.
        card: what is known about the model.
        windows: how long clips are cut.
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        config: ReconstructorConfig,
        vocoder: Vocoder | PublicVocoder | None,
        card: dict[str, Any],
        windows: WindowPlan | None = None,
    ) -> None:
        self.config, self.card, self.windows = config, card, windows or WindowPlan()
        self._engine: Engine = TorchEngine(reconstructor, vocoder)

    @classmethod
    def on(
        cls, engine: Engine, config: ReconstructorConfig, card: dict[str, Any], windows: WindowPlan | None = None
    ) -> Synthesizer:
        """A synthesiser whose networks run on an engine of one's own; the rest as for the class."""
        made = cls.__new__(cls)
        made.config, made.card, made.windows, made._engine = config, card, windows or WindowPlan(), engine
        return made

    @property
    def engine(self) -> str:
        """What computes the networks: ``torch`` or ``onnx``."""
        return self._engine.name

    @property
    def sample_rate(self) -> int:
        """Samples a second of the speech."""
        return self.config.mel.sample_rate

    @property
    def name(self) -> str:
        """Name on the model's card."""
        return str(self.card.get("name", "unnamed"))

    @property
    def voices(self) -> bool:
        """Whether the model can be told whose voice to speak with."""
        return self.config.speaker is not None

    def voice_of(self, reference: str | Path | NDArray[np.float32]) -> Voice:
        """The voice in a recording, for ``voice``: an embedding (S,) of length 1.

        Args:
            reference: any file with a second or more of one person's speech, or samples (n,) at ``sample_rate``; what
                comes after half a minute is not heard.

        Raises:
            MediaError: it cannot be read, is silent or too short.
            CheckpointError: the model has one voice only.
        """
        if not self.voices:
            raise CheckpointError(f"{self.name}: has no choice of voices; leave the voice out, or choose another model")
        samples = read_reference(reference, self.sample_rate)
        return self._engine.voice_of(self.mel(samples))

    def speak(
        self,
        video: str | Path,
        *,
        face: int | None = None,
        voice: str | Path | Voice | None = None,
        on_frame: Callable[[], None] | None = None,
    ) -> Speech:
        """Give a video its speech.

        Args:
            video: any file that `unsilent.media.read_video` reads.
            face: which face, from left to right; the one whose mouth moves most if not given.
            voice: a recording of whose voice to speak with, or what `voice_of` made of it; if not given, the one that
                the model takes for unknown people.
            on_frame: called after every frame that the tracker has seen.

        Raises:
            MediaError: the file cannot be read as video, or the recording not as sound.
            FaceError: there is no usable face.
            CheckpointError: a voice is given to a model that has no choice of voices.
        """
        stream = self.stream(video, face=face, voice=voice, on_frame=on_frame)
        frames: list[MouthFrame] = []
        mels: list[NDArray[np.float32]] = []
        samples = np.concatenate(list(stream.pieces(frames.append, mels.append)))
        mel = self._heard(samples, mels)
        return Speech(samples, self.sample_rate, mel, MouthTrack.of(frames), Path(video), stream.timings)

    def stream(
        self,
        video: str | Path | Iterable[NDArray[np.uint8]],
        *,
        face: int | None = None,
        voice: str | Path | Voice | None = None,
        on_frame: Callable[[], None] | None = None,
    ) -> SpeechStream:
        """Speech of a video in pieces, with memory that does not grow with its length.

        Args:
            video: a file, or RGB frames (H, W, 3) uint8 as they arrive, at ``mel_config.frame_rate``; speech comes
                while they do, which takes a model that `streams`.
            face: as `speak`; of arriving frames, the largest face if not given.
            voice: as `speak`.
            on_frame: as `speak`.

        Raises:
            CheckpointError: frames are given to a model that waits for the end of a clip, or a voice to one that has no
                choice.
        """
        if isinstance(video, str | Path):
            return SpeechStream(self, Path(video), face, self._told(voice), on_frame)
        if not self.streams:
            raise CheckpointError(
                f"{self.name}: waits for the end of a clip; to speak frames as they arrive, choose a model that streams"
            )
        return SpeechStream(self, video, face, self._told(voice), on_frame)

    @property
    def streams(self) -> bool:
        """Whether the model speaks while video arrives; files are then spoken in the same way."""
        return self.config.streams

    def _told(self, voice: str | Path | Voice | None) -> Voice | None:
        if voice is None or isinstance(voice, str | Path):
            return None if voice is None else self.voice_of(voice)
        width = self.config.speaker.width if self.config.speaker else 0
        if voice.shape != (width,):
            raise CheckpointError(
                f"{self.name}: a voice of shape {voice.shape} is not of this model; make it by voice_of"
            )
        return voice

    def speak_crops(self, crops: NDArray[np.uint8], *, voice: str | Path | Voice | None = None) -> Speech:
        """Speech of mouth crops (T, 96, 96) as `unsilent.face.track_mouth` cuts them, at ``mel_config.frame_rate``.

        Raises:
            FaceError: there is no crop.
        """
        if not len(crops):
            raise FaceError("no mouth crops were given")
        clock = Clock()
        mels: list[NDArray[np.float32]] = []
        samples = np.concatenate(list(self.samples(iter(crops), clock, mels.append, self._told(voice))))
        return Speech(samples, self.sample_rate, self._heard(samples, mels), timings=clock.seconds)

    def mel(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel (F, M) of a waveform (n,) at ``sample_rate``."""
        mel: NDArray[np.float32] = log_mel(torch.from_numpy(samples)[None], self.config.mel)[0].numpy()
        return mel

    @property
    def vocodes(self) -> bool:
        """Whether it predicts mels, which its vocoder speaks; otherwise it makes waveforms itself."""
        return self._engine.context_frames is not None

    def vocode(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """Waveform (M * hop_length,) in [-1, 1] of a log-mel (F, M).

        Raises:
            CheckpointError: the model makes waveforms itself and has no vocoder.
        """
        if not self.vocodes:
            raise CheckpointError(f"{self.name}: makes waveforms without a vocoder; choose a model that predicts mels")
        return self._engine.vocode(mel)

    def predict_mel(self, crops: NDArray[np.uint8], *, voice: str | Path | Voice | None = None) -> NDArray[np.float32]:
        """Log-mel (F, 4 T) of crops (T, 96, 96), in one pass: predicted, or of the waveform that was."""
        made = self._predict(crops, self._told(voice))
        return made if self.vocodes else self.mel(made)

    def _predict(self, crops: NDArray[np.uint8], voice: Voice | None) -> NDArray[np.float32]:
        """The model's own target for crops (T, 96, 96): log-mel (F, 4 T) or samples (960 T,)."""
        encoder = cast(VideoEncoderConfig, self.config.encoder)
        seen = np.ascontiguousarray(centre_crop(resize_crops(crops, encoder.resize), encoder.crop))
        return self._engine.reconstruct(seen, voice)

    def _heard(self, samples: NDArray[np.float32], mels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The mel on the way to ``samples``, or theirs where there was none."""
        return np.concatenate(mels, axis=1) if mels else self.mel(samples)

    @property
    def mel_config(self) -> MelConfig:
        """The mel definition."""
        return self.config.mel

    def samples(
        self,
        crops: Iterable[NDArray[np.uint8]],
        clock: Clock,
        on_mel: Callable[[NDArray[np.float32]], None],
        voice: Voice | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Samples of a stream of crops (96, 96), in pieces; ``on_mel`` is given every piece of mel on the way.

        A model that makes waveforms has no mel on the way: its windows of samples pass into one another as mels do.
        """
        if self.streams:
            return self._keep_up(crops, clock, on_mel, voice)
        mel = self.config.mel

        def predict(window: NDArray[np.uint8]) -> NDArray[np.float32]:
            with clock.stage("model"):
                made = self._predict(window, voice)
                return made if made.ndim == 2 else made[None]

        context = self._engine.context_frames
        if context is None:
            pieces = windowed_mel(crops, predict, self.windows, mel.samples_per_frame)
            return (piece[0] for piece in pieces)

        def vocode(piece: NDArray[np.float32]) -> NDArray[np.float32]:
            with clock.stage("vocoder"):
                return self.vocode(piece)

        def kept() -> Iterator[NDArray[np.float32]]:
            for piece in windowed_mel(crops, predict, self.windows, mel.mels_per_frame):
                on_mel(piece)
                yield piece

        return windowed_samples(kept(), vocode, mel.hop_length, context)

    def _keep_up(
        self,
        crops: Iterable[NDArray[np.uint8]],
        clock: Clock,
        on_mel: Callable[[NDArray[np.float32]], None],
        voice: Voice | None,
    ) -> Iterator[NDArray[np.float32]]:
        """`samples` of a model that streams: all that is known after each crop."""
        encoder = cast(VideoEncoderConfig, self.config.encoder)
        stream = self._engine.stream(voice)

        def sound(mel: NDArray[np.float32], *, last: bool = False) -> Iterator[NDArray[np.float32]]:
            if mel.shape[1]:
                on_mel(mel)
            with clock.stage("vocoder"):
                samples = stream.vocode(mel, last=last)
            if len(samples):
                yield samples

        for crop in crops:
            with clock.stage("model"):
                mel = stream.reconstruct(centre_crop(resize_crops(crop[None], encoder.resize), encoder.crop))
            yield from sound(mel)
        with clock.stage("model"):
            mel = stream.finish()
        yield from sound(mel, last=True)
