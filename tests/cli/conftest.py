from __future__ import annotations

from tests.face.conftest import portrait, talking_video

__all__ = ["portrait", "talking_video"]
