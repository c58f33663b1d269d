"""Frames of labels -> columns of boxes, the form in which detections are scored."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from ..data.labels import Box2D, Frame, Label, LabelAttributes
from ..errors import DataError, shown
from ..tasks import TASKS, Task
from .metrics.detection import Detections, GroundTruth

_NO_ATTRIBUTES = LabelAttributes()
_LARGEST_CORNER = 1e100
_FLAG = {True: 1, False: 0, None: -1}


class Boxes(NamedTuple):
    """The boxes of a set of frames as columns of length N, in the order of the frames.

    Attributes:
        names: of all frames, also of those without boxes.
        frame: (N,) int64 indices into ``names``.
        category: (N,) int64 class indices; aliases and ignored classes are those that they stand for.
        corners: (N, 4) float64 x1, y1, x2, y2 in pixels, inclusive.
        score: (N,) float64, NaN for a box without one.
        without_box: the number of labels that have no box, and so are not here.
        sizes: (height, width) in pixels of the frames that state it, by name.
        other_classes: the number of labels of other classes than the own ones of a task, by category.
    """

    names: list[str]
    frame: np.ndarray
    category: np.ndarray
    corners: np.ndarray
    score: np.ndarray
    without_box: int = 0
    sizes: Mapping[str, tuple[int, int]] = {}
    other_classes: Mapping[str, int] = {}

    @property
    def xywh(self) -> np.ndarray:
        """(N, 4) x, y, width, height in pixels; the order of the operations is the toolkit's, to the last bit."""
        boxes: np.ndarray = self.corners.copy()
        # Column by column: NumPy goes through pairs of columns in steps of two numbers.
        for first, size in ((0, 2), (1, 3)):
            boxes[:, size] -= boxes[:, first]
            boxes[:, size] += 1
        return boxes

    def renamed(self, names: list[str]) -> "Boxes":
        """The same with other names of the frames, in their order."""
        new = dict(zip(self.names, names, strict=True))
        return self._replace(names=names, sizes={new[name]: size for name, size in self.sizes.items()})

    def places(self, names: Sequence[str]) -> np.ndarray:
        """(N,) int64 places of the boxes' frames in ``names``; -1 for a frame that is not there."""
        index = {name: i for i, name in enumerate(names)}
        places: np.ndarray = np.array([index.get(name, -1) for name in self.names], np.int64)[self.frame]
        return places

    def sorted(self) -> "Boxes":
        """The same with the frames in the order of their names; boxes keep their order within a frame."""
        order = np.array(sorted(range(len(self.names)), key=self.names.__getitem__), np.int64)
        place = np.argsort(order)[self.frame]
        by_place = np.argsort(place, kind="stable")
        return Boxes(
            [self.names[i] for i in order],
            place[by_place],
            self.category[by_place],
            self.corners[by_place],
            self.score[by_place],
            self.without_box,
            self.sizes,
            self.other_classes,
        )

    def detections(self, names: Sequence[str]) -> Detections:
        """The boxes as detections in the frames ``names``; those in other frames are left out."""
        place = self.places(names)
        kept = place >= 0
        if kept.all():
            return Detections(place, self.category, self.xywh, self.score)
        return Detections(place[kept], self.category[kept], self.xywh[kept], self.score[kept])


class LabelFlags(NamedTuple):
    """What else is known of each box of ground truth, as columns of length N.

    Attributes:
        crowd: bool; marked as crowd or as ignored, or of an ignored class.
        occluded: int8, as ``truncated``: 1 for true, 0 for false, -1 where the label file does not say.
    """

    crowd: np.ndarray
    occluded: np.ndarray
    truncated: np.ndarray


def ground_truth_columns(
    frames: Sequence[Frame],
    names: Sequence[str],
    source: str | os.PathLike[str] = "ground truth",
    task: Task = TASKS["det"],
) -> tuple[GroundTruth, LabelFlags]:
    """Columns of the ground truth; a frame's index is its place in ``names``, sorted, as the toolkit orders them.

    Raises:
        DataError: an unknown category.
    """
    labels = _boxed(frames)
    boxes = _columns(frames, labels, np.full(len(labels), np.nan), source, task)
    attributes = [label.attributes or _NO_ATTRIBUTES for label in labels]
    ignored: dict[str | None, bool] = {name: known.ignored for name, known in task.label_classes.items()}
    flags = LabelFlags(
        np.array([ignored[label.category] for label in labels], np.bool_)
        | np.array([bool(one.crowd or one.ignored) for one in attributes], np.bool_),
        np.array([_FLAG[one.occluded] for one in attributes], np.int8),
        np.array([_FLAG[one.truncated] for one in attributes], np.int8),
    )
    return GroundTruth(boxes.places(names), boxes.category, boxes.xywh, flags.crowd), flags


def predicted_boxes(
    frames: Sequence[Frame], source: str | os.PathLike[str] = "predictions", task: Task = TASKS["det"]
) -> Boxes:
    """Columns of predictions.

    Raises:
        DataError: an unknown category, or a box without a score; the message names the frame.
    """
    labels = _boxed(frames)
    boxes = _columns(frames, labels, np.array([label.score for label in labels], np.float64), source, task)
    missing = np.flatnonzero(np.isnan(boxes.score))
    if len(missing):
        label = labels[missing[0]]
        raise DataError(
            f"{source}: frame {boxes.names[boxes.frame[missing[0]]]}: prediction {shown(label.id)} "
            f"({shown(label.category)}) has no "
            "score; write a finite number between 0 and 1."
        )
    return boxes


def join_boxes(parts: Sequence[Boxes]) -> Boxes:
    """The boxes of all parts, one after the other."""
    if not parts:
        return _columns([], [], np.empty(0), "", TASKS["det"])
    starts = np.cumsum([0, *(len(part.names) for part in parts[:-1])])
    return Boxes(
        [name for part in parts for name in part.names],
        np.concatenate([part.frame + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.category for part in parts]),
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.score for part in parts]),
        sum(part.without_box for part in parts),
        {name: size for part in parts for name, size in part.sizes.items()},
        sum((Counter(part.other_classes) for part in parts), Counter[str]()),
    )


def stated_sizes(frames: Sequence[Frame]) -> dict[str, tuple[int, int]]:
    """(height, width) in pixels of the frames that state it, by name."""
    return {frame.name: (frame.size.height, frame.size.width) for frame in frames if frame.size is not None}


def _boxed(frames: Sequence[Frame]) -> list[Label]:
    return [label for frame in frames for label in frame.labels or () if label.box2d is not None]


def _columns(
    frames: Sequence[Frame], labels: Sequence[Label], score: np.ndarray, source: str | os.PathLike[str], task: Task
) -> Boxes:
    """Columns of ``labels``, which are those of ``frames`` that have a box, in order, and their ``score`` (N,)."""
    counts = [len(frame.labels or ()) for frame in frames]
    without_box = sum(counts) - len(labels)
    if without_box:
        counts = [sum(label.box2d is not None for label in frame.labels or ()) for frame in frames]
    places = np.repeat(np.arange(len(frames)), counts)
    classes: dict[str | None, int] = {name: known.index for name, known in task.label_classes.items()}
    try:
        category = [classes[label.category] for label in labels]
    except KeyError:
        i, label = next((i, label) for i, label in enumerate(labels) if label.category not in classes)
        task.class_of(label.category, f"{source}: frame {shown(frames[places[i]].name)}, label {shown(label.id)}")
        raise
    corners = _corners([label.box2d for label in labels])  # type: ignore[misc]  # all of them have a box
    # Area and overlap of larger ones are no numbers.
    if len(corners) and not -_LARGEST_CORNER < corners.min() <= corners.max() < _LARGEST_CORNER:
        i = int(np.flatnonzero(~(np.abs(corners) < _LARGEST_CORNER).all(axis=1))[0])
        box = ", ".join(f"{corner:g}" for corner in corners[i])
        raise DataError(
            f"{source}: frame {shown(frames[places[i]].name)}, label {shown(labels[i].id)}: the box ({box}) is none in "
            "pixels; mend or remove that label."
        )
    names, sizes = [frame.name for frame in frames], stated_sizes(frames)
    return Boxes(names, places, np.array(category, np.int64), corners, score, without_box, sizes)


# A box in MessagePack, if its corners are floats: a byte, and of each corner the name in three bytes, a byte that says
# float64, and the number.
_PACKED_CORNER = np.dtype({"names": ["kind", "value"], "formats": ["u1", ">f8"], "offsets": [3, 4], "itemsize": 12})
_PACKED_BOX = np.dtype({"names": ["corners"], "formats": [(_PACKED_CORNER, 4)], "offsets": [1], "itemsize": 49})
_FLOAT64 = 0xCB


def _corners(boxes: Sequence[Box2D]) -> np.ndarray:
    """(N, 4) float64 x1, y1, x2, y2; by way of MessagePack they are there in half the time that asking each box takes.

    Decoded labels have floats; frames made in memory may have whole numbers, which are packed otherwise.
    """
    count = len(boxes)
    try:
        packed = msgspec.msgpack.encode(boxes)
    except TypeError:
        # Numbers of NumPy's.
        packed = b""
    # How the length of the list is written depends on it.
    start = 1 if count < 1 << 4 else 3 if count < 1 << 16 else 5
    if len(packed) == start + count * _PACKED_BOX.itemsize:
        corners = np.frombuffer(packed, _PACKED_BOX, count, start)["corners"]
        if (corners["kind"] == _FLOAT64).all():
            return corners["value"].astype(np.float64)
    return np.array([(box.x1, box.y1, box.x2, box.y2) for box in boxes], np.float64).reshape(-1, 4)
