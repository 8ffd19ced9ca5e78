"""Whether every metric gets worse as noise grows, and what each costs.

    python benchmarks/metrics_against_noise.py grid ../shared/data/grid --split s1-val --clips 50 --json FILE

White noise is added to real sound at 20 to -5 dB, and all metrics are computed against the clean sound. Printed for
each: its mean at every level, Spearman's rank correlation of noise level and value over all clips and levels and within
a clip (mean over the clips), whether the mean moves the right way from each level to the next, and the processor time a
clip. Any corpus of `unsilent evaluate` will do. Needs the ``eval`` extra. Left out: ``offset_lips_ms``, which needs the
picture. Error rates are means over clips here, not ratios of sums.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from unsilent.corpora.registry import open_corpus
from unsilent.errors import UnsilentError
from unsilent.evaluation.catalogue import CATALOGUE, MetricInfo
from unsilent.evaluation.metrics import METRICS, SAMPLE_RATE, Samples, measure
from unsilent.evaluation.scoring import WER_METRICS, Job, check_metrics, listen_real, score
from unsilent.evaluation.wer import Grammar
from unsilent.media import read_audio

LEVELS = (20, 15, 10, 5, 0, -5)
"""Signal-to-noise ratios, dB."""
Values = dict[str, list[list[float]]]
"""Metric -> clip -> value at each level, NaN where it is missing."""


def with_noise(samples: Samples, decibels: float, seed: int) -> Samples:
    """Samples (n,) with white noise at a signal-to-noise ratio in dB."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    gain = np.sqrt(np.mean(np.square(samples)) / np.mean(np.square(noise)) / 10 ** (decibels / 10))
    return np.asarray(samples + gain * noise, np.float32)


class Bench:
    """Computes metrics and notes the processor time of each."""

    def __init__(self, metrics: Sequence[str], grammar: Grammar | None, recogniser: str | None) -> None:
        self.measured = [name for name in metrics if name in METRICS]
        self.heard = [name for name in metrics if name in WER_METRICS]
        self.grammar, self.recogniser = grammar, recogniser
        self.values: Values = defaultdict(list)
        self.seconds: dict[str, float] = defaultdict(float)
        self.reasons: dict[str, str] = {}
        self.runs = 0

    def clip(self, text: str | None, real: Samples, seed: int) -> None:
        """All levels of one clip."""
        rows: dict[str, list[float]] = defaultdict(list)
        job = Job("", "", text, real, real, None, self.heard, self.grammar, self.recogniser)
        heard_real = listen_real(job) if self.heard else {}
        for level in LEVELS:
            made = with_noise(real, level, seed)
            for name in self.measured:
                rows[name].append(self._timed(name, real, made))
            for label, group in self._groups().items():
                started = time.process_time()
                job = Job("", "", text, real, made, None, group, self.grammar, self.recogniser, None, heard_real)
                found = score(job).values
                self.seconds[label] += time.process_time() - started
                for name in group:
                    rows[name].append(self._value(name, found[name].value, found[name].reason))
            self.runs += 1
        for name, row in rows.items():
            self.values[name].append(row)

    def _groups(self) -> dict[str, list[str]]:
        free = [name for name in self.heard if name != "wer_constrained"]
        groups = {"the sentence of the grammar": ["wer_constrained"] if "wer_constrained" in self.heard else []}
        return {label: group for label, group in {**groups, "the free transcript": free}.items() if group}

    def _timed(self, name: str, real: Samples, made: Samples) -> float:
        started = time.process_time()
        found = measure(name, real, made)
        self.seconds[name] += time.process_time() - started
        return self._value(name, found.value, found.reason)

    def _value(self, name: str, value: float | None, reason: str | None) -> float:
        if value is None:
            self.reasons[name] = str(reason)
        return float("nan") if value is None else value


def summary(info: MetricInfo, rows: list[list[float]]) -> dict[str, object]:
    """Means at each level, rank correlations with noise, and how many steps go the right way."""
    table = np.asarray(rows, np.float64)
    means = np.nanmean(table, axis=0)
    noise = np.broadcast_to(-np.asarray(LEVELS, np.float64), table.shape)
    there = ~np.isnan(table)
    within = [
        spearmanr(-np.asarray(LEVELS)[row_there], row[row_there]).statistic
        for row, row_there in zip(table, there, strict=True)
        if len(set(row[row_there])) > 1
    ]
    steps = np.diff(means) * (-1 if info.higher_is_better else 1)
    return {
        "means": means.tolist(),
        "spearman": float(spearmanr(noise[there], table[there]).statistic),
        "spearman_within": float(np.mean(within)),
        "right_steps": int((steps > 0).sum()),
        "right_way": bool((means[-1] - means[0]) * (-1 if info.higher_is_better else 1) > 0),
        "n": int(there.all(axis=1).sum()),
    }


def show(bench: Bench) -> dict[str, dict[str, object]]:
    """Print the tables; returns the figures."""
    table = Table("metric", *(f"{level} dB" for level in LEVELS), "Spearman", "within", "right steps", "clips")
    found: dict[str, dict[str, object]] = {}
    for name, rows in bench.values.items():
        info = CATALOGUE[name]
        if np.isnan(rows).all():
            table.add_row(info.head, bench.reasons[name])
            continue
        figures = found[name] = summary(info, rows)
        means = [f"{info.scale * mean:.{info.digits}f}" for mean in np.nanmean(rows, axis=0)]
        correlations = [f"{figures[key]:.3f}" for key in ("spearman", "spearman_within")]
        table.add_row(info.head, *means, *correlations, f"{figures['right_steps']} of 5", str(figures["n"]))
    console = Console(width=160)
    console.print(table)
    times = Table("processor seconds a clip", "")
    for label, seconds in bench.seconds.items():
        times.add_row(label, f"{seconds / bench.runs:.3f}")
    times.add_row("together", f"{sum(bench.seconds.values()) / bench.runs:.3f}")
    console.print(times)
    return found


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("root", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--metrics", default=",".join((*METRICS, *WER_METRICS)))
    parser.add_argument("--recogniser")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        corpus = open_corpus(arguments.corpus, arguments.root)
        clips = list(corpus.clips(arguments.split))
        number = min(arguments.clips, len(clips))
        bench = Bench(check_metrics(arguments.metrics.split(",")), corpus.grammar, arguments.recogniser)
        for place in range(number):
            # Spread: neighbours have nearly the same sentence.
            clip = clips[place * len(clips) // number]
            bench.clip(clip.text, read_audio(clip.path, SAMPLE_RATE), place)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{place + 1} of {number}")
    except UnsilentError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    found = show(bench)
    if arguments.json:
        arguments.json.write_text(json.dumps({"levels": LEVELS, "clips": number, "metrics": found}) + "\n")
    wrong = [name for name, figures in found.items() if not figures["right_way"]]
    if wrong:
        sys.stdout.write(f"wrong way: {', '.join(wrong)}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
