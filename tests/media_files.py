"""Small media of every container and codec, made with PyAV, for tests.

Every picture carries its own number as black and white bars, so that a test can read which frame it was given after
any codec; its corners are coloured, so that a test can see how it was turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 128, 96
_BITS = 8
_CORNERS = {"top left": (220, 30, 30), "top right": (30, 200, 30), "bottom left": (30, 30, 220)}
# Quick, but with pictures stored out of order (B-frames), as most files have them.
_FAST: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "bf": "2"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "1M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "1M"},
    "libsvtav1": {"preset": "8", "crf": "10"},
    "mpeg1video": {"b": "2M"},
    "mpeg2video": {"b": "2M"},
    "mpeg4": {"b": "2M"},
    "flv": {"b": "2M"},
}
_FORMATS = {".m4v": "mp4", ".mpg": "mpeg", ".mkv": "matroska", ".ts": "mpegts"}
# What each container is usually filled with: video codec, audio codec.
CODECS: dict[str, tuple[str, str | None]] = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "libopus"),
    ".webm": ("libvpx", "libopus"),
    ".mpg": ("mpeg1video", "mp2"),
    ".avi": ("mpeg4", "libmp3lame"),
    ".ts": ("mpeg2video", "mp2"),
    ".flv": ("flv", "libmp3lame"),
    ".gif": ("gif", None),
}


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Return picture ``number`` (0 to 255), (height, width, 3) RGB: bars across the middle, coloured corners."""
    image = np.full((height, width, 3), 128, np.uint8)
    corner_h, corner_w = height // 4, width // 4
    image[:corner_h, :corner_w] = _CORNERS["top left"]
    image[:corner_h, -corner_w:] = _CORNERS["top right"]
    image[-corner_h:, :corner_w] = _CORNERS["bottom left"]
    edges = np.linspace(0, width, _BITS + 1).astype(int)
    for bit in range(_BITS):
        white = number >> bit & 1
        image[height // 3 : 2 * height // 3, edges[bit] : edges[bit + 1]] = 235 if white else 20
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """Return the number that a decoded ``picture`` carries."""
    height, width = image.shape[:2]
    edges = np.linspace(0, width, _BITS + 1).astype(int)
    rows = image[height * 2 // 5 : height * 3 // 5]
    return sum(int(rows[:, edges[bit] + 2 : edges[bit + 1] - 2].mean() > 128) << bit for bit in range(_BITS))


def corners(image: NDArray[np.uint8]) -> dict[str, str]:
    """Return which coloured corner of ``picture`` lies in which corner of a decoded image, e.g. {"top left": ...}."""
    height, width = image.shape[:2]
    spots = {
        "top left": image[height // 10, width // 10],
        "top right": image[height // 10, -width // 10],
        "bottom left": image[-height // 10, width // 10],
        "bottom right": image[-height // 10, -width // 10],
    }
    found = {}
    for place, colour in spots.items():
        distance = {name: int(np.abs(colour.astype(int) - want).sum()) for name, want in _CORNERS.items()}
        name = min(distance, key=distance.__getitem__)
        if distance[name] < 120:
            found[place] = name
    return found


def click(seconds: float, at: float, rate: int) -> NDArray[np.float32]:
    """Return silence with a short tone burst whose middle is at ``at`` seconds, (n,) float32."""
    time = np.arange(round(seconds * rate)) / rate - at
    return (0.8 * np.exp(-((time / 0.002) ** 2)) * np.cos(2 * np.pi * 1000 * time)).astype(np.float32)


def click_time(samples: NDArray[np.float32], rate: int) -> float:
    """Return the middle of the burst of ``click`` in seconds: the centre of its energy."""
    energy = samples.astype(np.float64) ** 2
    energy[energy < 0.1 * energy.max()] = 0
    return float((energy * np.arange(energy.size)).sum() / energy.sum() / rate)


def make_video(
    path: Path,
    *,
    frames: int = 75,
    fps: float | Fraction = 25,
    codec: str | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    times: Sequence[float] | None = None,
    start: float = 0.0,
    sound: NDArray[np.float32] | None = None,
    sound_rate: int = 48000,
    sound_codec: str | None = None,
    sound_start: float | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    pixel_aspect: Fraction | None = None,
    title: str | None = None,
    cover: bool = False,
    options: dict[str, str] | None = None,
    pix_fmt: str | None = None,
) -> Path:
    """Write a video of numbered pictures; the suffix says the container. Returns ``path``.

    Args:
        times: when each picture is shown, seconds; default ``k / fps``.
        start: added to all times of picture and sound, seconds.
        sound: mono samples; ``None`` for a file without sound.
        sound_start: when the sound starts, seconds; default ``start``.
        rotation: clockwise degrees by which a player shall turn the picture.
        cover: add cover art (an attached picture) besides the video.
    """
    default_video, default_audio = CODECS[path.suffix]
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", format=_FORMATS.get(path.suffix)) as container:
        if title:
            container.metadata["title"] = title
        name = codec or default_video
        stream: Any = container.add_stream(name, rate=rate, options=_FAST.get(name, {}) | (options or {}))
        stream.codec_context.thread_count = 1
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt or ("rgb8" if path.suffix == ".gif" else "yuv420p")
        base = 1 / rate if times is None else Fraction(1, 100 if path.suffix == ".gif" else 1000)
        stream.codec_context.time_base = base
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation or mirrored:
            stream.set_display_rotation(-rotation, hflip=mirrored)
        voice: Any = None
        if sound is not None:
            voice = container.add_stream(sound_codec or default_audio or "aac", rate=sound_rate)
            voice.codec_context.layout = "mono"
        art: Any = None
        if cover:
            art = container.add_stream("mjpeg", rate=25)
            art.width, art.height, art.pix_fmt = 600, 600, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
            container.start_encoding()
            frame = av.VideoFrame.from_ndarray(np.full((600, 600, 3), 77, np.uint8), format="rgb24")
            container.mux(art.encode(frame.reformat(format="yuvj420p")))
        if voice is not None and sound is not None:
            _encode_sound(container, voice, sound, sound_rate, start if sound_start is None else sound_start, "mono")
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(k, *size), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt, threads=1)
            time = (float(k / rate) if times is None else times[k]) + start
            frame.pts = round(time / base)
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _stored(planes: NDArray[Any], kind: str) -> NDArray[Any]:
    """Return (channels, n) floating point samples as PyAV wants them for one sample format."""
    whole = {"u8": (np.uint8, 127, 128), "s16": (np.int16, 32767, 0), "s32": (np.int32, 2**31 - 129, 0)}
    name = kind.removesuffix("p")
    if name in whole:
        dtype, scale, offset = whole[name]
        stored = np.round(planes.astype(np.float64) * scale + offset).astype(dtype)
    else:
        stored = planes.astype(np.float64 if name == "dbl" else np.float32)
    return np.ascontiguousarray(stored if kind.endswith("p") else stored.T.reshape(1, -1))


def _encode_sound(container: Any, voice: Any, sound: NDArray[Any], rate: int, start: float, layout: str) -> None:
    kind = voice.codec_context.format.name
    planes = np.atleast_2d(sound)
    for begin in range(0, planes.shape[1], 4800):
        frame = av.AudioFrame.from_ndarray(_stored(planes[:, begin : begin + 4800], kind), format=kind, layout=layout)
        frame.sample_rate = rate
        frame.pts = begin + round(start * rate)
        frame.time_base = Fraction(1, rate)
        container.mux(voice.encode(frame))
    container.mux(voice.encode(None))


def make_sound(
    path: Path, samples: NDArray[Any], rate: int, *, codec: str, layout: str = "mono", format_name: str | None = None
) -> Path:
    """Write an audio file. ``samples`` is (n,) or (channels, n), floating point. Returns ``path``."""
    with av.open(str(path), "w") as container:
        voice: Any = container.add_stream(codec, rate=rate)
        voice.codec_context.layout = layout
        if format_name:
            voice.codec_context.format = format_name
        _encode_sound(container, voice, samples, rate, 0.0, layout)
    return path
