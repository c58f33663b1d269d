"""Official scores of frames that count as often as weights say: what a bootstrap needs a thousand times.

A frame of weight w counts as w copies of it, each of which is scored as a frame of its own. With a weight of 1 for each
frame the scores are the official ones, which the tests hold. Of equal scores of a class in one frame, which come in an
order that says nothing, the copies of the one come before those of the next.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError
from ...evaluation.files.detection import MatchedBoxes
from ...evaluation.files.instances import score_run_lengths
from ...evaluation.files.matched_frames import CountedFrames, MatchedFrames
from ...evaluation.files.segmentation import MatchedMasks
from ...evaluation.metrics.coco_scores import (
    AREA_RANGES,
    IOU_THRESHOLDS,
    MAX_DETECTIONS,
    METRICS,
    RECALL_THRESHOLDS,
    empty_scores,
)
from ...evaluation.metrics.panoptic import PanopticCounts
from ...evaluation.toolkit_format import (
    ToolkitScores,
    extra_segmentation_metrics,
    official_detection,
    official_segmentation,
)
from ...tasks import Task
from .coco_outcomes import CORRECT, UNCOUNTED, CocoOutcomes, bitmask_outcomes, box_outcomes, run_length_outcomes

_ALL = 0  # the place of the range of all areas
_AP50, _AP75 = 0, 5  # places among the IoU thresholds
_AREAS = {"s": 1, "m": 2, "l": 3}


class WeightedFrames(ABC):
    """The frames of a split, matched and ready to be scored with weights."""

    num_frames: int
    """F."""

    @abstractmethod
    def scores(self, weights: np.ndarray) -> ToolkitScores:
        """The scores with each frame as often as ``weights`` (F,) float64 says; NaN for a class that they lack."""

    @abstractmethod
    def frames_with(self, metric: str, name: str) -> int:
        """In how many frames there is what a score is of: an object or pixel of the class; of any class for ""."""

    @abstractmethod
    def slice(self, frames: np.ndarray) -> "WeightedFrames":
        """The frames where ``frames`` (F,) bool is true, with the scores that a slice shows."""


def weighted_frames(task: Task, matched: MatchedFrames) -> WeightedFrames:
    """What the frames of a task, matched by the openers of `evaluation.files`, are scored by.

    Raises:
        ConfigError: frames of another kind.
    """
    if isinstance(matched, MatchedBoxes):
        outcomes = box_outcomes(matched.truth, matched.detections, len(matched.names), task.num_classes)
        return WeightedCoco(task, outcomes)
    if isinstance(matched, MatchedMasks):
        return WeightedMasks(task, matched.matrices)
    if isinstance(matched, CountedFrames):
        if isinstance(matched.counted[0], PanopticCounts):
            return WeightedSegments(task, matched)
        is_rle = isinstance(matched.score, partial) and matched.score.func is score_run_lengths
        make = run_length_outcomes if is_rle else bitmask_outcomes
        return WeightedCoco(task, make(matched.counted, task.num_classes))
    raise ConfigError(f"{task.name}: frames of this kind cannot be drawn again.")


class _Threshold(NamedTuple):
    """Of the detections of a curve those that find an object at an IoU threshold, and those that do not count at it.

    Attributes:
        right: (R,) places in the curve.
        right_frames: (R,) their frames.
        dropped_frames: (D,) frames of those that count at other thresholds alone.
        dropped_before: (R,) how many of these come before each that is right.
    """

    right: np.ndarray
    right_frames: np.ndarray
    dropped_frames: np.ndarray
    dropped_before: np.ndarray


class _Curve(NamedTuple):
    """The detections of a class that count in a range of areas at any IoU threshold, by descending score."""

    frame: np.ndarray
    thresholds: tuple[_Threshold, ...]


class WeightedCoco(WeightedFrames):
    """COCO's twelve scores; of a slice those of all areas, which take half the time."""

    def __init__(self, task: Task, outcomes: CocoOutcomes, areas: Sequence[int] = range(len(AREA_RANGES))) -> None:
        self.num_frames = len(outcomes.positives)
        self._task = task
        # A slice is not cut again, and its outcomes are in its curves.
        self._outcomes = outcomes if len(areas) == len(AREA_RANGES) else None
        self._labelled = outcomes.labelled
        classes = task.num_classes
        bounds = np.searchsorted(outcomes.category, np.arange(classes + 1))
        self._positives = outcomes.positives.astype(float)
        self._areas = areas
        self._curves = [[_curve(outcomes, slice(*bounds[k : k + 2]), a) for a in areas] for k in range(classes)]
        # Of each frame, class and recall: how many are right, added up over the thresholds.
        cell = outcomes.frame * classes + outcomes.category
        found = [(_ALL, limit) for limit in MAX_DETECTIONS] + [(a, MAX_DETECTIONS[-1]) for a in (1, 2, 3)]
        self._recall_areas = [a for a, _ in found]
        self._right = np.stack(
            [
                np.bincount(
                    cell,
                    (outcomes.outcome[a] == CORRECT).sum(axis=0) * (outcomes.rank < limit),
                    self.num_frames * classes,
                ).reshape(self.num_frames, classes)
                for a, limit in found
            ],
            axis=-1,
        )
        self._detections = np.bincount(outcomes.frame, minlength=self.num_frames)

    def frames_with(self, metric: str, name: str) -> int:
        """As of every `WeightedFrames`; of "APs" those with small objects."""
        positives = self._positives[..., _AREAS.get(metric[-1], _ALL)]
        found = positives[:, self._task.names.index(name)] if name else positives.sum(axis=1)
        return int(np.count_nonzero(found))

    def slice(self, frames: np.ndarray) -> "WeightedCoco":
        """As of every `WeightedFrames`."""
        if self._outcomes is None:
            raise ConfigError("a slice of a slice has no scores; take the frames of both from the whole.")
        return WeightedCoco(self._task, self._outcomes.only(frames), [_ALL])

    def scores(self, weights: np.ndarray) -> ToolkitScores:
        """As of every `WeightedFrames`."""
        if self._labelled is not None:
            present = weights @ self._labelled > 0
            if not weights @ self._detections or not present.any():
                return official_detection(self._shown(empty_scores(present)), self._task.names)
        positives = np.tensordot(weights, self._positives, 1)
        right = np.tensordot(weights, self._right, 1)
        recall = np.full(right.shape, np.nan)
        of = positives[:, self._recall_areas]
        np.divide(100 * right, len(IOU_THRESHOLDS) * of, out=recall, where=of > 0)
        precision = np.full((len(self._curves), len(AREA_RANGES), len(IOU_THRESHOLDS)), np.nan)
        for k, curves in enumerate(self._curves):
            for a, curve in zip(self._areas, curves, strict=True):
                if positives[k, a]:
                    precision[k, a] = _average_precision(curve, weights, positives[k, a])
        columns = [
            precision[:, _ALL],
            precision[:, _ALL, _AP50 : _AP50 + 1],
            precision[:, _ALL, _AP75 : _AP75 + 1],
            *(precision[:, a] for a in (1, 2, 3)),
            *recall.T[..., None],
        ]
        values = {metric: _with_mean(column.mean(axis=1)) for metric, column in zip(METRICS, columns, strict=True)}
        return official_detection(self._shown(values), self._task.names)

    def _shown(self, values: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        whole = len(self._areas) == len(AREA_RANGES)
        return {metric: column for metric, column in values.items() if whole or metric[-1] not in "sml"}


def _with_mean(values: np.ndarray) -> np.ndarray:
    """Values (K,) of the classes, and their mean over those that have one."""
    known = values[~np.isnan(values)]
    return np.append(values, known.mean() if known.size else np.nan)


def _curve(outcomes: CocoOutcomes, mine: slice, area: int) -> _Curve:
    outcome = outcomes.outcome[area, :, mine]
    counts = (outcome != 0).any(axis=0)
    right = outcome == CORRECT
    # What comes after the last that is right at any threshold changes nothing.
    last = np.flatnonzero(right.any(axis=0))
    counts[last[-1] + 1 if len(last) else 0 :] = False
    outcome, frame = outcome[:, counts], outcomes.frame[mine][counts]

    thresholds = []
    for row in outcome:
        found, dropped = np.flatnonzero(row == CORRECT), np.flatnonzero(row == UNCOUNTED)
        thresholds.append(_Threshold(found, frame[found], frame[dropped], np.searchsorted(dropped, found)))
    return _Curve(frame, tuple(thresholds))


def _average_precision(curve: _Curve, weights: np.ndarray, positives: float) -> list[float]:
    """COCO's average precision in percent at each IoU threshold, of detections whose frames have weights."""
    total = np.cumsum(weights.take(curve.frame))
    values = []
    for right, right_frames, dropped_frames, dropped_before in curve.thresholds:
        found = np.cumsum(weights.take(right_frames))
        places = np.searchsorted(found, _least(positives))
        places = places[places < len(found)]
        if not len(places):
            values.append(0.0)
            continue
        counted = total.take(right)
        if len(dropped_frames):
            dropped = np.zeros(len(dropped_frames) + 1)
            np.cumsum(weights.take(dropped_frames), out=dropped[1:])
            counted -= dropped.take(dropped_before)
        # A detection of weight 0 that comes first is none.
        np.maximum(counted, np.spacing(1), out=counted)
        precision = np.divide(found, counted, out=counted)
        best = np.maximum.accumulate(np.maximum.reduceat(precision, places)[::-1])
        values.append(100 * float(best.sum()) / len(RECALL_THRESHOLDS))
    return values


def _least(positives: float) -> np.ndarray:
    """(101,) how many must be found for a recall, as COCO takes it: the least number whose share is not below it."""
    least = np.ceil(RECALL_THRESHOLDS * positives)
    least -= (least - 1) / positives >= RECALL_THRESHOLDS
    least += least / positives < RECALL_THRESHOLDS
    return least


class WeightedMasks(WeightedFrames):
    """The official scores of masks and the extra ones, from confusion matrices (F, K, K + 1)."""

    def __init__(self, task: Task, matrices: np.ndarray) -> None:
        self.num_frames = len(matrices)
        self._task = task
        self._shape = matrices.shape[1:]
        # Sums of pixels stay exact in float64 up to 2 ** 53: more than nine billion frames.
        self._flat = matrices.reshape(len(matrices), -1).astype(float)

    def frames_with(self, metric: str, name: str) -> int:
        """As of every `WeightedFrames`."""
        pixels = self._flat.reshape(self.num_frames, *self._shape).sum(axis=2)
        found = pixels[:, self._task.names.index(name)] if name else pixels.sum(axis=1)
        return int(np.count_nonzero(found))

    def slice(self, frames: np.ndarray) -> "WeightedMasks":
        """As of every `WeightedFrames`."""
        return WeightedMasks(self._task, self._flat[frames].reshape(-1, *self._shape))

    def scores(self, weights: np.ndarray) -> ToolkitScores:
        """As of every `WeightedFrames`; of a class that the frames lack NaN stands in place of the official 0."""
        matrix = (weights @ self._flat).reshape(self._shape)
        scores = official_segmentation(self._task, matrix) | extra_segmentation_metrics(self._task, matrix)
        absent = {name for name, row in zip(self._task.names, matrix, strict=True) if not row.any()}
        for value in scores.values():
            if isinstance(value, list):
                value[0] = {name: np.nan if name in absent else each for name, each in value[0].items()}
        return scores


class WeightedSegments(WeightedFrames):
    """The official panoptic scores, from counts that add up."""

    def __init__(self, task: Task, matched: CountedFrames[PanopticCounts]) -> None:
        self.num_frames = len(matched.counted)
        self._task = task
        self._matched = matched
        self._flat = np.stack([np.stack(one) for one in matched.counted]).reshape(self.num_frames, -1).astype(float)

    def frames_with(self, metric: str, name: str) -> int:
        """As of every `WeightedFrames`; a class that is wrongly predicted in a frame counts there."""
        segments = self._flat.reshape(self.num_frames, len(PanopticCounts._fields), -1)[:, 1:].sum(axis=1)
        found = segments[:, self._task.names.index(name)] if name else segments.sum(axis=1)
        return int(np.count_nonzero(found))

    def slice(self, frames: np.ndarray) -> "WeightedSegments":
        """As of every `WeightedFrames`."""
        counted = [one for one, taken in zip(self._matched.counted, frames, strict=True) if taken]
        return WeightedSegments(self._task, CountedFrames([""] * len(counted), counted, self._matched.score))

    def scores(self, weights: np.ndarray) -> ToolkitScores:
        """As of every `WeightedFrames`; of a class that is nowhere NaN stands in place of the official 0."""
        counts = (weights @ self._flat).reshape(len(PanopticCounts._fields), -1)
        scores = self._matched.score([PanopticCounts(*counts)])
        absent = [name for name, row in zip(self._task.names, counts[1:].T, strict=True) if not row.any()]
        # The number of classes is no score.
        kept = {metric: value for metric, value in scores.items() if metric in ("PQ", "SQ", "RQ")}
        for value in kept.values():
            value[0] |= dict.fromkeys(absent, np.nan)
        return kept
