"""What to expect of so many minutes of video: measured on one person, and said to be no more than that."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

__all__ = ["Forecast", "forecast"]

FILE = "forecast.json"
"""Beside this module; ``benchmarks/forecast.py`` makes it from the runs of a study."""


@dataclass(frozen=True)
class Forecast:
    """ESTOI of speech from lips after learning from so many minutes.

    Attributes:
        minutes: of video.
        estoi: expected, interpolated between amounts that were measured.
        low: lower end of the 95 % interval of the nearest amount measured, moved along.
        high: upper end.
        inside: the amount lies between those measured; otherwise the figures are those of the nearest.
        basis: what was measured.
    """

    minutes: float
    estoi: float
    low: float
    high: float
    inside: bool
    basis: str

    def sentence(self) -> str:
        """One line for a person."""
        about = "" if self.inside else " (outside what was measured: the nearest amount is given)"
        return (
            f"forecast: with {self.minutes:.1f} min, ESTOI about {self.estoi:.2f} ({self.low:.2f} to {self.high:.2f})"
            f"{about}. {self.basis} Another person, light or way of speaking may come out differently"
        )


@lru_cache(maxsize=1)
def _measured() -> tuple[str, list[dict[str, float]]]:
    read = json.loads(files("unsilent.adaptation").joinpath(FILE).read_text(encoding="utf-8"))
    return str(read["basis"]), sorted(read["points"], key=lambda point: float(point["minutes"]))


def forecast(minutes: float) -> Forecast:
    """Interpolate what was measured, on the logarithm of the amount of video.

    Args:
        minutes: of video to learn from, above 0.
    """
    basis, points = _measured()
    first, last = points[0]["minutes"], points[-1]["minutes"]
    at = min(max(minutes, first), last)
    above = next(index for index, point in enumerate(points) if at <= point["minutes"])
    left, right = points[max(0, above - 1)], points[above]
    span = math.log(right["minutes"] / left["minutes"])
    share = math.log(at / left["minutes"]) / span if span else 0.0
    estoi, low, high = ((1 - share) * left[name] + share * right[name] for name in ("estoi", "low", "high"))
    return Forecast(minutes, estoi, low, high, first <= minutes <= last, basis)
