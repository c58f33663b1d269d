"""Average precision of matched detections whose frames have weights, and precision-recall curves.

A frame of weight w counts as w copies of it. With a weight of 1 for each frame this is the official average precision,
which the tests hold; weights make it possible to draw frames again and again without matching anything again.
"""

from typing import NamedTuple

import numpy as np

from ...evaluation.metrics.coco import IOU_THRESHOLDS, RECALL_THRESHOLDS
from .detection_records import PrecisionRecall
from .matching import Matches


class _Ranked(NamedTuple):
    """The detections of a class, by descending score.

    Attributes:
        frame: (M,) int64 of each.
        right: for each IoU threshold the places of those that find a box, and their frames.
        dropped: for each IoU threshold the places of those that are not counted, and their frames.
        positives: (F,) float64 boxes to be found.
    """

    frame: np.ndarray
    right: list[tuple[np.ndarray, np.ndarray]]
    dropped: list[tuple[np.ndarray, np.ndarray]]
    positives: np.ndarray


class WeightedPrecision:
    """Average precision and recall of a split by class and IoU threshold, for any weights of the frames."""

    def __init__(self, matches: Matches) -> None:
        # What does not depend on the weights.
        self._classes = [_rank(matches, k) for k in range(matches.num_classes)]

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scores of the frames as often as ``weights`` (F,) float64 says.

        Returns:
            The average precision (K, T) and the recall (K, T) in percent; NaN for a class without ground truth.
        """
        shape = len(self._classes), len(IOU_THRESHOLDS)
        precision, recall = np.full(shape, np.nan), np.full(shape, np.nan)
        for k, ranked in enumerate(self._classes):
            positives = float(weights @ ranked.positives)
            if not positives:
                continue
            total = np.cumsum(weights[ranked.frame])
            for t, ((right, right_frames), (dropped, dropped_frames)) in enumerate(
                zip(ranked.right, ranked.dropped, strict=True)
            ):
                num_right = np.cumsum(weights[right_frames])
                num_counted = total[right]
                if len(dropped):
                    num_dropped = np.append(0, np.cumsum(weights[dropped_frames]))
                    num_counted = num_counted - num_dropped[np.searchsorted(dropped, right)]
                precision[k, t] = average_precision(num_right, num_counted, positives)
                recall[k, t] = 100 * num_right[-1] / positives if len(num_right) else 0.0
        return precision, recall


def average_precision(num_right: np.ndarray, num_counted: np.ndarray, positives: float) -> float:
    """COCO's average precision at one IoU threshold, in percent.

    Args:
        num_right: (R,) at each right detection, by descending score, how many are right up to it.
        num_counted: (R,) at each of them, how many detections there are up to it, right and wrong.
        positives: boxes to be found; above 0.
    """
    places = np.searchsorted(num_right / positives, RECALL_THRESHOLDS)
    places = places[places < len(num_right)]
    if not len(places):
        return 0.0
    precision = num_right / (num_counted + np.spacing(1))
    # Of each recall the highest precision that is reached there or beyond.
    best = np.maximum.accumulate(np.maximum.reduceat(precision, places)[::-1])
    return 100 * float(best.sum()) / len(RECALL_THRESHOLDS)


def precision_recall(matches: Matches, k: int, name: str, threshold: int, max_points: int) -> PrecisionRecall | None:
    """The curve of class ``k`` at one IoU threshold, thinned; None for a class without ground truth.

    Args:
        matches: of the split.
        k: class index.
        name: of the class.
        threshold: place in `IOU_THRESHOLDS`.
        max_points: at most so many points are kept: half of them at equal distances of recall, half of rank.
    """
    positives = int(matches.positives()[k])
    if not positives:
        return None
    mine = slice(*matches.bounds[k : k + 2])
    counted = matches.counted[mine, threshold]
    score = matches.detections.score[mine][counted]
    right = np.cumsum(matches.found[mine, threshold][counted] >= 0)
    number = np.arange(1, len(right) + 1)
    is_right = np.diff(right, prepend=0) > 0
    area = average_precision(right[is_right], number[is_right], positives)
    # Detections of equal score come together.
    last = np.flatnonzero(np.diff(score, append=-np.inf))
    chosen = last[_thinned(right[last], max_points)]
    return PrecisionRecall(
        name=name,
        iou=float(IOU_THRESHOLDS[threshold]),
        recall=100 * right[chosen] / positives,
        precision=100 * right[chosen] / number[chosen],
        score=score[chosen],
        ap=area,
    )


def _thinned(right: np.ndarray, max_points: int) -> np.ndarray:
    """Places of at most ``max_points`` of the points; ``right`` (P,) ascends."""
    if len(right) <= max_points:
        return np.arange(len(right))
    by_recall = np.searchsorted(right, np.linspace(right[0], right[-1], max_points // 2))
    by_rank = np.linspace(0, len(right) - 1, max_points - max_points // 2).round().astype(np.int64)
    return np.unique(np.concatenate([by_recall, by_rank]))


def _rank(matches: Matches, k: int) -> _Ranked:
    mine = slice(*matches.bounds[k : k + 2])
    frame = matches.detections.frame[mine]
    found, counted = matches.found[mine], matches.counted[mine]

    def places(chosen: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(at := np.flatnonzero(column), frame[at]) for column in chosen.T]

    countable = ~matches.ignored & (matches.truth.category == k)
    positives = np.bincount(matches.truth.frame[countable], minlength=matches.num_frames)
    return _Ranked(frame, places(found >= 0), places(~counted), positives.astype(float))
