"""Sound out of a file: mono, at one rate, aligned with its picture."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
from numpy.typing import NDArray

from unsilent.errors import MediaError
from unsilent.media.container import (
    FFMPEG_ERRORS,
    HIGHEST_RATE,
    LOWEST_RATE,
    MAX_GAP,
    Damage,
    audio_stream,
    open_media,
    packets,
    refusal,
    seconds,
    video_stream,
)

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

__all__ = ["StoredSound", "mix_down", "read_audio", "read_stored", "resample"]

logger = logging.getLogger("unsilent.media")

# Timestamps may differ this many seconds from the count of samples before silence is put in or samples are dropped:
# containers round them (Matroska to 1 ms, AVI to a packet), which must not cut holes into continuous sound.
_TOLERANCE = 0.1
# The same after a packet that could not be decoded, whose sound is known to be missing.
_TOLERANCE_AFTER_DAMAGE = 0.002
# A timestamp further back than this is a restarted clock, not an overlap.
_MAX_STEP_BACK = 1.0
# Samples of the longest sound that is held in memory, two hours at 24 kHz: silence packs a thousand times as well.
_MOST_SAMPLES = 172_800_000


def resample(samples: NDArray[np.float32], source: int, target: int) -> NDArray[np.float32]:
    """Return ``samples`` (n,) at another rate, (round(n * target / source),) within one sample; soxr, high quality."""
    if source == target:
        return samples
    return np.asarray(soxr.resample(samples, source, target, "HQ"), dtype=np.float32)


def read_audio(path: str | Path, sample_rate: int = 24000) -> NDArray[np.float32]:
    """Return the sound of a video or audio file, mixed down to one channel.

    Sample 0 is heard when the first picture is shown: sound that starts later is preceded by silence, sound before it
    is cut. Without a picture, sample 0 is the first sample. The priming and padding samples of Opus, AAC and MP3 are
    removed as their container says. Gaps in the timestamps become silence. Its length is its own: it may be shorter or
    longer than the picture. Samples that are not finite become zero, with a warning.

    Args:
        path: any container and codec FFmpeg decodes.
        sample_rate: wanted rate in Hz, positive.

    Returns:
        (n,) float32 in [-1, 1].

    Raises:
        MediaError: the file is missing, damaged, holds no sound, or more of it than fits into memory (two hours at
            24 kHz).
    """
    file = Path(path)
    damage = Damage(file, "audio")
    try:
        found = _read(file, sample_rate, damage)
    finally:
        damage.report()
    if found.not_finite:
        logger.warning("%s: %d samples are not finite; set to zero", file, found.not_finite)
    return np.clip(found.samples, -1.0, 1.0, out=found.samples)


@dataclass(frozen=True, slots=True, eq=False)
class StoredSound:
    """The sound of a file as it is stored, and what is wrong with it.

    Attributes:
        samples: (n,) float32, as of :func:`read_audio`, but a file of floats may go beyond ±1.
        peak: the largest magnitude in the file, mixed down, before it was resampled; full scale is 1.
        not_finite: how many samples were NaN or infinite; they are zero here.
        damage: what was left out, in words; empty if nothing was.
    """

    samples: NDArray[np.float32]
    peak: float
    not_finite: int
    damage: str


def read_stored(path: str | Path, sample_rate: int = 24000) -> StoredSound:
    """Read a file as :func:`read_audio` does, without clipping it, and without a word on the log about its faults.

    Raises:
        MediaError: as :func:`read_audio`.
    """
    return _read(Path(path), sample_rate, Damage(Path(path), "audio"))


def _read(file: Path, sample_rate: int, damage: Damage) -> StoredSound:
    if sample_rate < 1:
        raise ValueError(f"sample_rate must be positive, not {sample_rate}")
    with open_media(file) as container:
        track = _Track(container, file, sample_rate, damage)
        samples = track.read()
    return StoredSound(samples, track.peak, track.not_finite, damage.text)


class _Track:
    """The sound track of one opened file."""

    def __init__(self, container: InputContainer, path: Path, sample_rate: int, damage: Damage) -> None:
        self.container = container
        self.path = path
        self.sample_rate = sample_rate
        self.stream = audio_stream(container, path)
        self.damage = damage
        self.not_finite = 0
        self.peak = 0.0
        self._silence_left = MAX_GAP
        self._zero = self._picture_start()
        self._started = False
        # Seconds after time zero of the next sample to come, and how many samples of the source to leave out first.
        self._position = 0.0
        self._drop = 0
        self._chunks: list[NDArray[np.float32]] = []
        self._count = 0
        self._resampler: soxr.ResampleStream | None = None
        self._rate = 0

    def _picture_start(self) -> float | None:
        try:
            picture = video_stream(self.container, self.path)
        except MediaError:
            return None
        return seconds(picture.start_time, picture.time_base)

    def read(self) -> NDArray[np.float32]:
        """Return the whole track, (n,) float32 at the wanted rate."""
        held: tuple[AudioFrame, bool] | None = None
        for frame in self._decoded():
            if held is not None:
                self._append(*held)
            held = frame
        if held is not None:
            # Only of the last frame may the container keep less than was decoded: the rest is the encoder's padding.
            duration = seconds(held[0].duration, held[0].time_base) or 0.0
            self._append(*held, keep=round(duration * held[0].sample_rate) or None)
            self._flush()
        if not self._chunks:
            raise refusal(self.path, "none of its sound can be decoded; copy or export it again")
        return np.concatenate(self._chunks)

    def _decoded(self) -> Iterator[tuple[AudioFrame, bool]]:
        """Yield (decoded frame, whether sound before it was lost)."""
        lost = False
        for packet in packets(self.container, self.stream, self.damage):
            try:
                frames = packet.decode()
            except FFMPEG_ERRORS:
                self.damage.packets += 1
                lost = True
                continue
            for frame in frames:
                if frame.samples > 0 and LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
                    yield frame, lost
                    lost = False

    def _append(self, frame: AudioFrame, lost: bool, keep: int | None = None) -> None:
        try:
            mono = mix_down(frame)[:keep]
        except FFMPEG_ERRORS:
            self.damage.packets += 1
            return
        finite = np.isfinite(mono)
        if not finite.all():
            self.not_finite += int(mono.size - finite.sum())
            mono = np.where(finite, mono, np.float32(0))
        self.peak = max(self.peak, float(np.abs(mono).max(initial=0)))
        if frame.sample_rate != self._rate:
            self._flush()
            self._rate = frame.sample_rate
            self._resampler = soxr.ResampleStream(self._rate, self.sample_rate, 1, dtype="float32", quality="HQ")
        self._synchronise(seconds(frame.pts, frame.time_base), lost)
        self._position += mono.size / self._rate
        dropped = min(self._drop, mono.size)
        self._drop -= dropped
        self._push(mono[dropped:])

    def _synchronise(self, time: float | None, lost: bool) -> None:
        """Fill or cut so that the frame that starts at ``time``, on the container's clock, lands in its place."""
        if time is None:
            return
        if self._zero is None:
            self._zero = time
        gap = time - self._zero - self._position
        tolerance = _TOLERANCE_AFTER_DAMAGE if lost else _TOLERANCE if self._started else 0.0
        believed = -_MAX_STEP_BACK if self._started else -MAX_GAP
        self._started = True
        if abs(gap) <= tolerance:
            return
        if not believed <= gap <= self._silence_left:
            self.damage.timestamps += 1
            self._zero += gap
            return
        count = round(abs(gap) * self._rate)
        self._position += gap
        if gap < 0:
            self._drop += count
        else:
            self._silence_left -= gap
            filled = min(self._drop, count)
            self._drop -= filled
            self._push(np.zeros(count - filled, np.float32))

    def _push(self, mono: NDArray[np.float32]) -> None:
        if self._resampler is None or not mono.size:
            return
        self._chunks.append(self._resampler.resample_chunk(mono))
        self._count += self._chunks[-1].size
        if self._count > _MOST_SAMPLES:
            hours = _MOST_SAMPLES / self.sample_rate / 3600
            raise refusal(self.path, f"holds more than {hours:.1f} hours of sound; cut it into shorter files")

    def _flush(self) -> None:
        if self._resampler is not None:
            self._chunks.append(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
            self._resampler = None


def mix_down(frame: AudioFrame) -> NDArray[np.float32]:
    """Return a decoded frame as one channel, (n,) float32, full scale = 1.

    Two channels are averaged. With more, the centre, where film sound keeps its speech, counts 1, left and right
    0.71, all others 0.5 and the low-frequency channel nothing (ITU-R BS.775), scaled to a sum of 1.

    Raises:
        ValueError: the sample format is none that NumPy can hold.
    """
    stored: NDArray[Any] = frame.to_ndarray()
    channels = len(frame.layout.channels)
    planes = stored if frame.format.is_planar else stored.reshape(-1, channels).T
    scaled: NDArray[np.float32]
    if planes.dtype == np.uint8:
        scaled = (planes.astype(np.float32) - 128) / np.float32(128)
    elif np.issubdtype(planes.dtype, np.integer):
        scaled = planes.astype(np.float32) / np.float32(-float(np.iinfo(planes.dtype).min))
    else:
        scaled = planes.astype(np.float32)
    if channels == 1:
        return np.asarray(scaled[0])
    weights = np.array([_weight(channel.name) for channel in frame.layout.channels], np.float32)
    if channels == 2 or not weights.any():
        weights[:] = 1
    mixed: NDArray[np.float32] = (weights / weights.sum()) @ scaled
    return mixed


def _weight(channel: str) -> float:
    if channel.startswith("LFE"):
        return 0.0
    return {"FC": 1.0, "FL": 0.7071, "FR": 0.7071}.get(channel, 0.5)
