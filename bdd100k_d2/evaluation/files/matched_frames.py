"""What every task's ground truth and predictions become before they are scored: frames matched by name."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from ...data.image_names import frame_names, image_stem, plain_name
from ...errors import DataError, shown
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
        DataError: there is no ground truth, not one frame is in both, or one that is missing in the one may be one of
            the other, but for the folders in its name.
    """
    known, given = set(truth), set(predicted)
    names = sorted(known)
    if not names:
        raise DataError(f"{truth_path}: no frame of ground truth in it; give the labels of a split.")
    if not given:
        raise DataError(f"{predicted_path}: no frame in it; give the predictions of the frames in {truth_path}.")
    missing, extra = known - given, given - known
    _check_folders(known, extra, truth_path, predicted_path)
    _check_folders(given, missing, predicted_path, truth_path)
    if not known & given:
        raise DataError(
            f"{predicted_path}: none of the {len(given):,} predicted frames is in {truth_path} ({min(given)} against "
            f"{names[0]}); are these predictions of another split or another task?"
        )
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


def _check_folders(names: Collection[str], unmatched: Collection[str], path: Path | str, of: Path | str) -> None:
    """Raises DataError if an ``unmatched`` frame is one of ``names`` by its file name, and has folders before it."""
    stems = {image_stem(name): name for name in names} if unmatched else {}
    for name in sorted(unmatched):
        parts = image_stem(plain_name(name)).split("__")
        for i in range(1, len(parts)):
            other = stems.get("__".join(parts[i:]))
            if other is not None:
                raise DataError(
                    f"{of}: frame {shown(name)} may be {shown(other)} of {path}, as images of one name are told apart "
                    "by their folders; give both of the same images, so that they are named alike."
                )


def named_as_truth(truth: Collection[str], predicted: Sequence[str], predicted_path: Path | str) -> list[str]:
    """The names of predicted frames, in their order, where one differs in its ending alone as the ground truth has it.

    So does one whose folders the ground truth has with "/" and the other as `frame_names`. A warning counts them.

    Raises:
        DataError: two predicted frames would be one of the ground truth.
    """
    known = set(truth)
    strange = [name for name in predicted if name not in known]
    if not strange:
        return [*predicted]
    by_key: dict[str, list[str]] = {}
    for name, key in zip(truth, frame_names(truth), strict=True):
        by_key.setdefault(image_stem(key), []).append(name)
    taken = {name: name for name in predicted if name in known}
    renamed: dict[str, str] = {}
    for name in strange:
        found = by_key.get(image_stem(plain_name(name)), ())
        if len(found) != 1:
            continue
        other = taken.setdefault(found[0], name)
        if other != name:
            raise DataError(
                f"{predicted_path}: frames {shown(other)} and {shown(name)} are both {found[0]} of the ground truth; "
                "remove one of the two."
            )
        renamed[name] = found[0]
    if renamed:
        first = next(iter(renamed))
        logger.warning(
            "%s: %d frames are named otherwise than in the ground truth, and matched without the endings of their "
            "images; the first is %s for %s.",
            predicted_path,
            len(renamed),
            shown(first),
            shown(renamed[first]),
        )
    return [renamed.get(name, name) for name in predicted]
