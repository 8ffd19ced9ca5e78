"""The demonstration: a clip with sound loses it, gets it back, and both are shown side by side."""

from __future__ import annotations

from unsilent.demonstration.example import Example, grid_example, talker_example
from unsilent.demonstration.run import Demonstration, demonstrate

__all__ = ["Demonstration", "Example", "demonstrate", "grid_example", "talker_example"]
