"""The order of samples: a pure function of (seed, epoch, position), so that any run can be resumed exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from unsilent.errors import RecipeError

__all__ = ["BatchOrder", "EndlessOrder", "RankOrder", "SampleKey", "StepOrder", "sample_rng"]


class SampleKey(NamedTuple):
    """Which sample, and where in the run it is seen."""

    epoch: int
    position: int
    sample: int


def sample_rng(seed: int, key: SampleKey) -> np.random.Generator:
    """Generator for everything random about one sample at one place in the run."""
    return np.random.default_rng((seed, key.epoch, key.position))


class StepOrder(Protocol):
    """Batches of sample keys, one a step over all processes, from some step to the end of the run."""

    steps_per_epoch: int

    @property
    def total(self) -> int:
        """Steps of the whole run, from its first."""

    def __len__(self) -> int:
        """Steps that are left."""

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """The batches of these steps."""


class EndlessOrder(Protocol):
    """Epoch after epoch of all samples, each in an order of its own."""

    def row(self, position: int) -> int:
        """The sample at ``position`` of all epochs, one after the other."""


class BatchOrder(Sampler[list[SampleKey]]):
    """Batches of sample keys from step ``start`` to the end of the last epoch.

    Every epoch is a fresh permutation, or as ``rows`` says; an epoch's last batch is left out if it is not full, so
    that every step has the same size.

    Args:
        samples: how many there are.
        batch_size: samples a step; lowered to ``samples`` if there are fewer.
        seed: of the run.
        epochs: how many.
        start: first step, for resuming.
        rows: the order in an epoch, where not all samples are equally near at hand.
    """

    def __init__(
        self, samples: int, batch_size: int, seed: int, epochs: int, start: int = 0, rows: EndlessOrder | None = None
    ) -> None:
        self.samples, self.seed, self.epochs, self.start, self.rows = samples, seed, epochs, start, rows
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
                permutation = self._permutation(epoch)
            first = step % self.steps_per_epoch * self.batch_size
            yield [
                SampleKey(epoch, position, int(permutation[position]))
                for position in range(first, first + self.batch_size)
            ]

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if self.rows is None:
            return np.random.default_rng((self.seed, epoch)).permutation(self.samples)
        first = epoch * self.samples
        return np.array([self.rows.row(position) for position in range(first, first + self.samples)])


class RankOrder(Sampler[list[SampleKey]]):
    """What one of several processes takes of every batch: each ``world``-th key, from its own number on.

    A sample's key, and with it everything random about the sample, is that of the whole batch: together the processes
    see what one process would, and a run goes on from any step with another number of them.

    Args:
        order: of the batches of all processes.
        rank: number of this process, from 0.
        world: number of processes.
        accumulate: parts that each process makes of its share.
    """

    def __init__(self, order: StepOrder, rank: int, world: int, accumulate: int = 1) -> None:
        self.order, self.rank, self.world, self.accumulate = order, rank, world, accumulate

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for keys in self.order:
            if len(keys) % (self.world * self.accumulate):
                raise RecipeError(
                    f"run.batch_size: {len(keys)} samples a step cannot be divided evenly over {self.world} processes "
                    f"and run.accumulate: {self.accumulate}; give a multiple of {self.world * self.accumulate}"
                )
            yield keys[self.rank :: self.world]
