"""A small report with everything in it, and the sounds of its clips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tests.evaluation.sounds import clips, with_noise

from unsilent.errors import FaceError
from unsilent.evaluation import EvalClip, Report, System, evaluate
from unsilent.evaluation.gallery import ClipMedia, make_gallery, worst_first
from unsilent.evaluation.metrics import Samples

METRICS = ("mel_l1", "lsd", "offset_ms")
NASTY = 'lay </script><script>document.title="owned"</script> | by & "x"'


def noise(decibels: float, *, fails_on: str = "", seed: int = 1) -> System:
    def make(clip: EvalClip) -> Samples:
        if clip.id == fails_on:
            raise FaceError(f"{clip.id}.mp4: no <face> | found")
        # The first clips get the most noise, so that the worst is known.
        return with_noise(clip.real, decibels + 6 * int(clip.id[-1]), seed)

    return make


def systems() -> dict[str, System]:
    return {
        "real": lambda clip: clip.real,
        "model": noise(0, fails_on="s1/clip3"),
        "silence": lambda clip: np.zeros_like(clip.real),
    }


def small_clips(number: int = 4, seconds: float = 0.6) -> list[EvalClip]:
    known = clips(number, seconds)
    first = known[0]
    known[0] = EvalClip(first.id, NASTY, first.real, np.full((20, 96, 96), 90, np.uint8))
    return known


def small_report(
    number: int = 4,
    made: Mapping[str, System] | None = None,
    metrics: tuple[str, ...] = METRICS,
    *,
    corpus: str = "grid",
    seconds: float = 0.6,
) -> Report:
    return evaluate(
        systems() if made is None else made,
        small_clips(number, seconds),
        metrics,
        workers=0,
        corpus=corpus,
        split="s1-test",
        model={"name": "grid"},
        left_out={"s1/gone": "s1/gone.mp4: no face"},
        notes=["a note for <readers>"],
        command="unsilent evaluate grid ROOT --split s1-test",
    )


def small_gallery(report: Report, number: int = 2) -> dict[str, ClipMedia]:
    return make_gallery(systems(), small_clips(), worst_first(report)[:number])
