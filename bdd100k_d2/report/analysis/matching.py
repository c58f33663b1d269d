"""The detections of a split, matched once by the official rule, so that everything else need only count.

The rule is COCO's over boxes of every size: within a frame and a class, detections choose by descending score, at most
a hundred; each gets the box left that it overlaps most, if the IoU is enough; what then lies on a crowd is not counted.
"""

from typing import NamedTuple

import numpy as np

from ...evaluation.metrics.coco_scores import AREA_RANGES, IOU_THRESHOLDS, MAX_DETECTIONS
from ...evaluation.metrics.detection import Detections, GroundTruth

# Below it, a detection has nothing to do with a box: TIDE's limit of the background.
_LEAST_IOU = 0.1
# So many pairs are looked at together: few enough for the processor's cache.
_CHUNK = 200_000


class Pairs(NamedTuple):
    """P detections and boxes of ground truth that overlap, as columns, ordered by detection, then by box.

    Attributes:
        detection: (P,) int64 indices.
        truth: (P,) int64 indices.
        iou: (P,) float64; with a crowd it is the share of the detection that lies on it.
    """

    detection: np.ndarray
    truth: np.ndarray
    iou: np.ndarray

    def only(self, chosen: np.ndarray) -> "Pairs":
        """The pairs that a mask (P,) or indices choose."""
        return Pairs(*(column[chosen] for column in self))

    def best(self, num_detections: int) -> tuple[np.ndarray, np.ndarray]:
        """The box that each detection overlaps most, (D,) int64, -1 for none, and the IoU with it, 0 for none."""
        truth, iou = np.full(num_detections, -1, np.int64), np.zeros(num_detections)
        if len(self.iou):
            first = np.flatnonzero(np.diff(self.detection, prepend=-1))
            detection = self.detection[first]
            iou[detection] = np.maximum.reduceat(self.iou, first)
            is_best = self.iou == iou[self.detection]
            truth[self.detection[is_best]] = self.truth[is_best]
        return truth, iou


class Matches(NamedTuple):
    """A split's boxes and detections, matched. The axis T is that of `IOU_THRESHOLDS`.

    Attributes:
        truth: N boxes, in the order of the label file.
        ignored: (N,) bool, boxes that are neither found nor missed: crowds, and boxes of negative area.
        detections: M detections by class, then by descending score, then by frame.
        bounds: (K + 1,) int64, where each class's detections begin, and the end.
        found: (M, T) int32, the box that a detection finds; -1 for none.
        counted: (M, T) bool; not counted is what lies on a crowd, or is beyond the hundred best.
        pairs: detections and boxes of any class with an IoU of 0.1 or more.
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
    kept[by_group] = _ranks(group[by_group]) < MAX_DETECTIONS[-1]
    pairs = overlapping(truth, detections)

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


def overlapping(truth: GroundTruth, detections: Detections) -> Pairs:
    """The pairs of a frame, of all classes, whose IoU is at least `_LEAST_IOU`.

    The order of the operations is that of pycocotools' ``bbIou``, so that the numbers are the same to the last bit.
    """
    true_order = np.argsort(truth.frame, kind="stable")
    order = np.argsort(detections.frame, kind="stable")
    num_frames = 1 + max(truth.frame.max(initial=-1), detections.frame.max(initial=-1))
    true_counts = np.bincount(truth.frame, minlength=num_frames)
    first_true = np.cumsum(true_counts) - true_counts
    # Of each detection, in the order of the frames: how many boxes its frame has, and where the first of them is.
    frames = detections.frame[order]
    partners, first = true_counts[frames], first_true[frames]
    ends = np.cumsum(partners)
    boxes, true_boxes = _edges(detections.box[order]), _edges(truth.box[true_order])
    crowd = truth.crowd[true_order]
    parts, start = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))], 0
    while start < len(order):
        done = ends[start] - partners[start]
        end = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, "right")))
        count = partners[start:end]
        d = np.repeat(np.arange(start, end), count)
        g = np.arange(len(d)) + np.repeat(first[start:end] - (ends[start:end] - count - done), count)
        parts.append(_overlaps(boxes, true_boxes, crowd, d, g))
        start = end
    d, g, iou = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    d, g = order[d], true_order[g]
    sorting = np.lexsort((g, d))
    return Pairs(d[sorting], g[sorting], iou[sorting])


def _edges(boxes: np.ndarray) -> np.ndarray:
    """(5, N) x, y, x + width, y + height and the area."""
    x, y, width, height = boxes.T
    return np.stack([x, y, x + width, y + height, width * height])


def _overlaps(
    boxes: np.ndarray, true_boxes: np.ndarray, crowd: np.ndarray, d: np.ndarray, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of the pairs ``d``, ``g`` that overlap enough, and their IoU."""
    width = np.minimum(boxes[2, d], true_boxes[2, g]) - np.maximum(boxes[0, d], true_boxes[0, g])
    kept = np.flatnonzero(width > 0)
    d, g, width = d[kept], g[kept], width[kept]
    height = np.minimum(boxes[3, d], true_boxes[3, g]) - np.maximum(boxes[1, d], true_boxes[1, g])
    kept = np.flatnonzero(height > 0)
    d, g = d[kept], g[kept]
    shared = width[kept] * height[kept]
    area = boxes[4, d]
    iou = shared / np.where(crowd[g], area, area + true_boxes[4, g] - shared)
    kept = np.flatnonzero(iou >= _LEAST_IOU)
    return d[kept], g[kept], iou[kept]


def assign(
    pairs: Pairs,
    group: np.ndarray,
    thresholds: np.ndarray,
    num_truth: int,
    free: np.ndarray | None = None,
    lasting: np.ndarray | None = None,
) -> np.ndarray:
    """Gives each detection, in the order of their indices, the box left that it overlaps most, as COCO does.

    Of boxes that it overlaps equally, it gets the one of the highest index. Returns (D, T) int32 indices of boxes, -1
    for none, at each of the IoU ``thresholds`` (T,). ``group`` (D,) has a number for each detection: those of two
    groups have no box in common. Where ``free`` (D, T) bool is false, a detection gets none; boxes that are
    ``lasting``, (N,) bool, are not used up.
    """
    left = np.ones((num_truth, len(thresholds)), bool)
    found = np.full((len(group), len(thresholds)), -1, np.int32)
    # The first of every group are served together, then the second of every group, and so on.
    served = np.unique(pairs.detection)
    served = served[np.argsort(group[served], kind="stable")]
    turn = np.zeros(len(group), np.int64)
    turn[served] = _ranks(group[served])
    turn = turn[pairs.detection]
    by_turn = np.argsort(turn, kind="stable")
    start = 0
    for end in np.cumsum(np.bincount(turn)).tolist():
        rows = by_turn[start:end]
        start = end
        detection, truth, iou = pairs.detection[rows], pairs.truth[rows], pairs.iou[rows, None]
        first = np.flatnonzero(np.diff(detection, prepend=-1))
        wanted = left[truth] & (iou >= thresholds)
        if free is not None:
            wanted &= free[detection]
        overlap = np.where(wanted, iou, 0.0)
        best = np.maximum.reduceat(overlap, first, axis=0)
        best = np.repeat(best, np.diff(first, append=len(rows)), axis=0)
        place = np.where((overlap == best) & (overlap > 0), np.arange(len(rows))[:, None], -1)
        place = np.maximum.reduceat(place, first, axis=0)
        d, t = np.nonzero(place >= 0)
        chosen = truth[place[d, t]]
        found[detection[first[d]], t] = chosen
        left[chosen, t] = False if lasting is None else lasting[chosen]
    return found


def _ranks(groups: np.ndarray) -> np.ndarray:
    """The place of each item in its group, from 0, given the groups' numbers in ascending order."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)
