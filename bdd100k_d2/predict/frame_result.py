"""What is kept of a model's output for one frame: enough for the official files and for drawing it again."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..data.bitmasks import decode_bitmask, encode_bitmask, read_bitmask
from ..data.categories import IGNORE_LABEL
from ..data.masks import read_mask
from ..drawing import overlay
from ..drawing.legend import add_legend
from ..errors import ConfigError, DataError, shown
from ..evaluation.prediction_files import (
    as_array,
    class_ids,
    instance_bitmask,
    object_columns,
    panoptic_bitmask,
    segment_classes,
    wrong_classes,
)
from ..tasks import Task

if TYPE_CHECKING:
    from detectron2.structures import Instances
    from torch import Tensor

    from ..evaluation.array_instances import ArrayInstances

_ANEW = "It is of an earlier start: give --overwrite in place of --resume."

Wanted = frozenset[int] | None
"""Indices of the classes that the user wants; None for all."""


class FrameResult(NamedTuple):
    """The result of a frame of H x W pixels; what the task does not have is empty.

    Attributes:
        corners: (N, 4) float64 x1, y1, x2, y2 in pixels, inclusive.
        classes: (N,) int64 class indices.
        scores: (N,) float64, 0 to 1.
        pixels: uint8; (H, W) class ids, or the pixels (H, W, 4) of a bitmask, where instance i has annotation id i + 1.
    """

    corners: np.ndarray = np.empty((0, 4))
    classes: np.ndarray = np.empty(0, np.int64)
    scores: np.ndarray = np.empty(0)
    pixels: np.ndarray = np.empty((0, 0), np.uint8)


def class_indices(task: Task, names: Collection[str] | None) -> Wanted:
    """The classes of a task by their names.

    Raises:
        ConfigError: the task has no class of such a name.
    """
    if names is None:
        return None
    known = task.names
    unknown = [name for name in names if name not in known]
    if unknown:
        there = ", ".join(map(shown, known))
        raise ConfigError(f"--classes: {task.name} has no class {shown(repr(unknown[0]))}; there are {there}.")
    return frozenset(map(known.index, names))


def output_key(task: Task, output: dict[str, Any]) -> str:
    """The key of a model's output that has the result of ``task``.

    Raises:
        ConfigError: the model gives no such result, or one with classes that the task has not.
    """
    key = "instances" if task.has_scores else "sem_seg" if task.form == "masks" else "panoptic_seg"
    if key not in output or (task.has_scores and task.form != "boxes" and not output[key].has("pred_masks")):
        raise ConfigError(
            f"DATASETS.TEST is of {task.name}, but the model gives {', '.join(output)}; take a config of {task.name}."
        )
    wrong = wrong_classes(task, output[key])
    if wrong is not None:
        there = ", ".join(map(shown, task.names))
        raise ConfigError(
            f"the model gives {wrong}, but DATASETS.TEST begins with a set of {task.num_classes} classes: {there}; put "
            "a set with the classes of the model there."
        )
    return key


def result_of(task: Task, output: dict[str, Any], min_score: float = 0.0, classes: Wanted = None) -> FrameResult:
    """What the official files hold of a model's output at the frame's size, as Detectron2 or a model file gives it.

    Objects of a lower score, and objects and segments of other classes, are left out; pixels of other classes in a mask
    become `IGNORE_LABEL`.

    Raises:
        ConfigError: the model gives no such result, or classes that the task has not.
    """
    found = output[output_key(task, output)]
    if task.has_scores:
        return _objects(found, task, min_score, classes)
    if task.form == "bitmasks":
        return _segments(found, task, classes)
    ids = class_ids(found)
    if classes is not None:
        table = np.full(256, IGNORE_LABEL, np.uint8)
        table[list(classes)] = list(classes)
        ids = table[ids]
    return FrameResult(pixels=ids)


def _objects(instances: "Instances | ArrayInstances", task: Task, min_score: float, wanted: Wanted) -> FrameResult:
    corners, classes, scores = object_columns(instances)
    kept = scores >= min_score
    if wanted is not None:
        kept &= np.isin(classes, list(wanted))
    order = np.flatnonzero(kept)
    if task.form == "boxes":
        return FrameResult(corners[order], classes[order], scores[order])
    masks: Any = instances.pred_masks
    pixels, visible = instance_bitmask(as_array(masks)[order], scores[order], classes[order])
    order = order[visible]
    return FrameResult(corners[order], classes[order], scores[order], pixels)


def _segments(found: "tuple[Tensor | np.ndarray, list[dict[str, Any]]]", task: Task, wanted: Wanted) -> FrameResult:
    segments, infos = found
    classes = {i: k for i, k in segment_classes(infos, task).items() if wanted is None or k in wanted}
    return FrameResult(pixels=panoptic_bitmask(as_array(segments), classes, task))


def read_pixels(task: Task, path: Path) -> np.ndarray:
    """The ``pixels`` of a result that was written to ``path``.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return read_mask(path) if task.form == "masks" else encode_bitmask(read_bitmask(path))
    except DataError as error:
        raise DataError(f"{error} {_ANEW}") from error


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def draw_result(task: Task, image: np.ndarray, result: FrameResult, min_score: float = overlay.MIN_SCORE) -> np.ndarray:
    """Draws a result on its image, (H, W, 3) uint8, RGB, with a legend under it: (H + h, W, 3).

    Objects of a lower score are left out.

    Raises:
        DataError: a result that an earlier start has written is not of the image, or does not fit its scores.
    """
    image, classes = np.ascontiguousarray(image), overlay.classes_of_task(task)
    if task.form != "boxes" and result.pixels.shape[:2] != image.shape[:2]:
        raise DataError(f"a result has {_size(result.pixels)} pixels, its frame {_size(image)}. {_ANEW}")
    if task.has_scores:
        shown = np.flatnonzero(result.scores >= min_score)
        owners = None
        if task.form == "bitmasks":
            place = np.zeros(len(result.scores) + 1, np.uint16)
            place[shown + 1] = np.arange(1, len(shown) + 1)
            bitmask = decode_bitmask(result.pixels, "the result")
            if len(bitmask.ids) != len(result.scores):
                raise DataError(f"a result has {len(bitmask.ids)} instances and {len(result.scores)} scores. {_ANEW}")
            owners = place[bitmask.instances]
        objects = overlay.Objects(result.corners[shown], result.classes[shown], result.scores[shown], owners)
        drawn, present = overlay.draw_objects(image, objects, classes), objects.classes.tolist()
    elif task.form == "bitmasks":
        bitmask = decode_bitmask(result.pixels, "the result")
        # Category 0 is "unlabeled".
        class_of = {segment: k - 1 for segment, k in enumerate(bitmask.categories.tolist(), start=1) if k}
        drawn, present = overlay.draw_segments(image, bitmask.instances, class_of, classes)
    else:
        drawn, present = overlay.draw_classes(image, result.pixels, classes), overlay.present_classes(result.pixels)
    return add_legend(drawn, classes, present)
