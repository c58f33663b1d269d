"""Instance segmentation scores as the official toolkit computes them, which it does in two ways.

Bitmasks are matched by a rule of their own (``bdd100k/eval/ins_seg.py``): a prediction goes to the instance that it
overlaps most, and only what is *ignored* may be found or missed at no cost; a crowd counts, but can be found many
times. Run lengths are COCO's "segm" (``scalabel/eval/ins_seg.py``), where crowds and what is ignored are the same. Both
are summed up as COCO does.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hotcoco import COCO, COCOeval

from ...data.bitmasks import CROWD, IGNORED, REGION, Bitmask, shared_pixels
from ...data.rle import CocoRLE
from .coco_scores import (
    AREA_RANGES,
    IOU_THRESHOLDS,
    MAX_DETECTIONS,
    RECALL_THRESHOLDS,
    accumulated,
    coco_scores,
    empty_scores,
)

# What becomes of a prediction at a threshold and in a range of areas.
_NOT_COUNTED, _RIGHT, _WRONG = 0, 1, 2


class FrameMatches(NamedTuple):
    """The predictions of a frame's bitmask, matched; D of them, by descending score.

    Attributes:
        category: (D,) int64 class indices, 0 to K-1.
        score: (D,) float64.
        outcome: (4, 10, D) uint8 by area range and IoU threshold: 0 is not counted, 1 right, 2 wrong.
        positives: (K, 4) int64 instances of the ground truth by class and area range.
    """

    category: np.ndarray
    score: np.ndarray
    outcome: np.ndarray
    positives: np.ndarray


def match_instances(
    truth: Bitmask, predicted: Bitmask, ranking: np.ndarray, scores: np.ndarray, num_classes: int
) -> FrameMatches:
    """Matches the predictions of a frame to its ground truth, by the toolkit's rule for bitmasks.

    Args:
        truth: categories other than 1..K are not scored; a `REGION` is matched as COCO's crowds are.
        predicted: of the same size; categories other than 1..K are not scored.
        ranking: (D,) indices into the instances of ``predicted``, by descending score; instances not in it are left
            out.
        scores: (D,) in the order of ``ranking``.
        num_classes: K.
    """
    shared = shared_pixels(predicted, truth)
    true_area, area = shared.sum(axis=0)[1:], shared.sum(axis=1)[1:][ranking]
    category = predicted.categories[ranking]
    shared = shared[1:, 1:][ranking]
    iou = shared / (area[:, None] + true_area - shared)
    # COCO's overlap with a crowd is the part of the prediction that lies in it.
    regions = np.flatnonzero(truth.attributes.astype(np.uint16) & REGION)
    iou[:, regions] = shared[:, regions] / area[:, None]
    iou[category[:, None] != truth.categories] = 0

    found = _assign(iou, (truth.attributes & CROWD) > 0)
    matched = found >= 0
    ignored = ((truth.attributes & IGNORED) > 0) | _out_of_range(true_area)
    # The extra column is what an unmatched prediction, -1, looks up.
    on_ignored = np.column_stack([ignored, np.zeros(len(AREA_RANGES), bool)])[:, found]
    not_counted = np.where(matched, on_ignored, _out_of_range(area)[:, None])
    outcome = np.where(not_counted, _NOT_COUNTED, np.where(matched, _RIGHT, _WRONG)).astype(np.uint8)

    scored = (truth.categories >= 1) & (truth.categories <= num_classes)
    positives = [np.bincount(truth.categories[scored & ~row] - 1, minlength=num_classes) for row in ignored]
    kept = (category >= 1) & (category <= num_classes)
    return FrameMatches(
        (category[kept] - 1).astype(np.int64), scores[kept], outcome[..., kept], np.column_stack(positives)
    )


def bitmask_scores(frames: Sequence[FrameMatches], num_classes: int) -> dict[str, np.ndarray]:
    """Scores matched frames, in their order: of equal scores in two frames, the earlier frame's counts as the higher.

    Returns:
        As :func:`~bdd100k_d2.evaluation.metrics.coco_scores.coco_scores`.
    """
    num_thresholds, num_areas = len(IOU_THRESHOLDS), len(AREA_RANGES)
    precision = np.full((num_thresholds, len(RECALL_THRESHOLDS), num_classes, num_areas, len(MAX_DETECTIONS)), -1.0)
    recall = np.full((num_thresholds, num_classes, num_areas, len(MAX_DETECTIONS)), -1.0)
    if frames:
        category = np.concatenate([frame.category for frame in frames])
        score = np.concatenate([frame.score for frame in frames])
        outcome = np.concatenate([frame.outcome for frame in frames], axis=2)
        number = np.repeat(np.arange(len(frames)), [len(frame.category) for frame in frames])
        positives = np.sum([frame.positives for frame in frames], axis=0)
        for k in range(num_classes):
            mine = np.flatnonzero(category == k)
            rank = _ranks(number[mine])
            order = np.argsort(-score[mine], kind="stable")
            results, rank = outcome[..., mine[order]], rank[order]
            for area in np.flatnonzero(positives[k]):
                for m, limit in enumerate(MAX_DETECTIONS):
                    precision[:, :, k, area, m], recall[:, k, area, m] = _curves(
                        results[area][:, rank < limit], int(positives[k, area])
                    )
    return coco_scores(precision, recall)


class FrameMasks(NamedTuple):
    """N masks of a frame, as run lengths.

    Attributes:
        category: (N,) int64 class indices, 0 to K-1.
        masks: N masks of the frame's size.
        area: (N,) int64 pixels.
        crowd: (N,) bool, of ground truth: crowds are matched by any number of predictions and never missed.
        score: (N,) float64, of predictions; of equal scores in a frame, the earlier one counts as the higher.
    """

    category: np.ndarray
    masks: list[CocoRLE]
    area: np.ndarray
    crowd: np.ndarray
    score: np.ndarray


def rle_scores(truth: Sequence[FrameMasks], predicted: Sequence[FrameMasks], num_classes: int) -> dict[str, np.ndarray]:
    """Scores masks as COCO's "segm", by hotcoco, whose precision arrays equal those of pycocotools bit for bit.

    Frames are in the order of their names. Returns what :func:`.coco_scores.coco_scores` does.
    """
    if not truth:
        return empty_scores(np.zeros(num_classes, bool))
    true_columns, columns = _columns(truth), _columns(predicted)
    present = np.bincount(true_columns.category_ids - 1, minlength=num_classes) > 0
    if not len(columns.category_ids) or not present.any():
        return empty_scores(present)
    dataset = COCO.from_arrays(
        images=[{"id": i + 1, "file_name": "", "height": 0, "width": 0} for i in range(len(truth))],
        categories=[{"id": k + 1, "name": str(k)} for k in range(num_classes)],
        **true_columns._asdict(),
        iscrowd=np.concatenate([frame.crowd for frame in truth]),
    )
    score = np.concatenate([frame.score for frame in predicted])
    results = dataset.load_res(
        np.column_stack([columns.image_ids, columns.boxes, score, columns.category_ids]),
        segmentation=columns.segmentation,
    )
    evaluation = COCOeval(dataset, results, "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    return coco_scores(*accumulated(evaluation))


def _assign(iou: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Gives each prediction, in order, the instance left that it overlaps most; crowds, (G,) bool, are not used up.

    ``iou`` is (D, G). Returned are (10, D) int64 indices of instances by IoU threshold; -1 for none.
    """
    found = np.full((len(IOU_THRESHOLDS), len(iou)), -1)
    left = np.ones((len(IOU_THRESHOLDS), len(crowd)), bool)
    thresholds = np.arange(len(IOU_THRESHOLDS))
    for i in np.flatnonzero((iou >= IOU_THRESHOLDS[0]).any(axis=1)):
        candidates = np.where(left, iou[i], 0)
        best = candidates.argmax(axis=1)
        enough = candidates[thresholds, best] >= IOU_THRESHOLDS
        found[enough, i] = best[enough]
        left[thresholds[enough], best[enough]] = crowd[best[enough]]
    return found


def _out_of_range(area: np.ndarray) -> np.ndarray:
    """(4, N) bool, whether areas (N,) are outside of each range."""
    return (area < AREA_RANGES[:, :1]) | (area > AREA_RANGES[:, 1:])


def _ranks(frame: np.ndarray) -> np.ndarray:
    """The place of each detection in its frame, from 0, given their frames' numbers in ascending order."""
    return np.arange(len(frame)) - np.searchsorted(frame, frame)


def _curves(outcome: np.ndarray, positives: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision (10, 101) and recall (10,) of detections (10, N) in descending order of their scores."""
    right = np.cumsum(outcome == _RIGHT, axis=1).astype(float)
    wrong = np.cumsum(outcome == _WRONG, axis=1).astype(float)
    precision = np.zeros((len(outcome), len(RECALL_THRESHOLDS)))
    if not outcome.shape[1]:
        return precision, np.zeros(len(outcome))
    recall = right / positives
    curve = right / (wrong + right + np.spacing(1))
    curve = np.maximum.accumulate(curve[:, ::-1], axis=1)[:, ::-1]
    for t in range(len(outcome)):
        places = np.searchsorted(recall[t], RECALL_THRESHOLDS)
        reached = places < outcome.shape[1]
        precision[t, reached] = curve[t, places[reached]]
    return precision, recall[:, -1]


class _Columns(NamedTuple):
    """The masks of all frames as hotcoco takes them."""

    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    area: np.ndarray
    segmentation: list[Any]


def _columns(frames: Sequence[FrameMasks]) -> _Columns:
    area = np.concatenate([frame.area for frame in frames]).astype(float)
    boxes = np.zeros((len(area), 4))
    # A detection's area is its box's to hotcoco, and the overlap is that of the masks alone: so the box is one of the
    # mask's area.
    boxes[:, 2], boxes[:, 3] = area, 1
    return _Columns(
        1 + np.repeat(np.arange(len(frames)), [len(frame.area) for frame in frames]),
        1 + np.concatenate([frame.category for frame in frames]),
        boxes,
        area,
        [mask for frame in frames for mask in frame.masks],
    )
