from __future__ import annotations

import pytest
import torch

from unsilent.benchmarks import reference
from unsilent.benchmarks.reference import CPU, matrix_peak, now


def test_the_peak_is_a_rate() -> None:
    assert 0.1 < matrix_peak(64, 2) < 1e6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_product_is_made_as_asked(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    seen = []

    def product(a: torch.Tensor, b: torch.Tensor) -> None:
        seen.append((a.shape, a.device, a.dtype, b.dtype))

    monkeypatch.setattr(torch, "mm", product)
    matrix_peak(8, 1, CPU, dtype)
    assert seen == [((8, 8), CPU, dtype, dtype)]


def test_the_clock_waits_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    cuda = torch.device("cuda", 0)
    assert now(CPU) <= now(cuda)
    assert waited == [cuda]
    assert reference._SIZES["cuda"] > reference._SIZES["cpu"]
