from __future__ import annotations

from pathlib import Path

import pytest
from tests.training.conftest import shards
from tests.training.small import train_recipe, vocoder_recipe

from unsilent.benchmarks.train import bench_train

__all__ = ["shards"]


def test_the_shares_are_of_the_same_run(shards: Path) -> None:
    steps = []
    result = bench_train(train_recipe(shards), 3, lambda: steps.append(1))
    assert len(steps) == 5
    assert 0 <= result["waiting"] < 1
    assert result["share_of_peak"] == pytest.approx(result["flops"] / result["peak"])
    assert 0 < result["share_of_peak"] < 1.5
    assert 0 < result["encoder"]["share_of_peak"] < 1.5
    assert result["samples_per_second"] * result["seconds_per_step"] <= result["batch_size"] * 1.01


def test_a_stage_without_an_encoder_has_none(shards: Path) -> None:
    assert bench_train(vocoder_recipe(shards), 3)["encoder"] is None
