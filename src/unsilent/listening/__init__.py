"""Listening to recordings of speech: where someone speaks, up to which frequency, how loud, what is fit to train on."""

from __future__ import annotations

from unsilent.listening.activity import ACTIVITY_RATE, frame_power, signal_to_noise, speech_activity, stretches
from unsilent.listening.bandwidth import measure_bandwidth
from unsilent.listening.condition import SAMPLE_RATE, ConditionConfig, Conditioned, Piece, Unfit, condition
from unsilent.listening.loudness import active_level, normalise
from unsilent.listening.reading import ANALYSIS_RATE, read_recording

__all__ = [
    "ACTIVITY_RATE",
    "ANALYSIS_RATE",
    "SAMPLE_RATE",
    "ConditionConfig",
    "Conditioned",
    "Piece",
    "Unfit",
    "active_level",
    "condition",
    "frame_power",
    "measure_bandwidth",
    "normalise",
    "read_recording",
    "signal_to_noise",
    "speech_activity",
    "stretches",
]
