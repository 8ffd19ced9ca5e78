"""Pictures of what a model sees and says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["mel_figure", "save_figure"]

STRIP = 15
"""Mouth crops in the strip."""


def mel_figure(crops: NDArray[np.uint8] | None, mels: Mapping[str, NDArray[np.float32]], floor: float = -8.0) -> Figure:
    """Mouth strip over log-mel spectrograms on one time axis.

    Args:
        crops: (T, S, S) grey, or None for no strip.
        mels: (F, M) log-mels by title.
        floor: log amplitude drawn black.
    """
    rows = len(mels) + (crops is not None)
    figure = Figure(figsize=(10, 0.9 + 1.7 * len(mels)), layout="constrained")
    FigureCanvasAgg(figure)
    ratios = ([0.55] if crops is not None else []) + [1.0] * len(mels)
    axes = np.atleast_1d(figure.subplots(rows, 1, height_ratios=ratios))
    if crops is not None and len(crops):
        chosen = np.linspace(0, len(crops) - 1, STRIP).round().astype(int)
        axes[0].imshow(np.concatenate(list(crops[chosen]), axis=1), cmap="gray", vmin=0, vmax=255)
        axes[0].axis("off")
    for axis, (title, mel) in zip(axes[-len(mels) :], mels.items(), strict=True):
        axis.imshow(mel, origin="lower", aspect="auto", vmin=floor, vmax=2.0, cmap="magma",
                    extent=(0, mel.shape[1] / 100, 0, mel.shape[0]))  # fmt: skip
        axis.set_ylabel(f"{title}\nmel band")
    axes[-1].set_xlabel("seconds")
    return figure


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, format="png", dpi=110)
