"""What the detections of one model say against labelled boxes, as rates (see :mod:`.rates`).

Each label is compared with what the model finds there: nothing (a phantom), another class, or its class at another
place. A confident detection where no label is speaks for a missing one. Detections that find a box of their class, by
the official rule at IoU 0.5, speak against no other label; nor do those on crowds and ignored boxes.
"""

from typing import NamedTuple

import numpy as np

from ..evaluation.boxes import LabelFlags
from ..evaluation.metrics.detection import Detections, GroundTruth
from ..report.analysis.matching import Matches, Pairs, assign, match
from .rates import rate_at, rate_of
from .records import SAME_PLACE

LEAST_SCORE = 0.05
"""Detections below it are left out: they are many, and say nothing."""

_NEAR, _APART = 0.3, 0.1
# A label of which a detection is surer is no phantom.
_FAINT = 0.15
_SIZES = (16.0, 32.0, 64.0, 96.0)
_SCORES = (0.3, 0.7)
_OVERLAPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


class MissingLabels(NamedTuple):
    """C detections on nothing, as columns: of one class each place has one at most.

    Attributes:
        detection: (C,) int64 places in the detections.
        rate: (C,) float64, the share of detections of that class and score that are on nothing.
    """

    detection: np.ndarray
    rate: np.ndarray


class BoxEvidence(NamedTuple):
    """What a model says against N labels, in the order of the label file; rates are NaN where it says nothing.

    Attributes:
        detections: M detections, by class.
        phantom: (N,) float64, the share of labels like this one that the model finds as faintly.
        other_class: (N,) float64, the share of such detections that lie on a label of another class.
        other_detection: (N,) int64, the detection of another class; -1 for none.
        placement: (N,) float64, the share of labels like this one that are as far from their detection.
        own_detection: (N,) int64, the detection of its class; -1 for none.
        iou: (N,) float64 with it.
        missing: what is on nothing.
    """

    detections: Detections
    phantom: np.ndarray
    other_class: np.ndarray
    other_detection: np.ndarray
    placement: np.ndarray
    own_detection: np.ndarray
    iou: np.ndarray
    missing: MissingLabels


def box_evidence(
    truth: GroundTruth, flags: LabelFlags, detections: Detections, num_frames: int, num_classes: int
) -> BoxEvidence:
    """Compares the detections of one model with all labels. Frames without a detection count as not predicted."""
    seen = np.zeros(num_frames, bool)
    seen[detections.frame] = True
    kept = detections.score >= LEAST_SCORE
    matches = match(truth, Detections(*(column[kept] for column in detections)), num_frames, num_classes)
    right = matches.found[:, 0] >= 0
    pairs = matches.pairs
    of_ignored = matches.ignored[pairs.truth]
    is_free = ~_on_ignored(matches, of_ignored)
    pairs = pairs.only(~of_ignored)
    own_truth = _own(matches, pairs)
    other_class, other_detection = _other_classes(matches, pairs, right, is_free, num_classes)
    own_detection, iou = _own_detections(matches, pairs, own_truth)
    return BoxEvidence(
        matches.detections,
        _phantoms(matches, flags, pairs, own_truth, seen),
        other_class,
        other_detection,
        _placements(matches, own_detection, iou),
        own_detection,
        iou,
        _missing(matches, pairs, right | (own_truth >= 0), is_free, num_classes),
    )


def _on_ignored(matches: Matches, of_ignored: np.ndarray) -> np.ndarray:
    """(M,) bool, detections on a crowd or an ignored box of any class."""
    found = np.zeros(len(matches.detections.score), bool)
    found[matches.pairs.detection[of_ignored & (matches.pairs.iou >= SAME_PLACE)]] = True
    return found


def _own(matches: Matches, pairs: Pairs) -> np.ndarray:
    """(M,) int64, the label of its class that each detection is of, one to one, from an IoU of 0.1; -1 for none."""
    same = matches.truth.category[pairs.truth] == matches.detections.category[pairs.detection]
    # One number for the class and the frame: labels of two of them have no detection in common.
    group = matches.detections.frame * matches.num_classes + matches.detections.category
    own = assign(pairs.only(same), group, np.array([_APART]), len(matches.truth.frame))
    return own[:, 0].astype(np.int64)


def _own_detections(matches: Matches, pairs: Pairs, own_truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    detection, iou = np.full(len(matches.truth.frame), -1, np.int64), np.zeros(len(matches.truth.frame))
    is_own = own_truth[pairs.detection] == pairs.truth
    detection[pairs.truth[is_own]], iou[pairs.truth[is_own]] = pairs.detection[is_own], pairs.iou[is_own]
    return detection, iou


def _phantoms(matches: Matches, flags: LabelFlags, pairs: Pairs, own_truth: np.ndarray, seen: np.ndarray) -> np.ndarray:
    truth = matches.truth
    # What is of another label says nothing of this one.
    own = own_truth[pairs.detection]
    near = pairs.only(((pairs.iou >= _NEAR) & (own < 0)) | (own == pairs.truth))
    strength = np.zeros(len(truth.frame))
    np.maximum.at(strength, near.truth, matches.detections.score[near.detection])
    rate = np.full(len(strength), np.nan)
    usable = np.flatnonzero(~matches.ignored & seen[truth.frame])
    size = np.searchsorted(_SIZES, np.sqrt(truth.box[usable, 2] * truth.box[usable, 3]), "right")
    of_class = size * matches.num_classes + truth.category[usable]
    occluded = of_class * 2 + (flags.occluded[usable] > 0)
    is_faint = strength[usable] < _FAINT
    rate[usable] = rate_of(is_faint[:, None], [size, of_class, occluded])[:, 0]
    rate[usable[~is_faint]] = np.nan
    return rate


def _other_classes(
    matches: Matches, pairs: Pairs, right: np.ndarray, is_free: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rate and the detection of each label that a detection of another class lies on."""
    truth, detections = matches.truth, matches.detections
    same = truth.category[pairs.truth] == detections.category[pairs.detection]
    at = pairs.only(pairs.iou >= SAME_PLACE)
    at_same = same[pairs.iou >= SAME_PLACE]
    own_score = np.zeros(len(truth.frame))
    own = at.only(at_same)
    np.maximum.at(own_score, own.truth, detections.score[own.detection])
    other = at.only(~at_same & ~right[at.detection] & is_free[at.detection])
    best = np.full(len(truth.frame), -1, np.int64)
    order = np.argsort(detections.score[other.detection], kind="stable")
    best[other.truth[order]] = other.detection[order]
    other_score = np.where(best >= 0, detections.score[best], 0.0) if len(detections.score) else np.zeros(len(best))
    # By how much the surest class on a label is surer than what it is compared with.
    found = np.flatnonzero(right)
    of_right = matches.found[found, 0]
    against = np.flatnonzero(other_score > own_score)
    value = np.concatenate([detections.score[found] - other_score[of_right], other_score[against] - own_score[against]])
    group = np.concatenate([detections.category[found], detections.category[best[against]]])
    is_wrong = np.arange(len(value)) >= len(found)
    rate = np.full(len(truth.frame), np.nan)
    rate[against] = rate_at(value, is_wrong, group, num_classes)[len(found) :]
    best[np.isnan(rate)] = -1
    return rate, best


def _placements(matches: Matches, own_detection: np.ndarray, iou: np.ndarray) -> np.ndarray:
    rate = np.full(len(iou), np.nan)
    found = np.flatnonzero(own_detection >= 0)
    box = matches.truth.box[found]
    size = np.searchsorted(_SIZES, np.sqrt(box[:, 2] * box[:, 3]), "right")
    score = np.searchsorted(_SCORES, matches.detections.score[own_detection[found]], "right")
    by_score = size * (len(_SCORES) + 1) + score
    of_class = by_score * matches.num_classes + matches.truth.category[found]
    place = np.searchsorted(_OVERLAPS, iou[found], "right") - 1
    observed = place[:, None] == np.arange(len(_OVERLAPS))
    share = rate_of(observed, [size, by_score, of_class])[np.arange(len(found)), place]
    # As if the overlaps of badly placed labels were spread evenly below the last, and there were none above.
    wrong = np.append(np.diff(_OVERLAPS), np.nan) / (_OVERLAPS[-1] - _OVERLAPS[0])
    rate[found] = share / wrong[place]
    return rate


def _missing(
    matches: Matches, pairs: Pairs, is_of_label: np.ndarray, is_free: np.ndarray, num_classes: int
) -> MissingLabels:
    detections = matches.detections
    _, nearest = pairs.best(len(detections.score))
    candidates = np.flatnonzero(is_free & ~is_of_label & (nearest < _NEAR))
    candidates = candidates[suppress(detections, candidates)]
    others = np.flatnonzero(is_of_label)
    value = detections.score[np.concatenate([candidates, others])]
    group = detections.category[np.concatenate([candidates, others])]
    rate = rate_at(value, np.arange(len(value)) < len(candidates), group, num_classes)
    return MissingLabels(candidates, rate[: len(candidates)])


def suppress(detections: Detections, chosen: np.ndarray) -> np.ndarray:
    """The places in ``chosen`` (C,) of the detections of which no surer one of any class lies at the same place."""
    some = Detections(*(column[chosen] for column in detections))
    boxes = GroundTruth(some.frame, np.zeros_like(some.category), some.box, np.zeros(len(chosen), bool))
    all_one = Detections(some.frame, np.zeros_like(some.category), some.box, some.score)
    num_frames = 1 + int(some.frame.max(initial=0))
    pairs = match(boxes, all_one, num_frames, 1)
    order = np.lexsort((some.frame, -some.score, all_one.category))
    first = order[pairs.pairs.detection]
    at = pairs.pairs.iou >= SAME_PLACE
    better, worse = first[at], pairs.pairs.truth[at]
    surer = (some.score[better] > some.score[worse]) | ((some.score[better] == some.score[worse]) & (better < worse))
    left = np.ones(len(chosen), bool)
    # Only what is left itself suppresses others: the surest first, frame by frame.
    rank = np.empty(len(chosen), np.int64)
    rank[np.argsort(-some.score, kind="stable")] = np.arange(len(chosen))
    better, worse = better[surer], worse[surer]
    for one, other in sorted(zip(better.tolist(), worse.tolist(), strict=True), key=lambda pair: rank[pair[0]]):
        if left[one]:
            left[other] = False
    return np.flatnonzero(left)
