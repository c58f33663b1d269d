"""The order of training: every record once an epoch, any batch without the ones before, groups and repeats."""

from collections import Counter
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from detectron2.data.common import AspectRatioGroupedDataset
from detectron2.data.samplers import RepeatFactorTrainingSampler

from bdd100k_d2.data.sampler import Sample, TrainingBatchSampler


def batches(order: TrainingBatchSampler, count: int) -> list[list[Sample]]:
    return [order.batch(number) for number in range(count)]


def test_each_epoch_holds_every_record_once_in_an_order_of_its_own() -> None:
    samples = list(chain(*batches(TrainingBatchSampler(7, 4, 10), 10)))
    epochs = [samples[i : i + 10] for i in range(0, 40, 10)]
    for number, epoch in enumerate(epochs):
        assert {sample.epoch for sample in epoch} == {number} and {sample.copy for sample in epoch} == {0}
        assert sorted(sample.index for sample in epoch) == list(range(10))
    assert len({tuple(sample.index for sample in epoch) for epoch in epochs}) == 4
    assert batches(TrainingBatchSampler(7, 4, 10), 10) == batches(TrainingBatchSampler(7, 4, 10), 10)
    assert batches(TrainingBatchSampler(8, 4, 10), 10) != batches(TrainingBatchSampler(7, 4, 10), 10)


GROUPS = np.array([0, 0, 1, 0, 0, 0, 1, 0, 0, 2, 0])
FACTORS = np.array([1, 1.5, 2, 1, 1, 1.2, 3.7, 1, 1, 1, 1])


@pytest.mark.parametrize("size", [1, 3, 11])
@pytest.mark.parametrize("groups", [None, GROUPS])
@pytest.mark.parametrize("more", [{}, {"subset": 0.5}, {"repeat_factors": FACTORS}])
def test_any_batch_is_found_without_the_ones_before(size: int, groups: np.ndarray | None, more: dict) -> None:
    arguments = {key: value[:size] if isinstance(value, np.ndarray) else value for key, value in more.items()}
    if groups is not None:
        arguments["groups"] = groups[:size]
    one_by_one = batches(TrainingBatchSampler(3, 4, size, **arguments), 60)
    for number in (59, 0, 31, 30, 7):
        assert TrainingBatchSampler(3, 4, size, **arguments).batch(number) == one_by_one[number]
    assert {len(batch) for batch in one_by_one} == {4}
    # No place is passed over and none comes twice: each group goes through its epochs in order.
    for group in set(GROUPS.tolist()):
        mine = [s for s in chain(*one_by_one) if groups is None or groups[s.index] == group]
        assert all(first.epoch <= second.epoch for first, second in pairwise(mine)) and len({*mine}) == len(mine)


def test_groups_fill_their_batches_as_those_of_detectron2() -> None:
    flat = TrainingBatchSampler(5, 1, len(GROUPS))
    wide = GROUPS == 0
    stream = [
        {"width": 2 if wide[s.index] else 1, "height": 1 if wide[s.index] else 2, "sample": s}
        for s in chain(*batches(flat, 400))
    ]
    theirs = [[one["sample"] for one in batch] for batch in AspectRatioGroupedDataset(stream, 4)]
    assert len(theirs) > 90
    assert batches(TrainingBatchSampler(5, 4, len(GROUPS), groups=wide), len(theirs)) == theirs


def test_repeats_are_as_frequent_as_those_of_detectron2() -> None:
    order = TrainingBatchSampler(1, 1, len(FACTORS), repeat_factors=FACTORS)
    drawn = [s for s in chain(*batches(order, 8000)) if s.epoch < 500]
    counts = Counter(s.index for s in drawn)
    theirs = RepeatFactorTrainingSampler(torch.from_numpy(FACTORS), seed=1)
    random = torch.Generator().manual_seed(1)
    expected = sum(np.bincount(theirs._get_epoch_indices(random).numpy(), minlength=11) for _ in range(500))
    for index, factor in enumerate(FACTORS):
        assert counts[index] / 500 == pytest.approx(factor, abs=0.1)
        assert counts[index] == pytest.approx(expected[index], rel=0.1)
    # Each copy of a record is told from the others, so that it is augmented in its own way.
    assert len(set(drawn)) == len(drawn)
    assert {s.copy for s in drawn if s.index == 6} == {0, 1, 2, 3}


def test_a_subset_is_the_same_in_each_epoch() -> None:
    order = TrainingBatchSampler(2, 5, 100, subset=0.2)
    samples = list(chain(*batches(order, 12)))
    assert len(order.indices) == 20
    for epoch in range(3):
        assert sorted(s.index for s in samples if s.epoch == epoch) == order.indices.tolist()
    assert order.indices.tolist() != TrainingBatchSampler(3, 5, 100, subset=0.2).indices.tolist()


def test_a_seed_stands_for_the_same_order_in_every_release() -> None:
    assert [s.index for s in TrainingBatchSampler(0, 8, 8).batch(0)] == [7, 5, 3, 2, 0, 1, 6, 4]
    assert [s.index for s in TrainingBatchSampler(0, 8, 8).batch(100_000)] == [7, 3, 4, 1, 5, 0, 2, 6]
