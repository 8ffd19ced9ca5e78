"""The order of samples: a pure function of (seed, epoch, position), so that any run can be resumed exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

__all__ = ["BatchOrder", "SampleKey", "sample_rng"]


class SampleKey(NamedTuple):
    """Which sample, and where in the run it is seen."""

    epoch: int
    position: int
    sample: int


def sample_rng(seed: int, key: SampleKey) -> np.random.Generator:
    """Generator for everything random about one sample at one place in the run."""
    return np.random.default_rng((seed, key.epoch, key.position))


class BatchOrder(Sampler[list[SampleKey]]):
    """Batches of sample keys from step ``start`` to the end of the last epoch.

    Every epoch is a fresh permutation; the last batch of an epoch is left out if it is not full, so that every step
    has the same size.

    Args:
        samples: how many there are.
        batch_size: samples a step; lowered to ``samples`` if there are fewer.
        seed: of the run.
        epochs: how many.
        start: first step, for resuming.
    """

    def __init__(self, samples: int, batch_size: int, seed: int, epochs: int, start: int = 0) -> None:
        self.samples, self.seed, self.epochs, self.start = samples, seed, epochs, start
        self.batch_size = min(batch_size, samples)
        self.steps_per_epoch = samples // self.batch_size

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def __len__(self) -> int:
        return max(0, self.total - self.start)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        permutation, epoch = np.empty(0, int), -1
        for step in range(self.start, self.total):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                permutation = np.random.default_rng((self.seed, epoch)).permutation(self.samples)
            first = step % self.steps_per_epoch * self.batch_size
            yield [
                SampleKey(epoch, position, int(permutation[position]))
                for position in range(first, first + self.batch_size)
            ]
