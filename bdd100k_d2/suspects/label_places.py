"""Which label of its file each box is, in the order of the columns of boxes, and what the file calls the classes."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ..data.labels import Frame, FrameAttributes, Label, without_collection
from ..data.other_classes import leave_out_others
from ..data.vintages import read_labels
from ..evaluation.boxes import stated_sizes
from ..tasks import Task
from .records import LabelPlace


class LabelledBoxes(NamedTuple):
    """The boxes of a label file.

    Attributes:
        frames: the names of their frames.
        places: which label of its frame each is.
        attributes: of all frames that have any, by name, in the order of the file.
        class_names: what the file calls each class: the name that it has most often.
        sizes: the height and width in pixels of the frames that state it, by name.
    """

    frames: list[str]
    places: list[LabelPlace]
    attributes: dict[str, FrameAttributes]
    class_names: tuple[str, ...]
    sizes: dict[str, tuple[int, int]]


def labelled_boxes(path: Path, task: Task) -> LabelledBoxes:
    """The boxes of a label file or folder, of which those of other classes than the own ones of a task are none."""
    with without_collection():
        frames = read_labels(path).frames
        places = {id(label): place for frame in frames for place, label in enumerate(frame.labels or ())}
        leave_out_others(frames, task)
        boxed = [(frame, label) for frame in frames for label in frame.labels or () if label.box2d is not None]
        return LabelledBoxes(
            [frame.name for frame, _ in boxed],
            [LabelPlace(places[id(label)], _as_text(label.id), label.category) for _, label in boxed],
            {frame.name: frame.attributes for frame in frames if frame.attributes is not None},
            _class_names(boxed, task),
            stated_sizes(frames),
        )


def _as_text(label_id: str | int | float | None) -> str | None:
    # A browser rounds numbers beyond 2^53.
    return None if label_id is None else str(label_id)


def _class_names(boxed: list[tuple[Frame, Label]], task: Task) -> tuple[str, ...]:
    names = [*task.names]
    # The least often first, so that the last of each class is its most often.
    for name, _ in reversed(Counter(label.category for _, label in boxed).most_common()):
        known = task.label_classes.get(name or "")
        if known is not None and not known.ignored:
            names[known.index] = name or ""
    return tuple(names)
