"""Panoptic scores as the official toolkit computes them, from counts per frame that add up.

A segment of the ground truth is found by a prediction of its class whose IoU with it is above 0.5. Crowds and what is
ignored take no part: a prediction that lies on them, or on nothing, for more than half is not counted. Sources:
``bdd100k/eval/pan_seg.py`` for bitmasks, ``scalabel/eval/pan_seg.py`` for run lengths.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from ...data.bitmasks import CROWD, IGNORED, Bitmask, shared_pixels
from ...data.rle import CocoRLE


class PanopticCounts(NamedTuple):
    """Counts of one frame or, added up, of many, by class.

    ``iou`` (K,) float64 are sums of the IoUs of the segments found; ``found``, ``extra`` and ``missed`` (K,) int64 are
    the true positives, false positives and false negatives.
    """

    iou: np.ndarray
    found: np.ndarray
    extra: np.ndarray
    missed: np.ndarray


class FrameSegments(NamedTuple):
    """N masks of a frame, without crowds and what is ignored, and their class indices, (N,) int64, 0 to K-1."""

    category: np.ndarray
    masks: list[CocoRLE]


def bitmask_counts(truth: Bitmask, predicted: Bitmask, num_classes: int) -> PanopticCounts:
    """Matches the segments of a frame's two bitmasks of the same size; categories other than 1..K are not counted."""
    true_taken, taken = ((mask.attributes & (CROWD | IGNORED)) == 0 for mask in (truth, predicted))
    shared = shared_pixels(truth, predicted)
    true_area, area = shared.sum(axis=1)[1:, None], shared.sum(axis=0)[None, 1:]
    shared = shared[1:, 1:]
    iou = shared / (true_area + area - shared)
    on_truth = (shared / area)[true_taken].sum(axis=0)
    return _count(truth.categories - 1, predicted.categories - 1, iou, on_truth, true_taken, taken, num_classes)


def rle_counts(truth: FrameSegments, predicted: FrameSegments, stuff: np.ndarray) -> PanopticCounts:
    """Matches the segments of a frame; all masks of a ``stuff`` class, (K,) bool, are one segment.

    The masks of ``truth`` may overlap, those of ``predicted`` do not.
    """
    truth, predicted = _merge_stuff(truth, stuff), _merge_stuff(predicted, stuff)
    shape = len(truth.masks), len(predicted.masks)
    if all(shape):
        iou = coco_mask.iou(predicted.masks, truth.masks, [0] * shape[0]).T
        on_truth = coco_mask.iou(predicted.masks, truth.masks, [1] * shape[0]).T.sum(axis=0)
    else:
        iou, on_truth = np.zeros(shape), np.zeros(shape[1])
    taken = np.ones(shape[0], bool), np.ones(shape[1], bool)
    return _count(truth.category, predicted.category, iou, on_truth, *taken, len(stuff))


def panoptic_scores(frames: Sequence[PanopticCounts], groups: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Scores counted frames; ``groups`` are G masks (K,) bool of classes to be averaged.

    Returns:
        "PQ", "SQ", "RQ" in percent and "N", float64 arrays of shape (K + G,): one value per class, then one per group.
        "N" is the number of classes that are in the ground truth or wrongly predicted, over which a group's mean goes;
        a class that is neither has 0 in all four.
    """
    num_classes = len(groups[0])
    # Frame after frame, as the toolkit does: a sum of floats depends on its order.
    iou, found, extra, missed = (
        sum((frame[i] for frame in frames), np.zeros(num_classes)) for i in range(len(PanopticCounts._fields))
    )
    counted = found + extra + missed > 0
    weight = np.where(counted, found + 0.5 * extra + 0.5 * missed, 1)
    scores = {
        "PQ": 100 * iou / weight,
        "SQ": 100 * iou / np.maximum(found, 1),
        "RQ": 100 * found / weight,
    }
    numbers = np.array([np.count_nonzero(counted & group) for group in groups])
    return {
        metric: np.append(values, [values[group].sum() for group in groups] / np.maximum(numbers, 1))
        for metric, values in scores.items()
    } | {"N": np.append(counted, numbers).astype(float)}


def _count(
    true_category: np.ndarray,
    category: np.ndarray,
    iou: np.ndarray,
    on_truth: np.ndarray,
    true_taken: np.ndarray,
    taken: np.ndarray,
    num_classes: int,
) -> PanopticCounts:
    """Counts M segments and N predictions by class; classes other than 0..K-1 leave no count.

    ``iou`` is (M, N). ``true_taken`` (M,) and ``taken`` (N,) bool say which segments and predictions take part,
    ``on_truth`` (N,) the share of each prediction that lies on segments that do.
    """
    iou = np.where(true_category[:, None] == category, iou, 0)
    # A background that no prediction is, for ground truth that has none to be compared with.
    iou = np.column_stack([np.zeros(len(iou)), iou])
    best = iou.argmax(axis=1)
    best_iou = iou[np.arange(len(iou)), best]
    found = true_taken & (best_iou > 0.5) & np.append(False, taken)[best]
    matched = np.zeros(len(category) + 1, bool)
    matched[best[found]] = True
    extra = taken & ~matched[1:] & (1 - on_truth <= 0.5)

    def by_class(categories: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        known = (categories >= 0) & (categories < num_classes)
        weights = weights if weights is None else weights[known]
        return np.bincount(categories[known], weights, minlength=num_classes)

    return PanopticCounts(
        by_class(true_category[found], best_iou[found]).astype(float),  # of no weights, bincount returns integers
        by_class(true_category[found]),
        by_class(category[extra]),
        by_class(true_category[true_taken & ~found]),
    )


def _merge_stuff(segments: FrameSegments, stuff: np.ndarray) -> FrameSegments:
    """Makes one mask of each stuff class's, and sorts by class, which is the toolkit's order."""
    category: list[int] = []
    masks: list[CocoRLE] = []
    for k in np.unique(segments.category).tolist():
        mine = [segments.masks[i] for i in np.flatnonzero(segments.category == k)]
        if stuff[k] and len(mine) > 1:
            mine = [coco_mask.merge(mine)]
        masks += mine
        category += [k] * len(mine)
    return FrameSegments(np.array(category, np.int64), masks)
