"""What the machine can do at most, measured in the run of what is compared with it."""

from __future__ import annotations

import time

import torch

__all__ = ["CPU", "matrix_peak", "now"]

CPU = torch.device("cpu")
_SIZES = {"cpu": 1536, "cuda": 8192}
"""Sides of the square matrices, large enough to be near the limit."""


def now(device: torch.device = CPU) -> float:
    """Seconds on a clock, once everything that was asked of ``device`` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def matrix_peak(
    size: int | None = None, repeats: int = 5, device: torch.device = CPU, dtype: torch.dtype = torch.float32
) -> float:
    """Rate of a large matrix product on a device of this machine now, in GFLOP/s (best of ``repeats``)."""
    size = size or _SIZES.get(device.type, _SIZES["cpu"])
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        started = now(device)
        torch.mm(a, b)
        best = min(best, now(device) - started)
    return 2 * size**3 / best / 1e9
