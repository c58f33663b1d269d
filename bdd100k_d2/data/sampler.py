"""Which samples each training batch holds, as a function of the seed and the batch's number."""

from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .randomness import Purpose, generator

# Epochs whose order is kept: a batch may begin in one and end in the next.
_KEPT = 3


class Sample(NamedTuple):
    """A place in the training: the epoch, the record's index, and which copy of it, where an epoch repeats records."""

    epoch: int
    index: int  # type: ignore[assignment]  # in place of a tuple's own `index`, which nobody calls
    copy: int = 0


class TrainingBatchSampler:
    """An endless sequence of batches: each epoch, all records in an order of its own.

    Any batch is found without going through those before it. Detectron2's samplers draw all epochs from one generator,
    so that a resumed run would have to draw its way to where it was, and starts over instead.

    Batches do not end with the epoch: the last records of an epoch and the first of the next share one. With groups,
    each batch holds records of one group, is full when Detectron2's `AspectRatioGroupedDataset` would call it full, and
    batches come in the order in which they are full; what waits for its batch at the end of an epoch is not lost.

    Args:
        batch_size: samples of a batch, over all processes.
        size: number of records; those that are trained with are ``indices``.
        subset: share of the records to train with, drawn once by the seed; at least one is taken.
        repeat_factors: (size,) how often an epoch holds each record, at least 1; a fraction is rounded up or down by
            chance, as Detectron2's `RepeatFactorTrainingSampler` does. Not together with ``subset``.
        groups: (size,) small integers.
    """

    def __init__(
        self,
        seed: int,
        batch_size: int,
        size: int,
        *,
        subset: float = 1.0,
        repeat_factors: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> None:
        self.seed, self.batch_size = seed, batch_size
        self.indices = np.arange(size)
        if subset < 1.0:
            drawn = generator(seed, Purpose.SUBSET).permutation(size)[: max(int(size * subset), 1)]
            self.indices = np.sort(drawn)
        self._repeat_factors = repeat_factors
        # Numbered from 0, without groups of nobody.
        _, self._groups = np.unique(np.zeros(size) if groups is None else groups, return_inverse=True)
        self._num_groups = int(self._groups.max()) + 1
        self._counts = self._count(self.indices)
        # With repeats, where each epoch starts is known when the ones before have been counted.
        self._counted = [np.zeros(self._num_groups, np.int64)]
        self._epoch = lru_cache(_KEPT)(self._draw)

    def batch(self, number: int) -> list[Sample]:
        """The samples of batch ``number``, from 0."""
        epoch = self._epoch_of(number)
        group, nth = self._epoch(epoch).batches[number - self._completed(epoch)]
        first, end = nth * self.batch_size, (nth + 1) * self.batch_size
        samples: list[Sample] = []
        while end > first:
            start = int(self._starts(epoch)[group])
            begin = max(first, start)
            if begin < end:
                members = self._epoch(epoch).members[group][begin - start : end - start]
                samples[:0] = [Sample(epoch, index, copy) for index, copy in members.tolist()]
                end = begin
            epoch -= 1
        return samples

    def _epoch_of(self, number: int) -> int:
        """The epoch in which batch ``number`` gets full."""
        # By then even groups that all lack one sample have filled more batches.
        latest = (number + 1 + self._num_groups) * self.batch_size // len(self.indices) + 1
        return bisect_right(range(latest + 1), number, key=self._completed) - 1

    def _completed(self, epoch: int) -> int:
        """How many batches are full before ``epoch``."""
        return int((self._starts(epoch) // self.batch_size).sum())

    def _starts(self, epoch: int) -> np.ndarray:
        """How many samples of each group there were before ``epoch``."""
        if self._repeat_factors is None:
            return self._counts * epoch
        while len(self._counted) <= epoch:
            repeats = _repeats(self._repeat_factors, generator(self.seed, Purpose.ORDER, len(self._counted) - 1))
            self._counted.append(self._counted[-1] + self._count(np.repeat(self.indices, repeats)))
        return self._counted[epoch]

    def _count(self, indices: np.ndarray) -> np.ndarray:
        return np.bincount(self._groups[indices], minlength=self._num_groups)

    def _draw(self, epoch: int) -> "_Epoch":
        random = generator(self.seed, Purpose.ORDER, epoch)
        indices, copies = self.indices, np.zeros(len(self.indices), np.int64)
        if self._repeat_factors is not None:
            repeats = _repeats(self._repeat_factors, random)
            indices = np.repeat(indices, repeats)
            copies = np.arange(len(indices)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        samples = np.stack([indices, copies], axis=1)[random.permutation(len(indices))]
        groups = self._groups[samples[:, 0]]
        places = [np.flatnonzero(groups == group) for group in range(self._num_groups)]
        full = []
        for group, (start, here) in enumerate(zip(self._starts(epoch).tolist(), places, strict=True)):
            for nth in range(start // self.batch_size, (start + len(here)) // self.batch_size):
                last = (nth + 1) * self.batch_size - 1 - start
                full.append((here[last], group, nth))
        return _Epoch([samples[here] for here in places], [(group, nth) for _, group, nth in sorted(full)])


def _repeats(factors: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    whole = np.floor(factors)
    return np.asarray(whole.astype(np.int64) + (random.random_sample(len(whole)) < factors - whole))


class _Epoch(NamedTuple):
    """An epoch's order: each group's samples, (N, 2) index and copy; and its full batches, group and number in it."""

    members: list[np.ndarray]
    batches: list[tuple[int, int]]
