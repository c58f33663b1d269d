"""What becomes of each detection by COCO's rules in every range of areas, of boxes, of bitmasks and of run lengths.

Matched once, frames can then be scored as often as weights say, without matching anything again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from ...evaluation.metrics.coco_scores import AREA_RANGES, IOU_THRESHOLDS, MAX_DETECTIONS
from ...evaluation.metrics.detection import Detections, GroundTruth
from ...evaluation.metrics.instances import FrameMasks, FrameMatches
from .matching import Pairs, assign, overlapping

UNCOUNTED, CORRECT, WRONG = 0, 1, 2
"""What can become of a detection, numbered as in `FrameMatches`."""


class CocoOutcomes(NamedTuple):
    """The detections of a split, matched; M of them, in any order but that of a class by descending score and frame.

    Attributes:
        frame: (M,) int64 indices of the frames, 0 to F-1.
        category: (M,) int64 class indices, 0 to K-1, ascending.
        rank: (M,) int64 place among the detections of its class and frame, from 0; below 100.
        outcome: (4, 10, M) uint8 by area range and IoU threshold: 0 is not counted, 1 right, 2 wrong.
        positives: (F, K, 4) int64 objects to be found by frame, class and area range.
        labelled: (F, K) int64 labels of any kind, crowds too; None where a run without one detection is scored as any.
    """

    frame: np.ndarray
    category: np.ndarray
    rank: np.ndarray
    outcome: np.ndarray
    positives: np.ndarray
    labelled: np.ndarray | None

    def only(self, frames: np.ndarray) -> "CocoOutcomes":
        """Those of the frames where ``frames`` (F,) bool is true, which are numbered anew."""
        place = np.cumsum(frames) - 1
        kept = frames[self.frame]
        return CocoOutcomes(
            place[self.frame[kept]],
            self.category[kept],
            self.rank[kept],
            self.outcome[..., kept],
            self.positives[frames],
            None if self.labelled is None else self.labelled[frames],
        )


class _Truth(NamedTuple):
    """The objects to be found, as columns (N,): frame, category, area in pixels, and whether each is a crowd."""

    frame: np.ndarray
    category: np.ndarray
    area: np.ndarray
    crowd: np.ndarray


def box_outcomes(truth: GroundTruth, detections: Detections, num_frames: int, num_classes: int) -> CocoOutcomes:
    """Boxes, matched as COCO's "bbox"."""
    order = _order(detections.category, detections.score, detections.frame)
    detections = Detections(*(column[order] for column in detections))
    rank = _ranks(detections.frame, detections.category, num_classes)
    kept = rank < MAX_DETECTIONS[-1]
    detections = Detections(*(column[kept] for column in detections))
    pairs = overlapping(truth, detections)
    pairs = pairs.only(truth.category[pairs.truth] == detections.category[pairs.detection])
    area = truth.box[:, 2] * truth.box[:, 3]
    return _matched(
        _Truth(truth.frame, truth.category, area, truth.crowd),
        (detections.frame, detections.category, rank[kept], detections.box[:, 2] * detections.box[:, 3]),
        pairs,
        num_frames,
        num_classes,
    )


def run_length_outcomes(frames: Sequence[tuple[FrameMasks, FrameMasks]], num_classes: int) -> CocoOutcomes:
    """True and predicted masks of each frame, matched as COCO's "segm"."""
    truth, predicted = ([pair[side] for pair in frames] for side in (0, 1))
    frame, true_frame = (
        np.repeat(np.arange(len(frames)), [len(one.area) for one in side]).astype(np.int64)
        for side in (predicted, truth)
    )
    category = _joined([one.category for one in predicted], np.int64)
    order = _order(category, _joined([one.score for one in predicted], np.float64), frame)
    frame, category = frame[order], category[order]
    rank = _ranks(frame, category, num_classes)
    kept = rank < MAX_DETECTIONS[-1]
    place = np.full(len(order), -1, np.int64)
    place[order[kept]] = np.arange(np.count_nonzero(kept))
    parts = [Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    first = first_true = 0
    for true, found in frames:
        if len(true.area) and len(found.area):
            iou = coco_mask.iou(found.masks, true.masks, true.crowd.astype(int).tolist())
            # Of one class, and enough for the lowest threshold.
            d, g = np.nonzero((found.category[:, None] == true.category) & (iou >= IOU_THRESHOLDS[0]))
            parts.append(Pairs(place[first + d], first_true + g, iou[d, g]))
        first, first_true = first + len(found.area), first_true + len(true.area)
    pairs = Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    pairs = pairs.only(pairs.detection >= 0)
    pairs = pairs.only(np.lexsort((pairs.truth, pairs.detection)))
    area = _joined([one.area for one in predicted], np.int64)[order][kept]
    columns = _Truth(
        true_frame,
        _joined([one.category for one in truth], np.int64),
        _joined([one.area for one in truth], np.int64),
        _joined([one.crowd for one in truth], np.bool_),
    )
    return _matched(columns, (frame[kept], category[kept], rank[kept], area), pairs, len(frames), num_classes)


def bitmask_outcomes(frames: Sequence[FrameMatches], num_classes: int) -> CocoOutcomes:
    """Bitmasks, which were matched by the toolkit's own rule, frame by frame."""
    frame = np.repeat(np.arange(len(frames)), [len(one.category) for one in frames]).astype(np.int64)
    category = _joined([one.category for one in frames], np.int64)
    # Their rank is by the order in the frame, which is by descending score.
    order = np.lexsort((frame, -_joined([one.score for one in frames], np.float64), category))
    rank = np.empty(len(order), np.int64)
    by_frame = np.lexsort((frame, category))
    rank[by_frame] = _places(category[by_frame] * len(frames) + frame[by_frame])
    order = order[rank[order] < MAX_DETECTIONS[-1]]
    none = np.zeros((len(AREA_RANGES), len(IOU_THRESHOLDS), 0), np.uint8)
    outcome = np.concatenate([none, *(one.outcome for one in frames)], axis=2)
    return CocoOutcomes(
        frame[order],
        category[order],
        rank[order],
        outcome[..., order],
        np.stack([one.positives for one in frames]),
        None,
    )


def _matched(
    truth: _Truth,
    detections: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    pairs: Pairs,
    num_frames: int,
    num_classes: int,
) -> CocoOutcomes:
    """Matches ``pairs`` of one class in each range of areas, as COCO does; detections have frame, class, rank, area."""
    frame, category, rank, area = detections
    pairs = pairs.only(pairs.iou >= IOU_THRESHOLDS[0])
    group = frame * num_classes + category
    outcome = np.empty((len(AREA_RANGES), len(IOU_THRESHOLDS), len(frame)), np.uint8)
    positives = np.zeros((num_frames, num_classes, len(AREA_RANGES)), np.int64)
    cell = truth.frame * num_classes + truth.category
    for a, (low, high) in enumerate(AREA_RANGES.tolist()):
        ignored = truth.crowd | _outside(truth.area, low, high)
        found = assign(pairs.only(~ignored[pairs.truth]), group, IOU_THRESHOLDS, len(truth.frame)) >= 0
        # What is ignored is only for those that find nothing else; a crowd takes any number of them.
        unsettled = np.count_nonzero(found, axis=1) < len(IOU_THRESHOLDS)
        rest = pairs.only(unsettled[pairs.detection] & ignored[pairs.truth])
        on_ignored = assign(rest, group, IOU_THRESHOLDS, len(truth.frame), ~found, truth.crowd) >= 0
        outside = _outside(area, low, high)
        outcome[a] = np.where(found, CORRECT, np.where(on_ignored | outside[:, None], UNCOUNTED, WRONG)).T
        counts = np.bincount(cell[~ignored], minlength=num_frames * num_classes)
        positives[..., a] = counts.reshape(num_frames, num_classes)
    labelled = np.bincount(cell, minlength=num_frames * num_classes).reshape(num_frames, num_classes)
    return CocoOutcomes(frame, category, rank, outcome, positives, labelled)


def _outside(area: np.ndarray, low: float, high: float) -> np.ndarray:
    return (area < low) | (area > high)


def _joined(columns: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, kind), *columns]).astype(kind, copy=False)


def _order(category: np.ndarray, score: np.ndarray, frame: np.ndarray) -> np.ndarray:
    return np.lexsort((frame, -score, category))


def _ranks(frame: np.ndarray, category: np.ndarray, num_classes: int) -> np.ndarray:
    """The place of each detection, in order, among those of its class and frame."""
    group = frame * num_classes + category
    by_group = np.argsort(group, kind="stable")
    rank = np.empty(len(group), np.int64)
    rank[by_group] = _places(group[by_group])
    return rank


def _places(groups: np.ndarray) -> np.ndarray:
    """The place of each item in its group, from 0, given the groups' numbers in ascending order."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)
