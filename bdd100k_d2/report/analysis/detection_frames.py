"""Frames with all their boxes: those with the most errors, and whichever are asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...data.labels import FrameAttributes
from ...evaluation.boxes import LabelFlags
from .detection_records import DETECTION_ERRORS, OUTCOMES, RIGHT, DetectionFrame, PredictedBox, TruthBox
from .error_types import Outcomes
from .frames import attributes_by_place, find_images, slice_masks, worst_of_each
from .matching import Matches


class DetectionFrames:
    """The frames ``names`` of a split, with their errors at a score threshold.

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
        self._names = names
        self._attributes = attributes_by_place(names, attributes)
        self._images = images
        self._matches = matches
        self._outcomes = outcomes
        self._flags = flags
        self._places = {name: place for place, name in enumerate(names)}

        def count(frames: np.ndarray) -> np.ndarray:
            return np.bincount(frames, minlength=matches.num_frames)

        def by_frame(frame: np.ndarray, order: np.ndarray) -> list[np.ndarray]:
            return np.split(order, np.searchsorted(frame[order], np.arange(1, matches.num_frames)))

        detections, truth = matches.detections, matches.truth
        by_score = np.lexsort((-detections.score, detections.frame))
        self._detections_by_frame = by_frame(detections.frame, by_score)
        self._truth_by_frame = by_frame(truth.frame, np.argsort(truth.frame, kind="stable"))
        confident = detections.score >= score_threshold
        missed = outcomes.missed(matches, score_threshold)
        wrong = confident & (outcomes.kind < len(DETECTION_ERRORS))
        frames = np.concatenate([detections.frame[wrong], truth.frame[missed]])
        categories = np.concatenate([detections.category[wrong], truth.category[missed]])
        self._errors = count(frames)
        by_class = [count(frames[categories == k]) for k in range(matches.num_classes)]
        by_type = [count(detections.frame[wrong & (outcomes.kind == kind)]) for kind in range(len(DETECTION_ERRORS))]
        self._by_class_and_type = [*by_class, *by_type, count(truth.frame[missed])]
        right = count(detections.frame[confident & (outcomes.kind == OUTCOMES.index(RIGHT))])
        total = count(detections.frame[wrong]) + right + count(truth.frame[~matches.ignored])
        # All frames, the worst first.
        self._order = np.lexsort((np.array(names), right / np.maximum(total, 1), -self._errors))

    def errors(self) -> dict[str, int]:
        """The number of errors of every frame by its name, the worst first."""
        return {self._names[place]: int(self._errors[place]) for place in self._order.tolist()}

    def worst(self, overall: int, each: int) -> tuple[DetectionFrame, ...]:
        """The first ``overall`` of the worst frames, and ``each`` of each class, error type and slice.

        Frames without an error are not among them.

        Raises:
            DataError: a name leads out of the folder of images.
        """
        order = self._order[self._errors[self._order] > 0]
        of_slices = [self._errors * mask for mask in slice_masks(self._attributes)]
        return self._make(worst_of_each(order, [*self._by_class_and_type, *of_slices], overall, each).tolist())

    def named(self, names: Sequence[str]) -> tuple[DetectionFrame, ...]:
        """The frames of these names, in their order.

        Raises:
            DataError: a name leads out of the folder of images.
        """
        return self._make([self._places[name] for name in names])

    def _make(self, places: Sequence[int]) -> tuple[DetectionFrame, ...]:
        images = find_images([self._names[place] for place in places], self._images)
        return tuple(self._frame(place, image) for place, image in zip(places, images, strict=True))

    def _frame(self, place: int, image: Path | None) -> DetectionFrame:
        truth, detections, outcomes = self._matches.truth, self._matches.detections, self._outcomes
        true = self._truth_by_frame[place].tolist()
        true_place = {index: i for i, index in enumerate(true)}
        true_boxes = (
            TruthBox(
                category=int(truth.category[i]),
                corners=_corners(truth.box[i]),
                ignored=bool(self._matches.ignored[i]),
                occluded=bool(self._flags.occluded[i] > 0),
                truncated=bool(self._flags.truncated[i] > 0),
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
            for i in self._detections_by_frame[place].tolist()
        )
        return DetectionFrame(
            name=self._names[place],
            image=image,
            attributes=self._attributes[place],
            truth=tuple(true_boxes),
            predicted=tuple(predicted_boxes),
        )


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    x, y, width, height = box.tolist()
    return x, y, x + width - 1, y + height - 1
