"""Which detections overlap which boxes of ground truth, and which of them COCO's rule gives to each other."""

from typing import NamedTuple

import numpy as np

from ...evaluation.metrics.detection import Detections, GroundTruth

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


def overlapping(truth: GroundTruth, detections: Detections, least: float) -> Pairs:
    """The pairs of a frame, of all classes, whose IoU is at least ``least`` (above 0).

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
    parts = []
    start = 0
    while start < len(order):
        done = ends[start] - partners[start]
        end = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, "right")))
        count = partners[start:end]
        d = np.repeat(np.arange(start, end), count)
        g = np.arange(len(d)) + np.repeat(first[start:end] - (ends[start:end] - count - done), count)
        parts.append(_overlaps(boxes, true_boxes, crowd, d, g, least))
        start = end
    if not parts:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    d, g, iou = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    d, g = order[d], true_order[g]
    sorting = np.lexsort((g, d))
    return Pairs(d[sorting], g[sorting], iou[sorting])


def _edges(boxes: np.ndarray) -> np.ndarray:
    """(5, N) x, y, x + width, y + height and the area."""
    x, y, width, height = boxes.T
    return np.stack([x, y, x + width, y + height, width * height])


def _overlaps(
    boxes: np.ndarray, true_boxes: np.ndarray, crowd: np.ndarray, d: np.ndarray, g: np.ndarray, least: float
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
    kept = np.flatnonzero(iou >= least)
    return d[kept], g[kept], iou[kept]


def assign(pairs: Pairs, group: np.ndarray, thresholds: np.ndarray, num_truth: int) -> np.ndarray:
    """Gives each detection, in the order of their indices, the box left that it overlaps most, as COCO does.

    Of boxes that it overlaps equally, it gets the one of the highest index. Returns (D, T) int32 indices of boxes, -1
    for none, at each of the IoU ``thresholds`` (T,). ``group`` (D,) has a number for each detection: those of two
    groups have no box in common.
    """
    left = np.ones((num_truth, len(thresholds)), bool)
    match = np.full((len(group), len(thresholds)), -1, np.int32)
    # The first of every group are served together, then the second of every group, and so on.
    served = np.unique(pairs.detection)
    served = served[np.argsort(group[served], kind="stable")]
    turn = np.zeros(len(group), np.int64)
    turn[served] = ranks(group[served])
    turn = turn[pairs.detection]
    by_turn = np.argsort(turn, kind="stable")
    start = 0
    for end in np.cumsum(np.bincount(turn)).tolist():
        rows = by_turn[start:end]
        start = end
        detection, truth, iou = pairs.detection[rows], pairs.truth[rows], pairs.iou[rows, None]
        first = np.flatnonzero(np.diff(detection, prepend=-1))
        overlap = np.where(left[truth] & (iou >= thresholds), iou, 0.0)
        best = np.maximum.reduceat(overlap, first, axis=0)
        best = np.repeat(best, np.diff(first, append=len(rows)), axis=0)
        place = np.where((overlap == best) & (overlap > 0), np.arange(len(rows))[:, None], -1)
        place = np.maximum.reduceat(place, first, axis=0)
        d, t = np.nonzero(place >= 0)
        chosen = truth[place[d, t]]
        match[detection[first[d]], t] = chosen
        left[chosen, t] = False
    return match


def ranks(groups: np.ndarray) -> np.ndarray:
    """The place of each item in its group, from 0, given the groups' numbers in ascending order."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)
