"""Frames with all their boxes: those with the most errors, and whichever are asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...data.labels import FrameAttributes
from ...evaluation.boxes import LabelFlags
from .detection_records import DETECTION_ERRORS, ERROR_TYPES, MISSED, RIGHT, DetectionFrame, PredictedBox, TruthBox
from .errors import OUTCOMES, Outcomes
from .gallery import attributes_by_place, find_images, slice_masks, worst_of_each
from .matching import Matches

_FLAG = {1: True, 0: False, -1: None}


class FrameErrors:
    """The errors of each frame at a score threshold."""

    def __init__(self, matches: Matches, outcomes: Outcomes, score_threshold: float) -> None:
        """Counts them."""
        self._matches = matches
        self._outcomes = outcomes
        self._num_frames = matches.num_frames
        detections, truth = matches.detections, matches.truth
        confident = detections.score >= score_threshold
        missed = outcomes.missed(matches, score_threshold)
        kinds = {kind: confident & (outcomes.kind == place) for place, kind in enumerate(OUTCOMES)}
        self.counts = {kind: self._count(detections.frame[kinds[kind]]) for kind in (*DETECTION_ERRORS, RIGHT)}
        self.counts[MISSED] = self._count(truth.frame[missed])
        self.errors = np.sum([self.counts[kind] for kind in ERROR_TYPES], axis=0)
        wrong = confident & (outcomes.kind < len(DETECTION_ERRORS))
        self.by_class = [
            self._count(detections.frame[wrong & (detections.category == k)])
            + self._count(truth.frame[missed & (truth.category == k)])
            for k in range(matches.num_classes)
        ]
        counted = self._count(detections.frame[wrong]) + self.counts[RIGHT]
        total = counted + self._count(truth.frame[~matches.ignored])
        self.f1 = np.full(self._num_frames, np.nan)
        np.divide(200 * self.counts[RIGHT], total, out=self.f1, where=total > 0)

    def _count(self, frames: np.ndarray) -> np.ndarray:
        return np.bincount(frames, minlength=self._num_frames)

    def order(self, names: Sequence[str]) -> np.ndarray:
        """(F,) places of all frames, the worst first."""
        return np.lexsort((np.array(names), np.nan_to_num(self.f1), -self.errors))

    def worst(
        self, names: Sequence[str], attributes: Sequence[FrameAttributes | None], overall: int, each: int
    ) -> np.ndarray:
        """Places of the frames to show, the worst first; frames without an error are not among them."""
        order = self.order(names)
        order = order[self.errors[order] > 0]
        groups = [*self.by_class, *(self.counts[kind] for kind in ERROR_TYPES)]
        groups += [self.errors * mask for mask in slice_masks(attributes)]
        return worst_of_each(order, groups, overall, each)


def describe_ranking(score_threshold: float, overall: int, each: int) -> str:
    """How :meth:`FrameErrors.worst` chooses, in words."""
    return (
        f"Frames are ordered by their number of errors of all types at score {score_threshold:g} and above; of equal "
        f"ones the lower F1 is first. Shown are the first {overall:,}, and the {each:,} frames with the most errors of "
        "each class, of each error type, and of each weather, scene and time of day."
    )


class DetectionFrames:
    """The frames of a split.

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
        self._errors = FrameErrors(matches, outcomes, score_threshold)
        self._boxes = _Boxes(matches, outcomes, flags)
        self._places = {name: place for place, name in enumerate(names)}

    def errors(self) -> dict[str, int]:
        """The number of errors of every frame by its name, the worst first."""
        order = self._errors.order(self._names).tolist()
        return {self._names[place]: int(self._errors.errors[place]) for place in order}

    def worst(self, overall: int, each: int) -> tuple[DetectionFrame, ...]:
        """The first ``overall`` of the worst frames, and ``each`` of each class, error type and slice.

        Raises:
            DataError: no folder of images, or a name that leads out of it.
        """
        return self._make(self._errors.worst(self._names, self._attributes, overall, each).tolist())

    def named(self, names: Sequence[str]) -> tuple[DetectionFrame, ...]:
        """The frames of these names, in their order.

        Raises:
            DataError: no folder of images, or a name that leads out of it.
        """
        return self._make([self._places[name] for name in names])

    def _make(self, places: Sequence[int]) -> tuple[DetectionFrame, ...]:
        names, errors = self._names, self._errors
        images = find_images([names[place] for place in places], self._images)
        return tuple(
            DetectionFrame(
                names[place],
                image,
                self._attributes[place],
                int(errors.errors[place]),
                {kind: int(errors.counts[kind][place]) for kind in (*ERROR_TYPES, RIGHT)},
                float(errors.f1[place]),
                *self._boxes.of_frame(place),
            )
            for place, image in zip(places, images, strict=True)
        )


class _Boxes:
    """Finds the boxes of a frame in the columns of a split."""

    def __init__(self, matches: Matches, outcomes: Outcomes, flags: LabelFlags) -> None:
        self._matches = matches
        self._outcomes = outcomes
        self._flags = flags
        detections = matches.detections
        self._by_frame = np.lexsort((-detections.score, detections.frame))
        self._true_by_frame = np.argsort(matches.truth.frame, kind="stable")
        every = np.arange(matches.num_frames + 1)
        self._bounds = np.searchsorted(detections.frame[self._by_frame], every)
        self._true_bounds = np.searchsorted(matches.truth.frame[self._true_by_frame], every)

    def of_frame(self, place: int) -> tuple[tuple[TruthBox, ...], tuple[PredictedBox, ...]]:
        truth, detections, outcomes = self._matches.truth, self._matches.detections, self._outcomes
        true = self._true_by_frame[slice(*self._true_bounds[place : place + 2])]
        found = self._by_frame[slice(*self._bounds[place : place + 2])]
        true_place = {index: i for i, index in enumerate(true.tolist())}
        finder = {
            int(outcomes.truth[index]): i
            for i, index in enumerate(found.tolist())
            if OUTCOMES[outcomes.kind[index]] == RIGHT
        }
        return (
            tuple(
                TruthBox(
                    int(truth.category[i]),
                    _corners(truth.box[i]),
                    bool(self._matches.ignored[i]),
                    _FLAG[int(self._flags.occluded[i])],
                    _FLAG[int(self._flags.truncated[i])],
                    finder.get(i, -1),
                    float(outcomes.found_score[i]),
                    float(outcomes.blamed_score[i]),
                )
                for i in true.tolist()
            ),
            tuple(
                PredictedBox(
                    int(detections.category[i]),
                    _corners(detections.box[i]),
                    float(detections.score[i]),
                    OUTCOMES[outcomes.kind[i]],
                    true_place.get(int(outcomes.truth[i]), -1),
                    float(outcomes.iou[i]),
                )
                for i in found.tolist()
            ),
        )


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    x, y, width, height = box.tolist()
    return x, y, x + width - 1, y + height - 1
