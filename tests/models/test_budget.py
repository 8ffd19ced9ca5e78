from __future__ import annotations

import threading
from pathlib import Path

import pytest
from torch import nn

from unsilent.errors import CheckpointError
from unsilent.models.budget import built_for

PATH = Path("model")


def test_a_network_of_the_right_size_is_built() -> None:
    with built_for(1000 * 1000 + 1000, PATH):
        layer = nn.Linear(1000, 1000)
    assert sum(p.numel() for p in layer.parameters()) == 1_001_000


def test_one_that_is_far_too_large_ends_before_memory_is_full() -> None:
    with (
        pytest.raises(CheckpointError, match="model: its settings ask for a far larger network"),
        built_for(1000, PATH),
    ):
        # 400 MB, one after the other: the tenth of them is never made.
        [nn.Linear(1000, 1000) for _ in range(100)]


@pytest.mark.parametrize("width", [-3, 2**62])
def test_settings_that_make_no_network_are_said_to(width: int) -> None:
    with pytest.raises(CheckpointError, match="model: its settings"), built_for(1000, PATH):
        nn.Linear(width, 4)


def test_what_other_threads_build_does_not_count() -> None:
    failures: list[BaseException] = []

    def build() -> None:
        try:
            nn.Linear(4000, 1000)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    with built_for(10, PATH):
        other = threading.Thread(target=build)
        other.start()
        other.join()
        nn.Linear(3, 2)
    assert not failures


def test_afterwards_anything_can_be_built_again() -> None:
    with pytest.raises(CheckpointError), built_for(10, PATH):
        nn.Linear(2000, 1000)
    assert nn.Linear(2000, 1000).weight.numel() == 2_000_000
