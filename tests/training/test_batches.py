from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data._utils.pin_memory import pin_memory

from unsilent.training.batches import TensorBatch
from unsilent.training.clips import ClipBatch
from unsilent.training.pretrain import SpeechBatch
from unsilent.training.speech import SegmentBatch
from unsilent.training.wave_data import WaveBatch

KINDS = [ClipBatch, SpeechBatch, WaveBatch, SegmentBatch]


def made(kind: Any) -> Any:
    names = kind.__dataclass_fields__
    return kind(**{name: torch.full((2, 3), float(place)) for place, name in enumerate(names)})


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_a_batch_goes_to_a_device(kind: Any) -> None:
    batch = made(kind)
    assert isinstance(batch, TensorBatch)
    there = batch.to(torch.device("meta"))
    assert type(there) is kind
    assert {value.device.type for value in vars(there).values()} == {"meta"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_loader_pins_all_of_a_batch(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the function that a loader calls; pinning itself needs a GPU, and only says here that it was asked for."""
    asked: list[Tensor] = []

    def pinned(self: Tensor, *device: Any) -> Tensor:
        asked.append(self)
        return self + 100

    monkeypatch.setattr(Tensor, "pin_memory", pinned)
    batch = made(kind)
    there = pin_memory(batch)  # type: ignore[no-untyped-call]
    assert type(there) is kind
    assert len(asked) == len(vars(batch))
    for name, value in vars(batch).items():
        assert torch.equal(getattr(there, name), value + 100)
