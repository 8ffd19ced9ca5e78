"""What a worker process does: look for faces, speak. It alone loads the networks and reads what strangers send."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.errors import FaceError, MediaError, UnsilentError
from unsilent.face import CROP_SIZE, FPS, MouthFrame, stream_mouth
from unsilent.media import MediaInfo, mux_speech, probe, read_video, write_audio
from unsilent.models.pretrained import SHIPPED, read_card
from unsilent.synthesis import Synthesizer, load, shipped_models
from unsilent.training.plots import STRIP, mel_figure, save_figure
from unsilent.web.limits import MAX_PIXELS
from unsilent.workers import start_worker

__all__ = ["run_worker"]

logger = logging.getLogger("unsilent.web")

THUMBNAIL = 96
_PROGRESS_EVERY = 0.15
_PLAYED_AS_WEBM = frozenset({"hevc", "mpeg4", "vp8", "vp9"})
_VOICE_SECONDS = 600.0
_INK = "#8b949e"

Progress = Callable[[dict[str, Any]], None]


class _Cancelled(Exception):  # noqa: N818
    """Nobody waits for the result any more."""


class _TooLongError(MediaError):
    """A video of more than the allowed length."""


def run_worker(pipe: Connection, threads: int, models: list[str]) -> None:
    """Answer requests until the pipe closes."""
    start_worker()
    torch.set_num_threads(threads)
    desk = _Desk(models)
    while True:
        try:
            request = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        if "cancel" in request:  # of a job that ended meanwhile
            continue
        pipe.send_bytes(json.dumps(_answer(desk, request, pipe)).encode())


def _answer(desk: _Desk, request: dict[str, Any], pipe: Connection) -> dict[str, Any]:
    def progress(state: dict[str, Any]) -> None:
        if pipe.poll():
            pipe.recv_bytes()
            raise _Cancelled
        pipe.send_bytes(json.dumps({"progress": state}).encode())

    try:
        return {"done": desk.handle(request, progress)}
    except _Cancelled:
        return {"error": "cancelled", "status": 499}
    except UnsilentError as error:
        status = 413 if isinstance(error, _TooLongError) else 422
        return {"error": _without_folders(str(error), request), "status": status}
    except Exception:
        logger.exception("a defect in unsilent; the visitor sees one line")
        return {"error": "something went wrong on the server; its log says what", "status": 500}


def _without_folders(message: str, request: dict[str, Any]) -> str:
    """Name files as the visitor knows them, not by where the server put them."""
    for key, name in (("video", "name"), ("voice", "voice_name")):
        if request.get(key):
            message = message.replace(request[key], request.get(name) or "the file")
    return " ".join(message.split())


class _Desk:
    """The models of one worker, and what it does with them."""

    def __init__(self, models: list[str]) -> None:
        self._given = models
        self._loaded: dict[str, Synthesizer] = {}

    def handle(self, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Do what ``request["do"]`` says."""
        match request["do"]:
            case "models":
                return {"models": self._models()}
            case "faces":
                _checked(request)
                return _faces(Path(request["video"]), request["name"], progress)
            case "speak":
                info = _checked(request)
                return _speak(self._voice(request["model"]), request, info, progress)
        raise ValueError(f"no such work: {request['do']}")

    def _voice(self, model: str) -> Synthesizer:
        if model not in self._loaded:
            self._loaded[model] = load(model)
        return self._loaded[model]

    def _models(self) -> list[dict[str, Any]]:
        """Load every model and say what its card knows; those given first, then the shipped ones that read video."""
        shipped = [name for name in shipped_models() if name not in self._given and _reads_video(SHIPPED / name)]
        models = [*self._given, *shipped]
        # The first pass through a network is several times slower than the next; no visitor shall wait for it.
        self._voice(models[0]).speak_crops(np.zeros((3 * FPS, CROP_SIZE, CROP_SIZE), np.uint8))
        return [{"id": model, **_about(self._voice(model), model)} for model in models]


def _reads_video(folder: Path) -> bool:
    config = read_card(folder)["config"]
    return bool(config.get("kind") == "reconstructor" and config.get("encoder", {}).get("input") == "video")


def _about(voice: Synthesizer, model: str) -> dict[str, Any]:
    card = voice.card
    name = model if model in shipped_models() else f"{voice.name} ({Path(model).name})"
    data = card.get("data")
    return {
        "name": name,
        "limits": str(card.get("limits") or ""),
        "data": [str(item) for item in data] if isinstance(data, list) else [],
        "licence": str(card.get("licence") or ""),
        "voices": voice.voices,
        "parameters": card.get("parameters"),
        "measured": card.get("measured") if isinstance(card.get("measured"), dict) else {},
    }


def _checked(request: dict[str, Any]) -> MediaInfo:
    """Probe the video and refuse what is too long or too large before it is decoded."""
    info = probe(request["video"])
    if not info.has_video:
        raise MediaError(f"{request['video']}: holds sound but no video; give a video of someone talking")
    if info.width * info.height > MAX_PIXELS:
        raise MediaError(
            f"{request['video']}: its picture is {info.width} x {info.height}, larger than 4K; scale it down"
        )
    if info.duration > request["max_seconds"] + 0.5:
        raise _too_long(request)
    return info


def _too_long(request: dict[str, Any]) -> _TooLongError:
    return _TooLongError(f"{request['video']}: is longer than {request['max_seconds']:g} s; cut it first")


# --- faces ---------------------------------------------------------------------------------------------------------


def _faces(video: Path, name: str, progress: Progress) -> dict[str, Any]:
    """Say which faces a video shows, as the tracker numbers them, with a picture of each."""
    chosen = _first_seen(video, None, name, progress)[1]
    found = []
    for face in range(chosen.faces):
        index, mouth = _first_seen(video, face, name, progress)
        found.append({"face": face, "frame": index, "box": [round(float(side), 1) for side in mouth.box],
                      "picture": _thumbnail(video, index, mouth)})  # fmt: skip
    return {"faces": chosen.faces, "chosen": chosen.face, "found": found}


def _first_seen(video: Path, face: int | None, name: str, progress: Progress) -> tuple[int, MouthFrame]:
    """Return the first frame, with its number, in which a face is seen; decoding stops there."""
    read = 0

    def counted() -> Iterator[NDArray[np.uint8]]:
        nonlocal read
        for frame in read_video(video, FPS):
            read += 1
            if read % 10 == 0:
                progress({"stage": "faces", "frames": read})
            yield frame

    for index, mouth in enumerate(stream_mouth(counted(), face=face, name=str(video))):
        if mouth.valid:
            return index, mouth
    raise FaceError(f"{video}: no face found; the speaker must face the camera, upright and large enough")


def _thumbnail(video: Path, index: int, mouth: MouthFrame) -> str:
    """Return the face as a JPEG of 96 x 96 in a ``data:`` address."""
    start = index / FPS
    frame = next(read_video(video, FPS, start=start, end=start + 2 / FPS))
    x0, y0, x1, y1 = (float(side) for side in mouth.box)
    half = 0.7 * max(x1 - x0, y1 - y0, 8.0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2 - 0.1 * half
    scale = THUMBNAIL / (2 * half)
    to_picture = np.array([[scale, 0, scale * (half - x)], [0, scale, scale * (half - y)]], dtype=np.float32)
    small = cv2.warpAffine(frame, to_picture, (THUMBNAIL, THUMBNAIL), flags=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


# --- speech --------------------------------------------------------------------------------------------------------


class _Watcher:
    """Follows one synthesis, tells its progress by stage, ends it where it becomes too long."""

    def __init__(self, request: dict[str, Any], info: MediaInfo, progress: Progress) -> None:
        self._request, self._progress = request, progress
        self._most = round(request["max_seconds"] * FPS) + FPS
        self._total = round(info.duration * FPS) or None
        self._next = 0.0
        self._step = 1
        self.crops: dict[int, NDArray[np.uint8]] = {}
        self.frames = 0
        self.mels: list[NDArray[np.float32]] = []

    def tell(self, stage: str) -> None:
        """Say which stage begins: face (with decoding), model, vocoder, file."""
        self._progress({"stage": stage, "frames": self.frames, "total": self._total})

    def on_frame(self) -> None:
        """Count a tracked frame."""
        self.frames += 1
        if self.frames > self._most:
            raise _too_long(self._request)
        now = time.monotonic()
        if self.frames == self._total:
            self.tell("model")
        elif now >= self._next:
            self._next = now + _PROGRESS_EVERY
            self.tell("face")

    def on_mouth(self, mouth: MouthFrame) -> None:
        """Keep crops for the strip, evenly spaced, a bounded number of them."""
        index = self.frames
        if index % self._step == 0:
            self.crops[index] = mouth.crop
        if len(self.crops) > 8 * STRIP:
            self._step *= 2
            self.crops = {number: crop for number, crop in self.crops.items() if number % self._step == 0}

    def on_mel(self, mel: NDArray[np.float32]) -> None:
        """Keep a piece of mel; the vocoder is next."""
        self.mels.append(mel)
        self.tell("vocoder")


def _speak(voice: Synthesizer, request: dict[str, Any], info: MediaInfo, progress: Progress) -> dict[str, Any]:
    started = time.perf_counter()
    video, folder = Path(request["video"]), Path(request["folder"])
    watch = _Watcher(request, info, progress)
    watch.tell("face")
    stream = voice.stream(video, face=request["face"], voice=_reference(request), on_frame=watch.on_frame)
    seen: dict[str, int] = {}

    def on_mouth(mouth: MouthFrame) -> None:
        seen.update(faces=mouth.faces, face=mouth.face)
        watch.on_mouth(mouth)

    samples = np.concatenate(list(stream.pieces(on_mouth, watch.on_mel)))
    mel = np.concatenate(watch.mels, axis=1) if watch.mels else voice.mel(samples)
    watch.tell("file")
    before = time.perf_counter()
    stem = str(request["stem"])
    suffix = ".webm" if info.video_codec in _PLAYED_AS_WEBM else ".mp4"
    spoken, sound, picture = (folder / f"{stem}.spoken{kind}" for kind in (suffix, ".wav", ".png"))
    mux_speech(video, samples, voice.sample_rate, spoken)
    write_audio(sound, samples, voice.sample_rate)
    timings = {**stream.timings, "mux": time.perf_counter() - before}
    elapsed = time.perf_counter() - started
    _draw(np.stack(list(watch.crops.values())), mel, picture)
    return {
        "video": str(spoken),
        "audio": str(sound),
        "picture": str(picture),
        "seconds": len(samples) / voice.sample_rate,
        "elapsed": elapsed,
        "frames": stream.frames,
        "interpolated": stream.interpolated,
        "confidence": stream.confidence / max(1, stream.frames - stream.interpolated),
        "timings": timings,
        **seen,
    }


def _reference(request: dict[str, Any]) -> Path | None:
    """Return the recording of the voice to speak with, if there is one; refuse a long one before it is decoded."""
    if not request.get("voice"):
        return None
    if probe(request["voice"]).duration > _VOICE_SECONDS:
        raise MediaError(
            f"{request['voice']}: is longer than {_VOICE_SECONDS:g} s; half a minute of one voice is enough"
        )
    return Path(request["voice"])


def _draw(crops: NDArray[np.uint8], mel: NDArray[np.float32], path: Path) -> None:
    """Draw mouth strip and spectrogram in ink that shows on a light and on a dark page."""
    figure = mel_figure(crops, {"spoken": mel})
    figure.set_facecolor((1, 1, 1, 0))
    for axis in figure.axes:
        axis.tick_params(colors=_INK)
        axis.xaxis.label.set_color(_INK)
        axis.yaxis.label.set_color(_INK)
        for spine in axis.spines.values():
            spine.set_color(_INK)
    save_figure(figure, str(path))
