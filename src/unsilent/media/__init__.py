"""Reading and writing video and sound: any container, codec, frame rate, rotation and length, as a stream.

FFmpeg (inside the PyAV wheel) demuxes, decodes and encodes; soxr resamples. Time zero of a file is the moment its
first picture is shown, for the picture and for the sound alike, so that frame ``k`` of ``read_video`` at 25 fps and
sample ``960 * k`` of ``read_audio`` at 24 kHz belong together whatever the container's own clock says.
"""

from __future__ import annotations

from unsilent.media.audio import read_audio
from unsilent.media.container import MAX_SIDE, MediaInfo
from unsilent.media.encoding import AUDIO_SUFFIXES, SYNTHETIC_TAG, is_synthetic, write_audio
from unsilent.media.mux import VIDEO_SUFFIXES, drop_sound, mux_speech
from unsilent.media.video import probe, read_video

__all__ = [
    "AUDIO_SUFFIXES",
    "MAX_SIDE",
    "SYNTHETIC_TAG",
    "VIDEO_SUFFIXES",
    "MediaInfo",
    "drop_sound",
    "is_synthetic",
    "mux_speech",
    "probe",
    "read_audio",
    "read_video",
    "write_audio",
]
