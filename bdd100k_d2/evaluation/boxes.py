"""Frames of labels -> the columns that the detection metrics take."""

from collections.abc import Iterable, Sequence

import numpy as np

from ..data.categories import det_class
from ..data.labels import Frame
from ..errors import DataError
from .metrics.detection import Detections, GroundTruth


def ground_truth_columns(frames: Iterable[Frame], names: Sequence[str]) -> GroundTruth:
    """Columns of the ground truth.

    Args:
        frames: of a label file; all their names are in ``names``.
        names: of the frames, sorted, as the toolkit orders them; a frame's index is its place here.

    Raises:
        DataError: an unknown category.
    """
    frame, category, box, labels = _columns(frames, names)
    crowd = np.fromiter(
        (det_class(label.category).ignored or label.is_crowd for label in labels),
        bool,
        len(labels),
    )
    return GroundTruth(frame, category, box, crowd)


def detection_columns(frames: Iterable[Frame], names: Sequence[str]) -> Detections:
    """Columns of predictions; arguments as in :func:`ground_truth_columns`.

    Raises:
        DataError: an unknown category, or a label without a score.
    """
    frames = list(frames)
    frame, category, box, labels = _columns(frames, names)
    for each in frames:
        for label in each.labels or ():
            if label.box2d is not None and label.score is None:
                raise DataError(f"frame {each.name}: prediction {label.id} ({label.category}) has no score.")
    score = np.fromiter((label.score for label in labels), np.float64, len(labels))
    return Detections(frame, category, box, score)


def _columns(frames: Iterable[Frame], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, list]:
    index = {name: i for i, name in enumerate(names)}
    frame, category, corners, labels = [], [], [], []
    for each in frames:
        if each.name not in index:
            raise DataError(f"frame {each.name} is not in the ground truth; are these predictions of another split?")
        place = index[each.name]
        for label in each.labels or ():
            if label.box2d is None:
                continue
            try:
                known = det_class(label.category)
            except DataError as error:
                raise DataError(f"frame {each.name}, label {label.id}: {error}") from None
            frame.append(place)
            category.append(known.index)
            corners.append((label.box2d.x1, label.box2d.y1, label.box2d.x2, label.box2d.y2))
            labels.append(label)
    box = np.array(corners, np.float64).reshape(-1, 4)
    # Inclusive corners: the order of the operations is the toolkit's, so that the last bit is too.
    box[:, 2:] = box[:, 2:] - box[:, :2] + 1
    return np.array(frame, np.int64), np.array(category, np.int64), box, labels
