"""Distributions over clips as inline SVG, drawn in the colours of the page they are in."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from unsilent.evaluation.catalogue import CATALOGUE, MetricInfo
from unsilent.evaluation.report import Report
from unsilent.evaluation.tables import figure, head

__all__ = ["distribution"]

_WIDTH, _ROW, _LEFT, _RIGHT, _FOOT = 460, 26, 112, 14, 24
_DOTS: Final = 200
_LONGEST_NAME: Final = 16


def distribution(report: Report, metric: str) -> str | None:
    """A row a system: a dot a clip (200 at most), the quartiles as a box, the median as a line; None without values."""
    values = {name: _values(report, name, metric) for name in report.systems}
    every = np.concatenate(list(values.values()))
    if not len(every):
        return None
    info = CATALOGUE[metric]
    low, high = float(every.min()), float(every.max())
    if high - low < 10**-info.digits / info.scale:
        low, high = low - 0.5 / info.scale, high + 0.5 / info.scale
    height = _ROW * len(values) + _FOOT
    rows = [_row(name, found, place, low, high) for place, (name, found) in enumerate(values.items())]
    medians = "; ".join(f"{name} {figure(info, float(np.median(v)))}" for name, v in values.items() if len(v))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" class="plot">'
        f"<title>{escape(head(metric))} by system, a dot a clip. Medians: {escape(medians)}</title>"
        f"{_axis(info, low, high, height)}{''.join(rows)}</svg>"
    )


def _values(report: Report, system: str, metric: str) -> NDArray[np.float64]:
    found = [scores.values[metric].value for scores in report.scores[system]]
    return np.array([value for value in found if value is not None], np.float64)


def _at(value: float, low: float, high: float) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low), 1)


def _axis(info: MetricInfo, low: float, high: float, height: int) -> str:
    ticks = [low, (low + high) / 2, high]
    parts = []
    for value, anchor in zip(ticks, ("start", "middle", "end"), strict=True):
        x = _at(value, low, high)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="2" y2="{height - _FOOT}"/>')
        parts.append(f'<text x="{x}" y="{height - 8}" text-anchor="{anchor}">{figure(info, value)}</text>')
    return "".join(parts)


def _row(name: str, values: NDArray[np.float64], place: int, low: float, high: float) -> str:
    middle = place * _ROW + _ROW / 2
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    label = f'<text x="{_LEFT - 10}" y="{middle + 4}" text-anchor="end">{escape(short)}</text>'
    if not len(values):
        return label + f'<text class="none" x="{_LEFT + 4}" y="{middle + 4}">missing</text>'
    first, median, third = (_at(float(q), low, high) for q in np.percentile(values, [25, 50, 75]))
    return (
        f'<g class="s{place % 8}">{label}{_dots(values, middle, low, high)}'
        f'<rect x="{first}" y="{middle - 7}" width="{max(1.0, round(third - first, 1))}" height="14" rx="3"/>'
        f'<line class="median" x1="{median}" x2="{median}" y1="{middle - 9}" y2="{middle + 9}"/></g>'
    )


def _dots(values: Sequence[float] | NDArray[np.float64], middle: float, low: float, high: float) -> str:
    shown = np.sort(values)
    if len(shown) > _DOTS:
        shown = shown[np.linspace(0, len(shown) - 1, _DOTS).round().astype(int)]
    # The golden ratio spreads neighbours over the height of the row without chance.
    heights = (np.arange(len(shown)) * 0.618034) % 1 * 14 - 7
    pairs = zip(shown, heights, strict=True)
    return "".join(f'<circle cx="{_at(float(v), low, high)}" cy="{middle + h:.1f}" r="1.6"/>' for v, h in pairs)
