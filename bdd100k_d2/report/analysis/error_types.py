"""What is wrong with each wrong detection, after TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying Object
Detection Errors", ECCV 2020), and what mending it would gain.

A detection that finds no box of its class at IoU 0.5 is, by the first of these that holds:

* localisation: the box of its class that it overlaps most has an IoU from 0.1 up to 0.5;
* classification: a box of another class has an IoU of 0.5 or more;
* duplicate: a box of its class has an IoU of 0.5 or more, and another detection found it;
* both: a box of another class has an IoU of 0.1 or more;
* background: none of these.

Missed is a box that is not found and that no localisation or classification error is about. Crowds and ignored boxes
have no part in it, nor have detections that officially are not counted.
"""  # noqa: D205, the title does not fit a line

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ...evaluation.metrics.coco_scores import IOU_THRESHOLDS
from .detection_records import DETECTION_ERRORS, ERROR_TYPES, MISSED, OUTCOMES, DetectionErrors
from .matching import Matches
from .precision import average_precision

_CLASSIFICATION, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND, _RIGHT, _NOT_COUNTED = range(len(OUTCOMES))


class Outcomes(NamedTuple):
    """What became of M detections and N boxes, in the order of `Matches`.

    Attributes:
        kind: (M,) int8 places in `OUTCOMES`.
        truth: (M,) int64, the box that it is about; -1 for none.
        iou: (M,) float64 with that box; 0 for none.
        found_score: (N,) float64, the score of the detection that finds the box; NaN for none.
        blamed_score: (N,) float64, the highest score of the localisation and classification errors about the box; NaN
            for none.
    """

    kind: np.ndarray
    truth: np.ndarray
    iou: np.ndarray
    found_score: np.ndarray
    blamed_score: np.ndarray

    def missed(self, matches: Matches, score_threshold: float = -np.inf) -> np.ndarray:
        """(N,) bool, the boxes that are missed when lower detections are left out."""
        found, blamed = (scores >= score_threshold for scores in (self.found_score, self.blamed_score))
        return ~(matches.ignored | found | blamed)


def classify(matches: Matches) -> Outcomes:
    """Says of each detection what it is."""
    detections, pairs, found = matches.detections, matches.pairs, matches.found[:, 0].astype(np.int64)
    num = len(found)
    same = matches.truth.category[pairs.truth] == detections.category[pairs.detection]
    ignored = matches.ignored[pairs.truth]
    own_truth, own = pairs.only(same & ~ignored).best(num)
    other_truth, other = pairs.only(~same & ~ignored).best(num)
    crowd_truth, on_crowd = pairs.only(same & ignored).best(num)
    is_found = found[pairs.detection] == pairs.truth
    found_iou = np.zeros(num)
    found_iou[pairs.detection[is_found]] = pairs.iou[is_found]
    right = np.flatnonzero(found >= 0)
    found_score = np.full(len(matches.truth.frame), np.nan)
    found_score[found[right]] = detections.score[right]

    enough = IOU_THRESHOLDS[0]
    # A pair is only in the list with a sufficient IoU, so that -1 says that there is none.
    choices = [
        (~matches.counted[:, 0], _NOT_COUNTED, crowd_truth, on_crowd),
        (found >= 0, _RIGHT, found, found_iou),
        ((own_truth >= 0) & (own < enough), _LOCALISATION, own_truth, own),
        (other >= enough, _CLASSIFICATION, other_truth, other),
        (own_truth >= 0, _DUPLICATE, own_truth, own),
        (other_truth >= 0, _BOTH, other_truth, other),
        (np.ones(num, bool), _BACKGROUND, np.full(num, -1), np.zeros(num)),
    ]
    holds, kinds, truths, ious = zip(*choices, strict=True)
    kind = np.select(holds, [np.int8(kind) for kind in kinds])
    truth, iou = np.select(holds, truths), np.select(holds, ious)
    blamed_score = np.full(len(matches.truth.frame), np.nan)
    blames = _blames(kind)
    np.fmax.at(blamed_score, truth[blames], detections.score[blames])
    return Outcomes(kind, truth, iou, found_score, blamed_score)


def count_errors(
    matches: Matches, outcomes: Outcomes, names: tuple[str, ...], score_threshold: float
) -> tuple[DetectionErrors, ...]:
    """The errors of all classes together, then of each class."""
    confident = matches.detections.score >= score_threshold
    num_kinds, num_classes = len(OUTCOMES), len(names)
    kinds = matches.detections.category[confident] * num_kinds + outcomes.kind[confident]
    table = np.bincount(kinds, minlength=num_classes * num_kinds).reshape(num_classes, num_kinds)
    missed = np.bincount(matches.truth.category[outcomes.missed(matches, score_threshold)], minlength=num_classes)
    counts = np.column_stack([table[:, : len(DETECTION_ERRORS)], missed])
    costs = error_costs(matches, outcomes)
    rows = [("all classes", counts.sum(axis=0), costs[-1], table[:, _RIGHT].sum())]
    rows += list(zip(names, counts, costs, table[:, _RIGHT], strict=False))
    return tuple(
        DetectionErrors(
            name=name,
            counts=dict(zip(ERROR_TYPES, count.tolist(), strict=True)),
            costs=dict(zip(ERROR_TYPES, cost.tolist(), strict=True)),
            right=int(right),
        )
        for name, count, cost, right in rows
    )


def error_costs(matches: Matches, outcomes: Outcomes) -> np.ndarray:
    """The AP50 that mending all errors of a type would gain, at any score.

    A mended localisation or classification error finds the box that it is about, if no detection does and no such error
    of a higher score is about that box; else it is gone, as are all other mended detections. A mended missed box is no
    longer looked for.

    Returns:
        (K + 1, 6) float64 points by class and `ERROR_TYPES`, NaN for a class without ground truth; the last row is the
        mean over the others.
    """
    positives, scored = matches.positives(), matches.counted[:, 0]
    category, right = matches.detections.category, outcomes.kind == _RIGHT

    def ap50(category: np.ndarray, right: np.ndarray, kept: np.ndarray, positives: np.ndarray) -> np.ndarray:
        order = np.flatnonzero(kept)
        order = order[np.lexsort((matches.detections.frame[order], -matches.detections.score[order], category[order]))]
        bounds = np.searchsorted(category[order], np.arange(len(positives) + 1))
        places = [np.flatnonzero(right[order[start:end]]) for start, end in pairwise(bounds)]
        return np.array(
            [
                average_precision(np.arange(1, len(at) + 1), at + 1, number) if number else np.nan
                for at, number in zip(places, positives.tolist(), strict=True)
            ]
        )

    base = ap50(category, right, scored, positives)
    mendable = _mendable(matches, outcomes)
    costs = np.empty((len(positives) + 1, len(ERROR_TYPES)))
    for column, error in enumerate(ERROR_TYPES):
        if error == MISSED:
            missed = np.bincount(matches.truth.category[outcomes.missed(matches)], minlength=len(positives))
            mended = ap50(category, right, scored, positives - missed)
            # Of a class of which nothing is found, nothing remains to be found.
            mended[(positives > 0) & (positives == missed)] = 100.0
        else:
            wrong = outcomes.kind == column
            put_right = wrong & mendable
            now = category.copy()
            now[put_right] = matches.truth.category[outcomes.truth[put_right]]
            mended = ap50(now, right | put_right, scored & (put_right | ~wrong), positives)
        gain = mended - base
        present = positives > 0
        costs[:-1, column], costs[-1, column] = gain, gain[present].mean() if present.any() else np.nan
    return costs


def _mendable(matches: Matches, outcomes: Outcomes) -> np.ndarray:
    """(M,) bool, of each box that is not found the localisation or classification error of the highest score."""
    errors = np.flatnonzero(_blames(outcomes.kind))
    errors = errors[np.isnan(outcomes.found_score[outcomes.truth[errors]])]
    errors = errors[np.argsort(-matches.detections.score[errors], kind="stable")]
    mendable = np.zeros(len(outcomes.kind), bool)
    mendable[errors[np.unique(outcomes.truth[errors], return_index=True)[1]]] = True
    return mendable


def _blames(kind: np.ndarray) -> np.ndarray:
    return (kind == _LOCALISATION) | (kind == _CLASSIFICATION)
