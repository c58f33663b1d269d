"""Tracking scores as the official toolkit computes them: CLEAR MOT and IDF1, by class, over groups of them and all.

The toolkit (``scalabel/eval/mot.py``) feeds motmetrics frame by frame; here the overlaps of a video are computed at
once, and only frames in which several pairs compete are solved as an assignment, by the solver that it has.

Sources: Bernardin and Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics" (2008);
Ristani et al., "Performance measures and a data set for multi-target, multi-camera tracking" (2016) for IDF1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

# A pair of boxes may be one object from this IoU on; a prediction is in an ignored region above this share of it.
_LEAST_IOU = 0.5
_IGNORED_SHARE = 0.5
# Of the frames in which an object is there; one that is tracked in less than the first is mostly lost.
_LOST, _TRACKED = 0.2, 0.8

TRACKING_SCORES = ("MOTA", "MOTP", "IDF1")
TRACKING_COUNTS = ("FP", "FN", "IDSw", "MT", "PT", "ML", "FM")


class TrackedBoxes(NamedTuple):
    """The boxes of the objects of a video, as columns of length N.

    Attributes:
        frame: (N,) int64 places of the frames, in the order of time.
        category: (N,) int64 class indices, 0 to K-1.
        track: (N,) int64 numbers of the objects; in a frame, a class has each once.
        box: (N, 4) float64 x, y, width, height in pixels, inclusive (width = x2 - x1 + 1).
    """

    frame: np.ndarray
    category: np.ndarray
    track: np.ndarray
    box: np.ndarray


class IgnoredRegions(NamedTuple):
    """The regions of a video in which nothing that is predicted is wrong; ``frame`` and ``box`` as `TrackedBoxes`."""

    frame: np.ndarray
    box: np.ndarray


class TrackCounts(NamedTuple):
    """What is counted in a video, (K,) of each class; sums of several videos are made by adding them up.

    Attributes:
        objects, predictions: boxes of ground truth, and predicted ones but for those in ignored regions.
        matched: boxes of ground truth that are found, with their ``distance``, the sum of 1 - IoU.
        switches: how often an object is found under another number than before (IDSw).
        fragments: how often an object that is found again later is lost (FM).
        tracked, partly, lost: objects that are found in 80 % of their frames or more, in 20 % or more, in less.
        identified: boxes that are found if each object has one prediction for the whole video (IDTP).
    """

    objects: np.ndarray
    predictions: np.ndarray
    matched: np.ndarray
    distance: np.ndarray
    switches: np.ndarray
    fragments: np.ndarray
    tracked: np.ndarray
    partly: np.ndarray
    lost: np.ndarray
    identified: np.ndarray


def count_tracks(
    truth: TrackedBoxes, ignored: IgnoredRegions, predicted: TrackedBoxes, num_classes: int
) -> TrackCounts:
    """Counts the objects of one video that are found, class by class."""
    truth, predicted = _sorted(truth), _sorted(predicted)
    pairs = _pairs(truth, predicted)
    predicted, pairs = _outside(truth, predicted, pairs, ignored)
    found, switches = _matches(truth, predicted, pairs)
    is_found, distance = np.zeros(len(truth.frame), np.bool_), np.zeros(len(truth.frame))
    is_found[pairs.one[found]] = True
    distance[pairs.one[found]] = pairs.distance[found]

    def counted(category: np.ndarray) -> np.ndarray:
        return np.bincount(category, minlength=num_classes)

    class_of, track = _tracks(truth)
    share = np.bincount(track, is_found, len(class_of)) / np.bincount(track, minlength=len(class_of))
    return TrackCounts(
        counted(truth.category),
        counted(predicted.category),
        counted(truth.category[is_found]),
        np.bincount(truth.category, distance, num_classes),
        counted(truth.category[switches]),
        _fragments(is_found, track, class_of, num_classes),
        counted(class_of[share >= _TRACKED]),
        counted(class_of[(share >= _LOST) & (share < _TRACKED)]),
        counted(class_of[share < _LOST]),
        _identified(truth, predicted, pairs, num_classes),
    )


def tracking_scores(videos: Sequence[TrackCounts], groups: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """The scores of what was counted in ``videos``, in percent, and the sums of the counts.

    ``groups`` are of class indices. Of each metric there are (K + G + 2,) values: of the K classes, the G
    groups, the mean over the classes (of counts, the sum) and all classes together. What has no objects, and MOTP of
    what is never found, is NaN, and 0 in the mean; so is MOTA of classes that are predicted but not there, -inf.
    """
    sums = TrackCounts(*(np.sum(columns, axis=0) for columns in zip(*videos, strict=True)))
    num_classes = len(sums.objects)
    members = [[k] for k in range(num_classes)] + [[*group] for group in groups] + [[*range(num_classes)]]
    of = TrackCounts(*(np.array([column[group].sum() for group in members]) for column in sums))
    missed, wrong = of.objects - of.matched, of.predictions - of.matched
    with np.errstate(divide="ignore", invalid="ignore"):
        mota = 1 - (missed + of.switches + wrong) / of.objects
        motp = 1 - of.distance / of.matched
        idf1 = 2 * of.identified / (of.objects + of.predictions)
    counts = (wrong, missed, of.switches, of.tracked, of.partly, of.lost, of.fragments)
    values: dict[str, np.ndarray] = {}
    for metric, column in zip(TRACKING_SCORES, (mota, motp, idf1), strict=True):
        mean = np.nan_to_num(100 * column[:num_classes], nan=0, posinf=0, neginf=0).mean()
        values[metric] = np.insert(100 * column, -1, mean)
    for metric, column in zip(TRACKING_COUNTS, counts, strict=True):
        values[metric] = np.insert(column, -1, column[:num_classes].sum())
    return values


class _Pairs(NamedTuple):
    """Boxes of one class and frame that may be one object: (M,) rows of the one and the other, and 1 - IoU."""

    one: np.ndarray
    other: np.ndarray
    distance: np.ndarray


def _sorted(boxes: TrackedBoxes) -> TrackedBoxes:
    """The boxes by class and frame; within a frame they keep their order, by which equal distances are settled."""
    order = np.lexsort((boxes.frame, boxes.category))
    return TrackedBoxes(*(column[order] for column in boxes))


def _keys(*sides: TrackedBoxes) -> list[np.ndarray]:
    """(N,) of each side: one number for a class and frame, ascending as `_sorted` has them."""
    frames = max((int(side.frame.max()) + 1 for side in sides if len(side.frame)), default=1)
    return [side.category * frames + side.frame for side in sides]


def _joined(keys: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M,) and (M,) rows of all pairs of one key; ``others`` are sorted, the pairs are in the order of both."""
    first = np.searchsorted(others, keys, "left")
    count = np.searchsorted(others, keys, "right") - first
    one = np.repeat(np.arange(len(keys)), count)
    other = np.arange(len(one)) - np.repeat(np.cumsum(count) - count - first, count)
    return one, other


def _pairs(truth: TrackedBoxes, predicted: TrackedBoxes) -> _Pairs:
    """The pairs that overlap enough; the order of the operations is motmetrics', to the last bit."""
    one, other = _joined(*_keys(truth, predicted))
    a, b = truth.box[one], predicted.box[other]
    a_end, b_end = a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]
    shared = np.maximum(np.minimum(a_end, b_end) - np.maximum(a[:, :2], b[:, :2]), 0).prod(axis=1)
    area, other_area = (np.maximum(end - box[:, :2], 0).prod(axis=1) for box, end in ((a, a_end), (b, b_end)))
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = 1 - np.where(shared == 0, 0, shared / (area + other_area - shared))
    near = distance <= 1 - _LEAST_IOU
    return _Pairs(one[near], other[near], distance[near])


def _outside(
    truth: TrackedBoxes, predicted: TrackedBoxes, pairs: _Pairs, ignored: IgnoredRegions
) -> tuple[TrackedBoxes, _Pairs]:
    """The predictions that count: without those in an ignored region that are no object's.

    Which are an object's is settled frame by frame, whatever was matched before.
    """
    order = np.argsort(ignored.frame, kind="stable")
    one, region = _joined(predicted.frame, ignored.frame[order])
    a, b = predicted.box[one], ignored.box[order][region]
    sides = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    area = a[:, 2] * a[:, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(area != 0, np.maximum(sides, 0).prod(axis=1) / area, 0)
    is_inside = np.zeros(len(predicted.frame), np.bool_)
    is_inside[one[share > _IGNORED_SHARE]] = True
    if not is_inside.any():
        return predicted, pairs
    keys = _keys(truth, predicted)
    for places in _runs(keys[0][pairs.one]):
        if is_inside[pairs.other[places]].any():
            is_inside[pairs.other[_assigned(pairs, places, keys)]] = False
    place = np.cumsum(~is_inside) - 1
    kept = ~is_inside[pairs.other]
    left = _Pairs(pairs.one[kept], place[pairs.other[kept]], pairs.distance[kept])
    return TrackedBoxes(*(column[~is_inside] for column in predicted)), left


def _runs(keys: np.ndarray) -> list[np.ndarray]:
    """The places of each run of equal keys."""
    return np.split(np.arange(len(keys)), np.flatnonzero(np.diff(keys)) + 1) if len(keys) else []


def _assigned(pairs: _Pairs, places: np.ndarray, keys: Sequence[np.ndarray]) -> np.ndarray:
    """Of the ``places`` of pairs of one class and frame: as many as can be of one object each, of the least distance.

    ``keys`` are those of all boxes. The matrix is the one that motmetrics solves, so that equal sums end alike.
    """
    one, other, distance = (column[places] for column in pairs)
    if len(places) == len(np.unique(one)) == len(np.unique(other)):
        return places
    (row, rows), (column, columns) = (_extent(*side) for side in zip(keys, (one, other), strict=True))
    # What cannot be a pair costs more than all pairs that can.
    costs = np.full((rows, columns), 2 * min(rows, columns) * (distance.max() + 1) + 1)
    place = np.full(costs.shape, -1)
    costs[row, column], place[row, column] = distance, places
    chosen = place[linear_sum_assignment(costs)]
    result: np.ndarray = chosen[chosen >= 0]
    return result


def _extent(keys: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Of ``rows`` of one key their places among all rows of it, and how many those are."""
    first, end = (int(np.searchsorted(keys, keys[rows[0]], side)) for side in ("left", "right"))
    return rows - first, end - first


def _matches(truth: TrackedBoxes, predicted: TrackedBoxes, pairs: _Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(A,) places of the pairs that are matched, and (S,) rows of the truth that are found under another number.

    An object keeps the prediction that it had last, however long ago, if the two still are a pair; the others are
    assigned.
    """
    keys = _keys(truth, predicted)
    found: list[int] = []
    switches: list[int] = []
    last: dict[int, int] = {}
    category = -1
    ones, others = pairs.one.tolist(), pairs.other.tolist()
    objects, hypotheses = truth.track[pairs.one].tolist(), predicted.track[pairs.other].tolist()
    for places in _runs(keys[0][pairs.one]):
        if truth.category[ones[places[0]]] != category:
            category, last = truth.category[ones[places[0]]], {}
        taken: set[int] = set()
        kept: set[int] = set()
        for i in places.tolist():
            if last.get(objects[i]) == hypotheses[i] and others[i] not in taken:
                taken.add(others[i])
                kept.add(ones[i])
                found.append(i)
        left = [i for i in places.tolist() if ones[i] not in kept and others[i] not in taken]
        for i in _assigned(pairs, np.array(left), keys).tolist() if len(left) > 1 else left:
            if objects[i] in last:
                switches.append(ones[i])
            last[objects[i]] = hypotheses[i]
            found.append(i)
    return np.array(found, np.int64), np.array(switches, np.int64)


def _tracks(boxes: TrackedBoxes) -> tuple[np.ndarray, np.ndarray]:
    """(T,) classes of the objects, by class and number, and (N,) the place there of each box."""
    both = np.column_stack([boxes.category, boxes.track])
    tracks, place = np.unique(both, axis=0, return_inverse=True)
    return tracks[:, 0], place.reshape(-1)


def _fragments(is_found: np.ndarray, track: np.ndarray, class_of: np.ndarray, num_classes: int) -> np.ndarray:
    """(K,) how often an object is lost that is found again later."""
    # By object; the boxes of a class are in the order of time.
    order = np.argsort(track, kind="stable")
    track, is_found = track[order], is_found[order]
    found = np.flatnonzero(is_found)
    # Between two frames in which it is found there are others.
    lost = (np.diff(found) > 1) & (np.diff(track[found]) == 0)
    return np.bincount(class_of[track[found[1:]][lost]], minlength=num_classes)


def _identified(truth: TrackedBoxes, predicted: TrackedBoxes, pairs: _Pairs, num_classes: int) -> np.ndarray:
    """(K,) boxes that are found if each object has one number for the whole video, as many as can be."""
    _, track = _tracks(truth)
    _, number = _tracks(predicted)
    counted = np.zeros(num_classes, np.int64)
    of_pair = truth.category[pairs.one]
    for k in np.unique(of_pair):
        here = of_pair == k
        _, row = np.unique(track[pairs.one[here]], return_inverse=True)
        _, column = np.unique(number[pairs.other[here]], return_inverse=True)
        together = np.zeros((row.max() + 1, column.max() + 1), np.int64)
        np.add.at(together, (row, column), 1)
        counted[k] = together[linear_sum_assignment(together, maximize=True)].sum()
    return counted
