"""Numbers for the objects of a video, by their boxes and scores alone.

Zhang et al., "ByteTrack: multi-object tracking by associating every detection box" (2022): sure detections are
matched first, what is left is looked for among the unsure ones. Unlike there, so are objects that are lost, and those
of one frame: docs/DATA_ENGINE.md has what that gains.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from .motion import BoxMotion


class TrackerSettings(NamedTuple):
    """What a tracker goes by; scores are 0 to 1.

    Attributes:
        sure: detections of more than this score are matched first, and may be new objects.
        unsure: those of less have no part.
        new: a new object has this score in its first frame, and is found in the next.
        patience: frames for which an object may be lost.
        least: overlaps (IoU, times the score where detections are sure) from which on two boxes may be one object: of
            sure detections, of unsure ones, and of sure ones with objects in their second frame.

    Scores and patience are those of the paper. The overlaps are lower: it had 30 frames a second, films here have ten.
    """

    sure: float = 0.6
    unsure: float = 0.1
    new: float = 0.7
    patience: int = 30
    least: tuple[float, float, float] = (0.15, 0.4, 0.2)


class ByteTracker:
    """The objects of one video. Each frame's detections are given to `update`, in the order of time.

    An object keeps its class. Its number is given in its second frame, so that what is seen once has none; in the first
    frame of a video all are given.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._motion = BoxMotion()
        self._category = np.empty(0, np.int64)
        # The number, 0 before it is given, and how many frames ago it was seen.
        self._number = np.empty(0, np.int64)
        self._age = np.empty(0, np.int64)
        self._count = 0
        self._is_first = True

    def update(self, corners: np.ndarray, scores: np.ndarray, categories: np.ndarray) -> np.ndarray:
        """The numbers of the next frame's detections, from 1; 0 for one that is no object's.

        Args:
            corners: (N, 4) x1, y1, x2, y2 in pixels.
            scores: (N,) 0 to 1.
            categories: (N,) class indices.

        Returns:
            (N,) int64.
        """
        corners = np.asarray(corners, np.float64).reshape(-1, 4)
        scores, categories = np.asarray(scores, np.float64), np.asarray(categories, np.int64)
        settings = self.settings
        numbers = np.zeros(len(corners), np.int64)
        self._motion.predict(self._age == 0)
        self._age += 1
        sure = np.flatnonzero(scores > settings.sure)
        unsure = np.flatnonzero((scores > settings.unsure) & (scores <= settings.sure))
        known, fresh = np.flatnonzero(self._number > 0), np.flatnonzero(self._number == 0)
        found = (corners, scores, categories)
        by_sure, by_unsure, by_fresh = settings.least
        rounds = (
            (known, sure, by_sure),
            (known, unsure, by_unsure),
            (fresh, sure, by_fresh),
            (fresh, unsure, by_unsure),
        )
        matched = np.zeros(len(self._number), np.bool_)
        for rows, places, least in rounds:
            rows, places = rows[~matched[rows]], places[numbers[places] == 0]
            pairs = self._pairs(rows, places, found, least)
            self._take(*pairs, corners)
            matched[pairs[0]] = True
            numbers[pairs[1]] = self._number[pairs[0]]
        self._forget(matched)
        self._begin(sure[(numbers[sure] == 0) & (scores[sure] >= settings.new)], corners, categories, numbers)
        self._is_first = False
        return numbers

    def _pairs(
        self,
        rows: np.ndarray,
        places: np.ndarray,
        found: tuple[np.ndarray, np.ndarray, np.ndarray],
        least: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Objects and detections that are one, as (M,) ``rows`` and ``places``."""
        corners, scores, categories = (column[places] for column in found)
        likeness = _iou(self._motion.corners[rows], corners)
        # All are sure or none is.
        likeness *= np.where(scores > self.settings.sure, scores, 1)
        likeness[self._category[rows][:, None] != categories] = 0
        # What is no pair costs as much as to be left alone.
        one, other = linear_sum_assignment(np.maximum(likeness, least), maximize=True)
        good = likeness[one, other] > least
        return rows[one[good]], places[other[good]]

    def _take(self, rows: np.ndarray, places: np.ndarray, corners: np.ndarray) -> None:
        self._motion.correct(rows, corners[places])
        self._age[rows] = 0
        fresh = rows[self._number[rows] == 0]
        self._number[fresh] = self._next(len(fresh))

    def _forget(self, matched: np.ndarray) -> None:
        """Takes out what was lost for too long, and what was seen in one frame only."""
        kept = np.flatnonzero(matched | ((self._number > 0) & (self._age <= self.settings.patience)))
        self._motion.keep(kept)
        self._category, self._number, self._age = self._category[kept], self._number[kept], self._age[kept]

    def _begin(self, places: np.ndarray, corners: np.ndarray, categories: np.ndarray, numbers: np.ndarray) -> None:
        given = self._next(len(places)) if self._is_first else np.zeros(len(places), np.int64)
        numbers[places] = given
        self._motion.add(corners[places])
        self._category = np.concatenate([self._category, categories[places]])
        self._number = np.concatenate([self._number, given])
        self._age = np.concatenate([self._age, np.zeros(len(places), np.int64)])

    def _next(self, count: int) -> np.ndarray:
        self._count += count
        return np.arange(self._count - count + 1, self._count + 1)


def _iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, M) overlaps of (N, 4) and (M, 4) corners."""
    first, last = np.maximum(one[:, None, :2], other[:, :2]), np.minimum(one[:, None, 2:], other[:, 2:])
    shared = np.maximum(last - first, 0).prod(axis=2)
    area, other_area = ((side[:, 2:] - side[:, :2]).prod(axis=1) for side in (one, other))
    union = area[:, None] + other_area - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
