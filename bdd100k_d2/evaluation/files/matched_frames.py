"""What every task's ground truth and predictions become before they are scored: frames matched by name."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from ...errors import DataError
from ..toolkit_format import ToolkitScores

logger = logging.getLogger(__name__)

Counted = TypeVar("Counted")


class MatchedFrames(ABC):
    """Ground truth and predictions of a task, counted frame by frame, ready to be scored as a whole or in part."""

    names: Sequence[str]
    """The frames of the ground truth, or their files, sorted; a mask over them chooses a slice."""

    @abstractmethod
    def toolkit_scores(self, frames: np.ndarray | None = None) -> ToolkitScores:
        """The official scores of all frames, or of those where ``frames`` (F,) bool is true."""

    def extra_metrics(self, frames: np.ndarray | None = None) -> ToolkitScores:
        """Scores that the official tool does not have, under names that say what they are; most tasks have none."""
        return {}


@dataclass(frozen=True, eq=False)
class CountedFrames(MatchedFrames, Generic[Counted]):
    """What was counted in each frame, in the order of ``names``, and the function that makes official scores of it."""

    names: Sequence[str]
    counted: Sequence[Counted]
    score: Callable[[Sequence[Counted]], ToolkitScores]

    def toolkit_scores(self, frames: np.ndarray | None = None) -> ToolkitScores:
        """The official scores, as of every `MatchedFrames`."""
        if frames is None:
            return self.score(self.counted)
        return self.score([counted for counted, taken in zip(self.counted, frames, strict=True) if taken])


def match_frames(
    truth: Collection[str], predicted: Collection[str], truth_path: Path | str, predicted_path: Path | str
) -> list[str]:
    """Matches predictions to the frames of the ground truth, by name, as the official tool does.

    A frame without a prediction counts as an empty prediction, and a prediction of another frame is left out; one
    warning each counts them and names the first.

    Returns:
        The names of the ground truth's frames, sorted.

    Raises:
        DataError: there is no ground truth, or not one frame is in both.
    """
    known, given = set(truth), set(predicted)
    names = sorted(known)
    if not names:
        raise DataError(f"{truth_path}: no frame of ground truth in it; give the labels of a split.")
    if not given:
        raise DataError(f"{predicted_path}: no frame in it; give the predictions of the frames in {truth_path}.")
    if not known & given:
        raise DataError(
            f"{predicted_path}: none of the {len(given):,} predicted frames is in {truth_path} ({min(given)} against "
            f"{names[0]}); are these predictions of another split or another task?"
        )
    missing, extra = known - given, given - known
    if missing:
        logger.warning(
            "%s: %d of %d frames have no prediction and count as empty; the first is %s.",
            predicted_path,
            len(missing),
            len(names),
            min(missing),
        )
    if extra:
        logger.warning(
            "%s: %d predicted frames are not in the ground truth and are left out; the first is %s.",
            predicted_path,
            len(extra),
            min(extra),
        )
    return names
