"""Finding a speaker's face and cutting out the mouth: frames in, 96 x 96 grey mouth crops out."""

from __future__ import annotations

from unsilent.face.geometry import CROP_SIZE
from unsilent.face.mouth import FPS, MouthFrame, MouthTrack, stream_mouth, track_mouth

__all__ = ["CROP_SIZE", "FPS", "MouthFrame", "MouthTrack", "stream_mouth", "track_mouth"]
