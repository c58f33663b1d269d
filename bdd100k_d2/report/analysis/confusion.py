"""Which class is taken for which: boxes of ground truth by the detection that lies on them."""

import numpy as np

from ...evaluation.metrics.coco import IOU_THRESHOLDS
from .detection_records import DetectionConfusion
from .errors import Outcomes
from .matching import Matches
from .pairs import Pairs, assign


def detection_confusion(
    matches: Matches, outcomes: Outcomes, names: tuple[str, ...], score_threshold: float
) -> DetectionConfusion:
    """Counts pairs of a true and a predicted class, at IoU 0.5.

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

    background = len(names)
    cells = [
        (truth.category[found[right]], detections.category[right]),
        (truth.category[taken], detections.category[mistaken]),
        (np.full(wrong.sum(), background), detections.category[wrong]),
        (truth.category[left], np.full(left.sum(), background)),
    ]
    rows, columns = (np.concatenate(axis) for axis in zip(*cells, strict=True))
    side = background + 1
    matrix = np.bincount(rows * side + columns, minlength=side * side).reshape(side, side)
    return DetectionConfusion(names, matrix, float(IOU_THRESHOLDS[0]), score_threshold)


def _assign_by_score(matches: Matches, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Detections and the boxes that they take; the best score of a frame chooses first, whatever its class."""
    detections = matches.detections
    order = np.lexsort((detections.frame, -detections.score))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    pairs = pairs._replace(detection=place[pairs.detection])
    pairs = pairs.only(np.lexsort((pairs.truth, pairs.detection)))
    match = assign(pairs, detections.frame[order], IOU_THRESHOLDS[:1], len(matches.truth.frame))[:, 0]
    taking = np.flatnonzero(match >= 0)
    return order[taking], match[taking]
