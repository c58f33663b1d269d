"""Boxes of ground truth counted: which class is taken for which, and how many of each size are found."""

import numpy as np

from ...evaluation.metrics.coco_scores import IOU_THRESHOLDS
from .detection_records import SizeHistogram
from .error_types import Outcomes
from .matching import Matches, Pairs, assign

# COCO's limits, 32 and 96 pixels, are a factor of 3 apart: four bins lie between them.
_ANCHOR, _FACTOR = 32.0, 3 ** (1 / 4)


def detection_confusion(matches: Matches, score_threshold: float) -> np.ndarray:
    """Counts pairs of a true and a predicted class, (K + 1, K + 1), at IoU 0.5.

    First go the pairs of the official matching, which makes the diagonal: divided by the sum of its column it is the
    official precision at this threshold, by that of its row the recall. Then each detection that is left takes, by
    descending score, the box of another class that is left and that it overlaps most. A duplicate therefore counts as
    a detection on nothing. Crowds, and what officially is not counted, are left out.
    """
    detections, truth, found = matches.detections, matches.truth, matches.found[:, 0]
    confident = matches.counted[:, 0] & (detections.score >= score_threshold)
    right = confident & (found >= 0)
    wrong = confident & ~right
    left = ~matches.ignored
    left[found[right]] = False

    pairs = matches.pairs
    of_others = pairs.only(
        (pairs.iou >= IOU_THRESHOLDS[0])
        & wrong[pairs.detection]
        & left[pairs.truth]
        & (truth.category[pairs.truth] != detections.category[pairs.detection])
    )
    mistaken, taken = _assign_by_score(matches, of_others)
    wrong[mistaken] = False
    left[taken] = False

    background = matches.num_classes
    cells = [
        (truth.category[found[right]], detections.category[right]),
        (truth.category[taken], detections.category[mistaken]),
        (np.full(wrong.sum(), background), detections.category[wrong]),
        (truth.category[left], np.full(left.sum(), background)),
    ]
    rows, columns = (np.concatenate(axis) for axis in zip(*cells, strict=True))
    side = background + 1
    return np.bincount(rows * side + columns, minlength=side * side).reshape(side, side)


def _assign_by_score(matches: Matches, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Detections and the boxes that they take; the best score of a frame chooses first, whatever its class."""
    detections = matches.detections
    order = np.lexsort((detections.frame, -detections.score))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    pairs = pairs._replace(detection=place[pairs.detection])
    pairs = pairs.only(np.lexsort((pairs.truth, pairs.detection)))
    taken = assign(pairs, detections.frame[order], IOU_THRESHOLDS[:1], len(matches.truth.frame))[:, 0]
    taking = np.flatnonzero(taken >= 0)
    return order[taking], taken[taking]


def size_histograms(
    matches: Matches, outcomes: Outcomes, names: tuple[str, ...], score_threshold: float
) -> tuple[SizeHistogram, ...]:
    """Of all classes together, then of each class; the edges are the same for all."""
    scored = ~matches.ignored
    box = matches.truth.box[scored]
    # A box without an area, which COCO can never find, goes to the smallest bin.
    size = np.sqrt(np.maximum(box[:, 2] * box[:, 3], 0))
    category = matches.truth.category[scored]
    found = outcomes.found_score[scored] >= score_threshold
    steps = np.log(np.concatenate([size[size > 0], [_ANCHOR, 3 * _ANCHOR]]) / _ANCHOR) / np.log(_FACTOR)
    # Rounded, or 96 itself would begin a bin or not by the last bit of a logarithm.
    first, last = int(np.floor(steps.min().round(9))), int(np.floor(steps.max().round(9))) + 1
    edges = _ANCHOR * _FACTOR ** np.arange(first, last + 1)
    edges[-first], edges[4 - first] = _ANCHOR, 3 * _ANCHOR
    bins = np.clip(np.searchsorted(edges, size, "right") - 1, 0, len(edges) - 2)

    def histogram(name: str, chosen: np.ndarray) -> SizeHistogram:
        all_, hit = (np.bincount(bins[mask], minlength=len(edges) - 1) for mask in (chosen, chosen & found))
        return SizeHistogram(name, edges, hit, all_ - hit)

    return (
        histogram("all classes", np.ones(len(size), bool)),
        *(histogram(name, category == k) for k, name in enumerate(names)),
    )
