"""Published figures to stand beside, as data; none was measured here.

Marks: **S2** stated by a third party's notes on the paper, **R** recollection, not verified. No figure below was read
in its paper. They are **not comparable digit by digit** with a report of this package:

* other test sets: GRID with 4 or 33 speakers seen in training, or with unseen ones; never one speaker's 50 clips;
* PESQ is narrow-band at 8 kHz, narrow-band at 16 kHz or wide-band, mostly without saying which;
* WER comes from each paper's own recogniser, often one trained on GRID, and against the text or against the
  transcript of the real sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["BENCHMARKS", "PROTOCOL_NOTE", "PUBLISHED", "Published", "published_for"]

BENCHMARKS: Final[Mapping[str, str]] = {
    "grid-4": "GRID, 4 speakers, all seen in training; each paper's own clips",
    "grid-33": "GRID, 33 speakers, all seen in training",
    "grid-unseen": "GRID, speakers that were not trained on",
    "tcd-timit-3": "TCD-TIMIT, the 3 lip-speakers, all seen in training",
    "lrw": "LRW, its own test set; words cut out of broadcasts",
    "lrs3": "LRS3, its own test set",
}
"""Test sets of the published rows."""

PROTOCOL_NOTE: Final = (
    "Published rows: other test sets, PESQ variant and recogniser of each paper (mark S2: third-party notes on the "
    "paper; R: recollection, unverified). They show the order of magnitude, no more."
)


@dataclass(frozen=True, slots=True)
class Published:
    """One published row.

    Attributes:
        model: name of the model.
        benchmark: one of :data:`BENCHMARKS`.
        pesq: PESQ of a variant that is not known.
        stoi: STOI.
        estoi: ESTOI.
        wer: word error rate as a fraction, or None.
        mark: how far the figure is known, see the module.
    """

    model: str
    benchmark: str
    pesq: float | None
    stoi: float | None
    estoi: float | None
    wer: float | None
    mark: str


PUBLISHED: Final = (
    Published("GAN (Mira et al. 2022)", "grid-33", 1.70, 0.667, 0.465, 0.0460, "R"),
    Published("GAN (Mira et al. 2022)", "grid-unseen", 1.37, 0.568, 0.289, 0.1605, "R"),
    Published("GAN (Mira et al. 2022)", "lrw", 1.45, 0.552, 0.331, 0.426, "R"),
    Published("SVTS (Mira et al. 2022)", "grid-33", 1.97, 0.705, 0.523, 0.0236, "S2"),
    Published("SVTS (Mira et al. 2022)", "grid-unseen", 1.40, 0.588, 0.318, 0.1785, "S2"),
    Published("SVTS (Mira et al. 2022)", "lrw", 1.49, 0.649, 0.483, 0.134, "S2"),
    Published("Lip2Wav (Prajwal et al. 2020)", "grid-4", 1.772, 0.731, 0.535, 0.1408, "R"),
    Published("Lip2Wav (Prajwal et al. 2020)", "lrw", 1.197, 0.543, 0.344, 0.342, "R"),
    Published("Lip2Wav, re-measured by others", "lrw", None, None, None, 0.796, "R"),
    Published("VCA-GAN (Kim et al. 2021)", "grid-4", 2.008, 0.724, 0.609, 0.1225, "R"),
    Published("VCA-GAN (Kim et al. 2021)", "grid-unseen", 1.372, 0.569, 0.336, 0.2345, "R"),
    Published("VCA-GAN (Kim et al. 2021)", "lrw", 1.33, 0.56, 0.36, None, "R"),
    Published("memory bridge", "grid-4", 1.984, 0.738, 0.579, None, "S2"),
    Published("VCVTS", "grid-unseen", 1.417, 0.582, 0.330, None, "S2"),
    Published("Hegde et al. 2024", "lrw", 1.61, 0.71, 0.56, None, "S2"),
    Published("AV second stage (Kefalas et al. 2023)", "grid-4", 1.95, 0.698, 0.532, 0.0367, "S2"),
    Published("AV second stage (Kefalas et al. 2023)", "grid-33", 2.10, 0.723, 0.553, 0.0265, "S2"),
    Published("AV second stage (Kefalas et al. 2023)", "tcd-timit-3", 1.44, 0.566, 0.411, None, "S2"),
    Published("V2A-MelSpec-S, pre-trained (Kefalas et al. 2024)", "grid-unseen", 1.43, 0.598, 0.335, 0.1790, "S2"),
    Published("V2A-MelSpec-M, from scratch (Kefalas et al. 2024)", "lrw", 1.48, 0.649, 0.484, 0.1496, "S2"),
    Published("SVTS (Mira et al. 2022)", "lrs3", None, None, None, 0.766, "R"),
    Published("speech units on AV-HuBERT", "lrs3", None, None, None, 0.298, "R"),
    Published("V2SFlow", "lrs3", None, None, None, 0.285, "R"),
    Published("SLD-L2S", "lrs3", None, None, None, 0.302, "R"),
)
"""Rows in the order of the models' age."""


def published_for(corpus: str) -> tuple[Published, ...]:
    """The rows on a corpus, by its name in a report; none for a corpus that nobody published on."""
    name = corpus.replace("_", "-")
    return tuple(row for row in PUBLISHED if name and (row.benchmark == name or row.benchmark.startswith(f"{name}-")))
