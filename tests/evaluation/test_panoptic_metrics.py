"""Panoptic counts and scores by hand."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from bdd100k_d2.data.bitmasks import CROWD, IGNORED, Bitmask
from bdd100k_d2.evaluation.metrics.panoptic import (
    FrameSegments,
    PanopticCounts,
    bitmask_counts,
    panoptic_scores,
    rle_counts,
)

STUFF = np.array([True, False])


def strips(*segments: tuple[int, int, int], attributes: int = 0) -> Bitmask:
    """A bitmask of 10 x 40 pixels of (category, first column, last column, exclusive)."""
    instances = np.zeros((10, 40), np.int32)
    for i, (_, start, end) in enumerate(segments):
        instances[:, start:end] = i + 1
    return Bitmask(
        instances,
        np.arange(1, len(segments) + 1, dtype=np.int32),
        np.array([category for category, _, _ in segments], np.int32),
        np.full(len(segments), attributes, np.uint8),
    )


def masks(*segments: tuple[int, int, int]) -> FrameSegments:
    """The same as run lengths; they may overlap, and categories count from 0."""
    encoded = []
    for _, start, end in segments:
        mask = np.zeros((10, 40), np.uint8, order="F")
        mask[:, start:end] = 1
        encoded.append(coco_mask.encode(mask))
    return FrameSegments(np.array([category for category, _, _ in segments], np.int64), encoded)


def assert_counts(
    counts: PanopticCounts, iou: list[float], found: list[int], extra: list[int], missed: list[int]
) -> None:
    assert counts.iou.tolist() == pytest.approx(iou)
    assert [column.tolist() for column in counts[1:]] == [found, extra, missed]
    assert counts.iou.dtype == np.float64
    assert all(column.dtype == np.int64 for column in counts[1:])


def test_counts_of_a_bitmask() -> None:
    truth = strips((1, 0, 10), (2, 10, 20), (2, 20, 30))
    predicted = strips((1, 0, 8), (1, 10, 20), (2, 22, 30))
    assert_counts(bitmask_counts(truth, predicted, 2), [0.8, 0.8], [1, 1], [1, 0], [0, 1])
    assert_counts(bitmask_counts(truth, truth, 2), [1, 2], [1, 2], [0, 0], [0, 0])


def test_an_iou_of_a_half_is_not_enough() -> None:
    assert_counts(bitmask_counts(strips((1, 0, 10)), strips((1, 0, 5)), 2), [0, 0], [0, 0], [1, 0], [1, 0])


def test_predictions_on_nothing_for_more_than_half_are_not_counted() -> None:
    truth = strips((1, 0, 10))
    assert_counts(bitmask_counts(truth, strips((2, 6, 14)), 2), [0, 0], [0, 0], [0, 1], [1, 0])
    assert_counts(bitmask_counts(truth, strips((2, 7, 14)), 2), [0, 0], [0, 0], [0, 0], [1, 0])


@pytest.mark.parametrize("attributes", [CROWD, IGNORED, CROWD | IGNORED])
def test_crowds_and_what_is_ignored_take_no_part(attributes: int) -> None:
    nothing = [0, 0]
    left_out, taken = strips((1, 0, 10), attributes=attributes), strips((1, 0, 10))
    assert_counts(bitmask_counts(left_out, taken, 2), nothing, nothing, nothing, nothing)
    assert_counts(bitmask_counts(taken, left_out, 2), nothing, nothing, nothing, [1, 0])


def test_bitmasks_without_segments() -> None:
    """The toolkit fails on these."""
    nothing = [0, 0]
    assert_counts(bitmask_counts(strips((2, 0, 10)), strips(), 2), nothing, nothing, nothing, [0, 1])
    assert_counts(bitmask_counts(strips(), strips((2, 0, 10)), 2), nothing, nothing, nothing, nothing)
    assert_counts(bitmask_counts(strips(), strips(), 2), nothing, nothing, nothing, nothing)


def test_unlabeled_segments_leave_no_count_but_are_not_nothing() -> None:
    truth, predicted = strips((0, 0, 10), (1, 10, 20)), strips((2, 0, 10), (0, 10, 20))
    assert_counts(bitmask_counts(truth, predicted, 2), [0, 0], [0, 0], [0, 1], [1, 0])


def test_all_predictions_of_a_crowded_frame_count() -> None:
    """The toolkit fails on more than 100 predictions in a bitmask."""
    ids = np.arange(1, 201)
    instances = np.repeat(ids, 2).reshape(10, 40).astype(np.int32)
    truth = Bitmask(instances, ids, np.full(200, 2), np.zeros(200, np.uint8))
    assert_counts(bitmask_counts(truth, truth, 2), [0, 200], [0, 200], [0, 0], [0, 0])


def test_counts_of_run_lengths() -> None:
    truth = masks((1, 20, 30), (0, 0, 10), (1, 10, 20))
    predicted = masks((0, 0, 8), (0, 10, 20), (1, 22, 30))
    # Both predicted masks of the stuff class are one, of 18 columns: 8 of them are right.
    assert_counts(rle_counts(truth, predicted, STUFF), [0, 0.8], [0, 1], [1, 0], [1, 1])
    assert_counts(rle_counts(truth, masks((0, 0, 6), (0, 6, 9)), STUFF), [0.9, 0], [1, 0], [0, 0], [0, 2])


def test_overlapping_stuff_of_the_ground_truth_is_its_union() -> None:
    """The toolkit adds such masks up, and encodes the sum wrongly."""
    truth = masks((0, 0, 10), (0, 5, 15))
    assert_counts(rle_counts(truth, masks((0, 0, 15)), STUFF), [1, 0], [1, 0], [0, 0], [0, 0])


def test_overlapping_things_can_both_be_found_by_one_prediction() -> None:
    truth = masks((1, 0, 10), (1, 0, 9))
    assert_counts(rle_counts(truth, masks((1, 0, 10)), STUFF), [0, 1.9], [0, 2], [0, 0], [0, 0])


def test_run_lengths_without_masks() -> None:
    nothing = [0, 0]
    assert_counts(rle_counts(masks((1, 0, 9)), masks(), STUFF), nothing, nothing, nothing, [0, 1])
    assert_counts(rle_counts(masks(), masks((1, 0, 9)), STUFF), nothing, nothing, nothing, nothing)
    assert_counts(rle_counts(masks(), masks(), STUFF), nothing, nothing, nothing, nothing)


def test_scores_are_of_the_sums_and_means_over_counted_classes() -> None:
    frames = [
        PanopticCounts(np.array([0.9, 0, 0]), np.array([1, 0, 0]), np.array([0, 0, 0]), np.array([1, 2, 0])),
        PanopticCounts(np.array([0.7, 0, 0]), np.array([1, 0, 0]), np.array([1, 0, 0]), np.array([0, 0, 0])),
    ]
    groups = np.array([[True, False, True], [False, True, False], [True, True, True], [False, False, True]])
    scores = panoptic_scores(frames, list(groups))
    assert scores["SQ"] == pytest.approx([80, 0, 0, 80, 0, 40, 0])
    assert scores["RQ"] == pytest.approx([200 / 3, 0, 0, 200 / 3, 0, 100 / 3, 0])
    assert scores["PQ"] == pytest.approx([160 / 3, 0, 0, 160 / 3, 0, 80 / 3, 0])
    assert scores["N"].tolist() == [1, 1, 0, 1, 1, 2, 0]


def test_no_frames_have_scores_of_zero() -> None:
    assert all(not values.any() for values in panoptic_scores([], [STUFF, ~STUFF]).values())
