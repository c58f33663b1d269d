"""Average precision of matched detections whose frames have weights, and precision-recall curves.

A frame of weight w counts as w copies of it. With a weight of 1 for each frame this is the official average precision,
which the tests hold; weights make it possible to draw frames again and again without matching anything again.
"""

from typing import NamedTuple

import numpy as np

from ...evaluation.metrics.coco_scores import IOU_THRESHOLDS, RECALL_THRESHOLDS
from .detection_records import PrecisionRecall
from .matching import Matches


class _Ranked(NamedTuple):
    """The detections (M,) of a class, by descending score, and the boxes to be found in each frame, (F,) float64.

    ``right`` and ``dropped`` have for each IoU threshold the places of the detections that find a box or are not
    counted, and their frames.
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
        """Average precision and recall, both (K, T) in percent, of the frames as often as ``weights`` (F,) says.

        NaN stands for a class without ground truth.
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
    """COCO's average precision at one IoU threshold, in percent, where ``positives`` boxes (above 0) are to be found.

    At each right detection, by descending score, ``num_right`` (R,) says how many are right up to it, and
    ``num_counted`` (R,) how many there are up to it, right and wrong.
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
    """The curve of class ``k`` at ``IOU_THRESHOLDS[threshold]``; None for a class without ground truth.

    At most ``max_points`` are kept: half of them at equal distances of recall, half of rank.
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
    if len(last) > max_points:
        ends = right[last[0]], right[last[-1]]
        by_recall = np.searchsorted(right[last], np.linspace(*ends, max_points // 2))
        by_rank = np.linspace(0, len(last) - 1, max_points - max_points // 2).round().astype(np.int64)
        last = last[np.unique(np.concatenate([by_recall, by_rank]))]
    return PrecisionRecall(
        name=name,
        iou=float(IOU_THRESHOLDS[threshold]),
        recall=100 * right[last] / positives,
        precision=100 * right[last] / number[last],
        ap=area,
    )


def _rank(matches: Matches, k: int) -> _Ranked:
    mine = slice(*matches.bounds[k : k + 2])
    frame = matches.detections.frame[mine]
    found, counted = matches.found[mine], matches.counted[mine]

    def places(chosen: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(at := np.flatnonzero(column), frame[at]) for column in chosen.T]

    countable = ~matches.ignored & (matches.truth.category == k)
    positives = np.bincount(matches.truth.frame[countable], minlength=matches.num_frames)
    return _Ranked(frame, places(found >= 0), places(~counted), positives.astype(float))
