"""Measuring systems: metrics, recognisers, protocols, intervals, published figures, and the report.

The packages behind the metrics are optional (``pip install 'unsilent[eval]'``); a metric whose package is missing is
missing from the report, with that reason.
"""

from __future__ import annotations

from unsilent.evaluation.catalogue import CATALOGUE, MetricInfo
from unsilent.evaluation.protocol import (
    SYSTEMS,
    EvalClip,
    Speaker,
    System,
    derangement,
    model_systems,
    needs_crops,
    usual_systems,
)
from unsilent.evaluation.report import Report, Summary
from unsilent.evaluation.runner import evaluate
from unsilent.evaluation.scoring import ALL_METRICS
from unsilent.evaluation.statistics import Interval, bootstrap_mean, bootstrap_paired, bootstrap_ratio

__all__ = [
    "ALL_METRICS",
    "CATALOGUE",
    "SYSTEMS",
    "EvalClip",
    "Interval",
    "MetricInfo",
    "Report",
    "Speaker",
    "Summary",
    "System",
    "bootstrap_mean",
    "bootstrap_paired",
    "bootstrap_ratio",
    "derangement",
    "evaluate",
    "model_systems",
    "needs_crops",
    "usual_systems",
]
