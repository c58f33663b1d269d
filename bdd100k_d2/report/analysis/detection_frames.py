"""Frames with all their boxes: those with the most errors, and whichever are asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...data.labels import FrameAttributes
from ...evaluation.boxes import LabelFlags
from .detection_records import (
    DETECTION_ERRORS,
    ERROR_TYPES,
    MISSED,
    OUTCOMES,
    RIGHT,
    DetectionFrame,
    PredictedBox,
    TruthBox,
)
from .error_types import Outcomes
from .frames import attributes_by_place, find_images, slice_masks, worst_of_each
from .matching import Matches

_FLAG = {1: True, 0: False, -1: None}


def describe_ranking(score_threshold: float, overall: int, each: int) -> str:
    """How :meth:`DetectionFrames.worst` chooses, in words."""
    return (
        f"Frames are ordered by their number of errors of all types at score {score_threshold:g} and above; of equal "
        f"ones the lower F1 is first. Shown are the first {overall:,}, and the {each:,} frames with the most errors of "
        "each class, of each error type, and of each weather, scene and time of day."
    )


class DetectionFrames:
    """The frames of a split, with their errors at a score threshold.

    Boxes are made into records only of the frames that are asked for: of a split of 10,000 they would take a gigabyte.
    """

    def __init__(
        self,
        matches: Matches,
        outcomes: Outcomes,
        flags: LabelFlags,
        names: Sequence[str],
        attributes: Mapping[str, FrameAttributes],
        images: Path | None,
        score_threshold: float,
    ) -> None:
        """Counts the errors of each frame.

        Args:
            matches: of the split.
            outcomes: of its detections.
            flags: of its boxes.
            names: of its frames.
            attributes: of those that have any, by name.
            images: the folder of their images.
            score_threshold: errors below it do not count.
        """
        self._names = names
        self._attributes = attributes_by_place(names, attributes)
        self._images = images
        self._matches = matches
        self._outcomes = outcomes
        self._flags = flags
        self._places = {name: place for place, name in enumerate(names)}

        def count(frames: np.ndarray) -> np.ndarray:
            return np.bincount(frames, minlength=matches.num_frames)

        detections, truth = matches.detections, matches.truth
        by_score = np.lexsort((-detections.score, detections.frame))
        self._detections_by_frame = _ByFrame(detections.frame, by_score, matches.num_frames)
        as_in_file = np.argsort(truth.frame, kind="stable")
        self._truth_by_frame = _ByFrame(truth.frame, as_in_file, matches.num_frames)
        confident = detections.score >= score_threshold
        missed = outcomes.missed(matches, score_threshold)
        kinds = {kind: confident & (outcomes.kind == place) for place, kind in enumerate(OUTCOMES)}
        self._counts = {kind: count(detections.frame[kinds[kind]]) for kind in (*DETECTION_ERRORS, RIGHT)}
        self._counts[MISSED] = count(truth.frame[missed])
        self._errors = np.sum([self._counts[kind] for kind in ERROR_TYPES], axis=0)
        wrong = confident & (outcomes.kind < len(DETECTION_ERRORS))
        self._errors_by_class = [
            count(detections.frame[wrong & (detections.category == k)])
            + count(truth.frame[missed & (truth.category == k)])
            for k in range(matches.num_classes)
        ]
        right = self._counts[RIGHT]
        total = count(detections.frame[wrong]) + right + count(truth.frame[~matches.ignored])
        self._f1 = np.full(matches.num_frames, np.nan)
        np.divide(200 * right, total, out=self._f1, where=total > 0)
        # All frames, the worst first.
        self._order = np.lexsort((np.array(names), np.nan_to_num(self._f1), -self._errors))

    def errors(self) -> dict[str, int]:
        """The number of errors of every frame by its name, the worst first."""
        return {self._names[place]: int(self._errors[place]) for place in self._order.tolist()}

    def worst(self, overall: int, each: int) -> tuple[DetectionFrame, ...]:
        """The first ``overall`` of the worst frames, and ``each`` of each class, error type and slice.

        Frames without an error are not among them.

        Raises:
            DataError: the folder of images does not exist, or a name leads out of it.
        """
        order = self._order[self._errors[self._order] > 0]
        groups = [*self._errors_by_class, *(self._counts[kind] for kind in ERROR_TYPES)]
        groups += [self._errors * mask for mask in slice_masks(self._attributes)]
        return self._make(worst_of_each(order, groups, overall, each).tolist())

    def named(self, names: Sequence[str]) -> tuple[DetectionFrame, ...]:
        """The frames of these names, in their order.

        Raises:
            DataError: the folder of images does not exist, or a name leads out of it.
        """
        return self._make([self._places[name] for name in names])

    def _make(self, places: Sequence[int]) -> tuple[DetectionFrame, ...]:
        images = find_images([self._names[place] for place in places], self._images)
        frames = []
        for place, image in zip(places, images, strict=True):
            truth, predicted = self._boxes(place)
            frames.append(
                DetectionFrame(
                    name=self._names[place],
                    image=image,
                    attributes=self._attributes[place],
                    errors=int(self._errors[place]),
                    counts={kind: int(self._counts[kind][place]) for kind in (*ERROR_TYPES, RIGHT)},
                    f1=float(self._f1[place]),
                    truth=truth,
                    predicted=predicted,
                )
            )
        return tuple(frames)

    def _boxes(self, place: int) -> tuple[tuple[TruthBox, ...], tuple[PredictedBox, ...]]:
        truth, detections, outcomes = self._matches.truth, self._matches.detections, self._outcomes
        true = self._truth_by_frame.of(place)
        found = self._detections_by_frame.of(place)
        true_place = {index: i for i, index in enumerate(true)}
        finder = {
            int(outcomes.truth[index]): i for i, index in enumerate(found) if OUTCOMES[outcomes.kind[index]] == RIGHT
        }
        true_boxes = (
            TruthBox(
                category=int(truth.category[i]),
                corners=_corners(truth.box[i]),
                ignored=bool(self._matches.ignored[i]),
                occluded=_FLAG[int(self._flags.occluded[i])],
                truncated=_FLAG[int(self._flags.truncated[i])],
                found_by=finder.get(i, -1),
                found_score=float(outcomes.found_score[i]),
                blamed_score=float(outcomes.blamed_score[i]),
            )
            for i in true
        )
        predicted_boxes = (
            PredictedBox(
                category=int(detections.category[i]),
                corners=_corners(detections.box[i]),
                score=float(detections.score[i]),
                outcome=OUTCOMES[outcomes.kind[i]],
                truth=true_place.get(int(outcomes.truth[i]), -1),
                iou=float(outcomes.iou[i]),
            )
            for i in found
        )
        return tuple(true_boxes), tuple(predicted_boxes)


class _ByFrame:
    """Finds the rows of a frame in the columns of a split; ``order`` sorts them by ``frame``."""

    def __init__(self, frame: np.ndarray, order: np.ndarray, num_frames: int) -> None:
        self._order = order
        self._bounds = np.searchsorted(frame[order], np.arange(num_frames + 1))

    def of(self, place: int) -> list[int]:
        return self._order[slice(*self._bounds[place : place + 2])].tolist()


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    x, y, width, height = box.tolist()
    return x, y, x + width - 1, y + height - 1
