"""The objects of a data set by their classes, of which those of rare ones are drawn more often, to be pasted."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .class_frequency import draw_class, frame_classes, repeat_factors
from .copy_paste import all_corners


class Place(NamedTuple):
    """An object: the number of the record, and of the annotation in it."""

    record: int
    annotation: int


class ObjectsByClass:
    """Which objects can be pasted: no crowd, none that the border of the image cuts.

    Without masks a rectangle is pasted, which has to have two pixels on each side.

    Args:
        records: in Detectron2's dataset format.
        use_masks: whether masks are pasted.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]], use_masks: bool) -> None:
        found: list[tuple[int, int, int]] = []
        self._classes = []
        for number, record in enumerate(records):
            self._classes.append(frame_classes(record))
            sound = _sound(record, use_masks)
            found += [(number, place, record["annotations"][place]["category_id"]) for place in sound]
        self._found = np.array(found, np.int64).reshape(-1, 3)

    def among(self, indices: np.ndarray, threshold: float) -> "ObjectChoice":
        """A choice among the objects of the records ``indices``, whose frequencies count; see `repeat_factors`."""
        found = self._found[np.isin(self._found[:, 0], indices)]
        factors = repeat_factors([self._classes[index] for index in indices], threshold)
        return ObjectChoice(found, factors)


class ObjectChoice:
    """Draws an object: a class in proportion to ``factors``, then one of its objects, each alike.

    ``found`` are (N, 3) record, annotation and class.
    """

    def __init__(self, found: np.ndarray, factors: Mapping[int, float]) -> None:
        order = np.argsort(found[:, 2], kind="stable")
        self._found, self._factors = found[order], factors
        classes, self._starts = np.unique(found[order, 2], return_index=True)
        self._classes = classes.tolist()

    def draw(self) -> Place | None:
        """An object, by NumPy's generator; None where there is none."""
        if not self._classes:
            return None
        nth = self._classes.index(draw_class(self._classes, self._factors))
        objects = np.split(self._found, self._starts[1:])[nth]
        record, annotation, _ = objects[np.random.randint(len(objects))].tolist()
        return Place(record, annotation)


def _sound(record: Mapping[str, Any], use_masks: bool) -> list[int]:
    annotations = record.get("annotations") or ()
    if not annotations:
        return []
    boxes = all_corners(annotations)
    crowds = np.array([bool(one.get("iscrowd", 0)) for one in annotations])
    width, height = record.get("width", np.inf), record.get("height", np.inf)
    # Within a pixel of the border an object is likely to go on beyond it.
    sound = ~crowds & (boxes[:, :2] >= 1).all(axis=1) & (boxes[:, 2] <= width - 1) & (boxes[:, 3] <= height - 1)
    if not use_masks:
        sound &= (boxes[:, 2:] - boxes[:, :2] >= 2).all(axis=1)
    else:
        sound &= np.array(["segmentation" in one for one in annotations])
    found: list[int] = np.flatnonzero(sound).tolist()
    return found
