"""Speech alone as training samples: a mixture of corpora, streamed in an order that can be resumed anywhere.

Every source is walked in its own endless order, epoch after epoch of its own, in which each row comes once before
any comes again. The mixture's epoch is a number of draws; each source has a fixed count of them by its weight, and
which draw is whose is shuffled. All of it is a pure function of (seed, epoch, position): the keys of a run are the
same for any number of processes and workers, and from any step on.

Shapes: N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from unsilent.errors import RecipeError, ShardError
from unsilent.shards import ClipSoundReader, SpeechReader, SpeechRow, open_speech_shards
from unsilent.training.order import SampleKey, sample_rng
from unsilent.training.subset import choose_minutes

__all__ = [
    "MixtureOrder",
    "SpeechData",
    "SpeechSample",
    "StreamOrder",
    "draws_by_weight",
    "open_sources",
]

SAMPLE_RATE: Final = 24_000
WINDOW_GROUPS: Final = 16
_ORDER: Final = 0x6F72_6465  # keeps these draws apart from those of `sample_rng`
_MIX: Final = 0x6D69_7865

SpeechRows = SpeechReader | ClipSoundReader


class Source(Protocol):
    """What a recipe says of one corpus; :class:`unsilent.training.pretrain_recipe.SpeechSource` is one."""

    @property
    def shards(self) -> str:
        """Folder of shards."""

    @property
    def split(self) -> str | None:
        """Split of it, or None for everything."""

    @property
    def minutes(self) -> float | None:
        """Use so many minutes of it, or None for all."""

    @property
    def weight(self) -> float:
        """Share of the draws, relative to the other sources."""


def open_sources(sources: Iterable[Source], window_groups: int = WINDOW_GROUPS) -> list[SpeechRows]:
    """The rows of each source; of ``minutes``, rows chosen at random, the same in every run.

    Args:
        sources: shards of speech or of clips, their splits and minutes.
        window_groups: how many row groups of each are held in memory: at least as many as are shuffled together.

    Raises:
        ShardError: the shards cannot be used, or there is no such split.
    """
    return [_open(source, window_groups) for source in sources]


def _open(source: Source, window_groups: int) -> SpeechRows:
    rows = open_speech_shards(source.shards, split=source.split, cache_groups=window_groups)
    if source.minutes is None:
        return rows
    return rows.take(choose_minutes(rows.samples / SAMPLE_RATE, source.minutes))


class StreamOrder:
    """The endless order of one source, as a pure function of the seed and the position.

    In each epoch the row groups are shuffled; the rows of ``window_groups`` neighbouring groups of that order are
    shuffled together. So only that many row groups are in use at a time, however large the source.

    Args:
        sizes: number of rows in each row group (G,); rows are numbered through.
        seed: of the run.
        stream: number of the source, so that sources of one run differ.
        window_groups: row groups that are shuffled together.
    """

    def __init__(
        self, sizes: NDArray[np.int64], seed: int, stream: int = 0, window_groups: int = WINDOW_GROUPS
    ) -> None:
        self.sizes = np.asarray(sizes, np.int64)
        self.seed, self.stream, self.window_groups = seed, stream, max(1, window_groups)
        self._firsts = np.cumsum(self.sizes) - self.sizes
        self._rows = int(self.sizes.sum())
        self._epoch = -1
        self._window: tuple[int, int] | None = None
        self._groups = self._ends = self._current = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Rows in an epoch."""
        return self._rows

    def row(self, position: int) -> int:
        """The row at ``position`` >= 0 of the endless order; neighbouring positions are cheap."""
        epoch, place = divmod(position, self._rows)
        if epoch != self._epoch:
            self._start(epoch)
        window = int(np.searchsorted(self._ends, place, side="right"))
        if self._window != (epoch, window):
            self._window, self._current = (epoch, window), self._shuffled(epoch, window)
        begin = int(self._ends[window - 1]) if window else 0
        return int(self._current[place - begin])

    def _start(self, epoch: int) -> None:
        rng = np.random.default_rng((self.seed, _ORDER, self.stream, epoch, 0))
        self._epoch, self._groups = epoch, rng.permutation(len(self.sizes))
        ends = np.cumsum(self.sizes[self._groups])
        last = np.arange(self.window_groups - 1, len(ends) + self.window_groups - 1, self.window_groups)
        self._ends = ends[np.minimum(last, len(ends) - 1)]

    def _shuffled(self, epoch: int, window: int) -> NDArray[np.int64]:
        groups = self._groups[window * self.window_groups : (window + 1) * self.window_groups]
        rows = np.concatenate([np.arange(self._firsts[g], self._firsts[g] + self.sizes[g]) for g in groups])
        np.random.default_rng((self.seed, _ORDER, self.stream, epoch, 1 + window)).shuffle(rows)
        return rows


def draws_by_weight(weights: Sequence[float], draws: int) -> list[int]:
    """Divide a number of draws by weight, without a rest: the largest fractions are rounded up.

    Raises:
        RecipeError: there are too few draws for a source to have one.
    """
    exact = np.array(weights, float) / sum(weights) * draws
    counts = np.floor(exact).astype(int)
    rest = np.argsort(counts - exact, kind="stable")[: draws - int(counts.sum())]
    counts[rest] += 1
    if not counts.all():
        raise RecipeError(
            f"data.samples_per_epoch: {draws} samples give source {int(counts.argmin())} none; raise it, or its weight"
        )
    return [int(count) for count in counts]


class Grouped(Protocol):
    """Rows in row groups, as the readers of shards are."""

    @property
    def group_sizes(self) -> NDArray[np.int64]:
        """Number of rows in each row group."""


class MixtureOrder(Sampler[list[SampleKey]]):
    """Batches of sample keys over several sources, from step ``start`` to the end of the last epoch.

    A key's ``sample`` counts through the sources in their order, as in :class:`SpeechData`. The last batch of an
    epoch is left out if it is not full.

    Args:
        sources: the rows of each source, as :func:`open_sources` gives them.
        weights: shares of the sources in an epoch.
        samples_per_epoch: draws that make an epoch.
        batch_size: samples a step, over all processes.
        seed: of the run.
        epochs: how many.
        start: first step, for resuming.
        window_groups: row groups of a source that are shuffled together.

    Raises:
        RecipeError: the epoch is shorter than a batch, or too short for a source to have a draw.
    """

    def __init__(
        self,
        sources: Sequence[Grouped],
        weights: Sequence[float],
        *,
        samples_per_epoch: int,
        batch_size: int,
        seed: int,
        epochs: int,
        start: int = 0,
        window_groups: int = WINDOW_GROUPS,
    ) -> None:
        if samples_per_epoch < batch_size:
            raise RecipeError(f"data.samples_per_epoch: {samples_per_epoch} is less than run.batch_size {batch_size}")
        self.sizes, self.window_groups = [source.group_sizes for source in sources], window_groups
        self.counts = draws_by_weight(weights, samples_per_epoch)
        self.batch_size, self.seed, self.epochs, self.start = batch_size, seed, epochs, start
        self.steps_per_epoch = samples_per_epoch // batch_size
        self._offsets = [0, *accumulate(int(sizes.sum()) for sizes in self.sizes)]

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def __len__(self) -> int:
        return max(0, self.total - self.start)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        streams = [StreamOrder(s, self.seed, number, self.window_groups) for number, s in enumerate(self.sizes)]
        labels, turns, epoch = np.empty(0, int), np.empty(0, int), -1
        for step in range(self.start, self.total):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                labels, turns = self._draws(epoch)
            first = step % self.steps_per_epoch * self.batch_size
            batch = []
            for position in range(first, first + self.batch_size):
                source = int(labels[position])
                row = streams[source].row(epoch * self.counts[source] + int(turns[position]))
                batch.append(SampleKey(epoch, position, self._offsets[source] + row))
            yield batch

    def _draws(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For every draw of an epoch: whose it is, and how many of the same source's come before it."""
        labels = np.repeat(np.arange(len(self.counts)), self.counts)
        np.random.default_rng((self.seed, _MIX, epoch, 0, 0)).shuffle(labels)
        turns = np.empty(len(labels), np.int64)
        for source, count in enumerate(self.counts):
            turns[labels == source] = np.arange(count)
        return labels, turns


@dataclass(frozen=True)
class SpeechSample:
    """A stretch of speech."""

    samples: NDArray[np.float32]
    """(N,) in [-1, 1); zeros where the recording has ended."""
    bandwidth: float
    """Hz; nothing above it is speech."""
    valid_samples: int
    """Samples that are the recording's."""
    reference: NDArray[np.float32]
    """(R,), another stretch of the recording where it is long enough; empty if none was asked for."""

    def reversed(self) -> SpeechSample:
        """The same stretch played backwards; zeros stay at its end."""
        samples = np.zeros_like(self.samples)
        samples[: self.valid_samples] = self.samples[: self.valid_samples][::-1]
        return replace(self, samples=samples, reference=self.reference[::-1].copy())


class SpeechData(Dataset[SpeechSample]):
    """Random stretches of speech; which stretch of a row is a function of (seed, epoch, position).

    Rows are read and decoded when they are asked for; nothing grows with the corpus but the readers' index.

    Args:
        sources: the rows of each source, as :func:`open_sources` gives them.
        segment_samples: N, samples of a stretch.
        seed: of the run.
        reference_samples: R, samples of the reference that comes with each.
    """

    def __init__(
        self, sources: Sequence[SpeechRows], *, segment_samples: int, seed: int, reference_samples: int = 0
    ) -> None:
        self.sources, self.segment_samples, self.seed = list(sources), segment_samples, seed
        self.reference_samples = reference_samples
        self._ends = list(accumulate(len(rows) for rows in self.sources))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, key: SampleKey | int) -> SpeechSample:
        """The stretch of a key; of a plain row number, the middle of the row.

        Raises:
            ShardError: the row is damaged, or of another sample rate.
        """
        index = key if isinstance(key, int) else key.sample
        number = int(np.searchsorted(self._ends, index, side="right"))
        row = self.sources[number][index - (self._ends[number - 1] if number else 0)]
        if row.sample_rate != SAMPLE_RATE:
            raise ShardError(f"{row.shard}: {row.id} is at {row.sample_rate} Hz, not {SAMPLE_RATE}; prepare it again")
        spare = max(0, row.samples - self.segment_samples)
        first = spare // 2 if isinstance(key, int) else int(sample_rng(self.seed, key).integers(0, spare + 1))
        stretch = row.audio(first, self.segment_samples)
        samples = np.zeros(self.segment_samples, np.float32)
        samples[: len(stretch)] = stretch
        return SpeechSample(samples, row.bandwidth, len(stretch), self._reference(row, first))

    def _reference(self, row: SpeechRow, first: int) -> NDArray[np.float32]:
        """Speech of the row as far from the stretch at ``first`` as there is; repeated where the row is too short."""
        wanted = self.reference_samples
        if not wanted:
            return np.empty(0, np.float32)
        before, after = first, row.samples - first - self.segment_samples
        begin = max(0, row.samples - wanted) if after >= before else 0
        return np.resize(row.audio(begin, wanted), wanted)
