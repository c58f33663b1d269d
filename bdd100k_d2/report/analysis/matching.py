"""The detections of a split, matched once by the official rule, so that everything else need only count.

The rule is COCO's over boxes of every size: within a frame and a class, detections choose by descending score, at most
a hundred; each gets the box left that it overlaps most, if the IoU is enough; what then lies on a crowd is not counted.
"""

from typing import NamedTuple

import numpy as np

from ...evaluation.metrics.coco import AREA_RANGES, IOU_THRESHOLDS, MAX_DETECTIONS
from ...evaluation.metrics.detection import Detections, GroundTruth
from .pairs import Pairs, assign, overlapping, ranks

LEAST_IOU = 0.1
"""Below it, a detection has nothing to do with a box: TIDE's limit of the background."""


class Matches(NamedTuple):
    """A split's boxes and detections, matched. The axis T is that of `IOU_THRESHOLDS`.

    Attributes:
        truth: N boxes, in the order of the label file.
        ignored: (N,) bool, boxes that are neither found nor missed: crowds, and boxes of negative area.
        detections: M detections by class, then by descending score, then by frame.
        bounds: (K + 1,) int64, where each class's detections begin, and the end.
        found: (M, T) int32, the box that a detection finds; -1 for none.
        counted: (M, T) bool; not counted is what lies on a crowd, or is beyond the hundred best.
        pairs: detections and boxes of any class with an IoU of `LEAST_IOU` or more.
        num_frames: F.
    """

    truth: GroundTruth
    ignored: np.ndarray
    detections: Detections
    bounds: np.ndarray
    found: np.ndarray
    counted: np.ndarray
    pairs: Pairs
    num_frames: int

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.bounds) - 1

    def positives(self) -> np.ndarray:
        """(K,) int64, the boxes of each class that can be found."""
        return np.bincount(self.truth.category[~self.ignored], minlength=self.num_classes)


def match(truth: GroundTruth, detections: Detections, num_frames: int, num_classes: int) -> Matches:
    """Matches the detections of a split to its boxes."""
    order = np.lexsort((detections.frame, -detections.score, detections.category))
    detections = Detections(*(column[order] for column in detections))
    bounds = np.searchsorted(detections.category, np.arange(num_classes + 1))
    # One number for the class and the frame, among whose detections only the best are kept.
    group = detections.frame * num_classes + detections.category
    by_group = np.argsort(group, kind="stable")
    kept = np.empty(len(group), bool)
    kept[by_group] = ranks(group[by_group]) < MAX_DETECTIONS[-1]
    pairs = overlapping(truth, detections, LEAST_IOU)

    ignored = truth.crowd | _out_of_range(truth.box)
    own = (
        (truth.category[pairs.truth] == detections.category[pairs.detection])
        & (pairs.iou >= IOU_THRESHOLDS[0])
        & kept[pairs.detection]
    )
    found = assign(pairs.only(own & ~ignored[pairs.truth]), group, IOU_THRESHOLDS, len(truth.frame))
    on_crowd = np.zeros(len(group))
    crowds = pairs.only(own & truth.crowd[pairs.truth])
    np.maximum.at(on_crowd, crowds.detection, crowds.iou)
    not_counted = (on_crowd[:, None] >= IOU_THRESHOLDS) | _out_of_range(detections.box)[:, None]
    counted = kept[:, None] & ((found >= 0) | ~not_counted)
    return Matches(truth, ignored, detections, bounds, found, counted, pairs, num_frames)


def _out_of_range(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool, boxes outside of COCO's range of all areas, as those of a negative width."""
    area = boxes[:, 2] * boxes[:, 3]
    return (area < AREA_RANGES[0, 0]) | (area > AREA_RANGES[0, 1])
