"""What the graph of a model file gives for a batch -> the output of each of its frames.

The graph takes ``image``, (N, H, W, 3) uint8, RGB. By the form of the task's results it gives

* ``boxes`` (D, 4) x1, y1, x2, y2 in pixels of the frame, ``scores`` (D,), ``classes`` (D,) and ``counts`` (N,): the
  detections of the first frame come first, and D is the sum of the counts;
* for bitmasks the same and ``masks`` (D, H, W) bool;
* for masks, and for panoptic models too, ``sem_seg`` (N, H, W) class ids.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import WeightsError
from ..evaluation.array_instances import ArrayInstances
from ..tasks import Task
from .model_card import PanopticThresholds
from .panoptic_merge import merge_panoptic

INPUT_NAME = "image"

_OBJECTS = ("boxes", "scores", "classes", "counts")


def output_names(task: Task) -> tuple[str, ...]:
    """The names of the graph's outputs for a task, in their order."""
    if task.form == "masks":
        return ("sem_seg",)
    masks = () if task.form == "boxes" else ("masks",)
    return (*_OBJECTS, *masks, *(() if task.has_scores else ("sem_seg",)))


def frame_outputs(
    arrays: Sequence[np.ndarray],
    task: Task,
    shape: tuple[int, ...],
    thresholds: PanopticThresholds | None,
    where: str,
) -> list[dict[str, Any]]:
    """The output of each frame of a batch of ``shape`` (N, H, W, 3), as `ModelFile` says.

    ``arrays`` are those of :func:`output_names`; ``thresholds`` are of a panoptic model.

    Raises:
        WeightsError: they are not of that batch, or of classes that the task has not; it begins with ``where``.
    """
    named = dict(zip(output_names(task), arrays, strict=True))
    count, (height, width) = shape[0], shape[1:3]
    objects = _instances(named, task, shape, where) if "boxes" in named else None
    ids = None
    if "sem_seg" in named:
        ids = named["sem_seg"]
        # Of a panoptic model id 0 is all things, and the classes of stuff count from 1.
        classes = task.num_classes if objects is None else 1 + sum(not one.is_thing for one in task.categories)
        _check(ids.shape == (count, height, width), "sem_seg", ids, shape, where)
        _check_classes(ids, classes, where)
        ids = ids.astype(np.uint8, copy=False)
    outputs: list[dict[str, Any]] = []
    for index in range(count):
        output: dict[str, Any] = {}
        if ids is not None:
            output["sem_seg"] = ids[index]
        if objects is not None:
            output["instances"] = objects[index]
        if ids is not None and objects is not None and thresholds is not None:
            output["panoptic_seg"] = merge_panoptic(objects[index], ids[index], thresholds)
        outputs.append(output)
    return outputs


def _instances(named: dict[str, np.ndarray], task: Task, shape: tuple[int, ...], where: str) -> list[ArrayInstances]:
    boxes, scores, classes, counts = (named[name] for name in _OBJECTS)
    total = len(boxes)
    _check(counts.shape == shape[:1] and int(counts.sum()) == total, "counts", counts, shape, where)
    _check(boxes.shape == (total, 4), "boxes", boxes, shape, where)
    for name, array in (("scores", scores), ("classes", classes)):
        _check(array.shape == (total,), name, array, shape, where)
    masks = named.get("masks")
    if masks is not None:
        _check(masks.shape == (total, *shape[1:3]), "masks", masks, shape, where)
    things = task.num_classes if task.has_scores else sum(one.is_thing for one in task.categories)
    _check_classes(classes, things, where)
    ends = np.cumsum(counts).tolist()
    parts = [slice(end - number, end) for end, number in zip(ends, counts.tolist(), strict=True)]
    return [
        ArrayInstances(
            (shape[1], shape[2]),
            boxes[part].astype(np.float32, copy=False),
            scores[part].astype(np.float32, copy=False),
            classes[part].astype(np.int64, copy=False),
            None if masks is None else masks[part].astype(bool, copy=False),
        )
        for part in parts
    ]


def _check(good: bool, name: str, found: np.ndarray, shape: tuple[int, ...], where: str) -> None:
    if not good:
        raise WeightsError(
            f"{where}: its output {name} is {found.dtype} {found.shape} for images {shape}, which is not what "
            "tools/export.py writes; export the model with it."
        )


def _check_classes(ids: np.ndarray, classes: int, where: str) -> None:
    if ids.size and not 0 <= ids.min() <= ids.max() < classes:
        wrong = int(ids.max()) if ids.max() >= classes else int(ids.min())
        raise WeightsError(
            f"{where}: gives class {wrong} (counted from 0), but has {classes} classes by what is known of it; tell "
            "the classes that it was trained on, or export it again."
        )
