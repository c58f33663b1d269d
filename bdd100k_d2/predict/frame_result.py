"""What is kept of a model's output for one frame: enough for the official files and for drawing it again."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.data import Metadata
from detectron2.structures import Instances
from PIL import Image

from ..data.bitmasks import decode_bitmask
from ..data.categories import IGNORE_LABEL
from ..data.masks import read_mask
from ..drawing.legend import add_legend
from ..drawing.overlay import MIN_SCORE, Classes, Objects, draw_objects, paint_classes, present_classes, visible_classes
from ..errors import ConfigError, DataError
from ..evaluation.results import instance_bitmask, object_columns, panoptic_bitmask, segment_classes
from ..tasks import TASKS

OBJECT_TASKS = ("det", "ins_seg")
"""Whose results are objects with scores."""

PIXEL_FOLDERS = {"sem_seg": "masks", "drivable": "masks", "ins_seg": "bitmasks", "pan_seg": "bitmasks"}
"""The folder of each task that writes a PNG a frame."""


class FrameResult(NamedTuple):
    """The result of a frame of H x W pixels; None for what the task does not have.

    Attributes:
        corners: (N, 4) float64 x1, y1, x2, y2 in pixels, inclusive.
        classes: (N,) int64 class indices.
        scores: (N,) float64, 0 to 1.
        pixels: uint8; (H, W) class ids, or the pixels (H, W, 4) of a bitmask, where instance i has annotation id i + 1.
    """

    corners: np.ndarray | None = None
    classes: np.ndarray | None = None
    scores: np.ndarray | None = None
    pixels: np.ndarray | None = None


class Selection(NamedTuple):
    """What the user wants of the results: objects from this score on, None for all; of these classes, None for all."""

    min_score: float | None = None
    classes: frozenset[int] | None = None


def task_of(metadata: Metadata) -> str:
    """The task of a BDD100K data set.

    Raises:
        ConfigError: another data set.
    """
    task = (metadata.get("evaluator_type", None) or "").removeprefix("bdd100k_")
    if task not in TASKS:
        raise ConfigError(
            f"DATASETS.TEST begins with {metadata.name!r}, which tells no task of BDD100K; the files are those of a "
            f"task: name a set such as bdd100k_det_val. Tasks are {', '.join(TASKS)}."
        )
    return task


def select(task: str, min_score: float | None, class_names: Collection[str] | None) -> Selection:
    """The selection of objects from ``min_score`` on and of classes by name.

    Raises:
        ConfigError: an unknown class, or a score for a task that has none.
    """
    if min_score is not None and task not in OBJECT_TASKS:
        raise ConfigError(f"--score-thr: {task} has no scores; they belong to {' and '.join(OBJECT_TASKS)}.")
    if class_names is None:
        return Selection(min_score)
    known = TASKS[task].names
    unknown = [name for name in class_names if name not in known]
    if unknown:
        raise ConfigError(f"--classes: {task} has no class {unknown[0]!r}; there are {', '.join(known)}.")
    return Selection(min_score, frozenset(map(known.index, class_names)))


def check_output(task: str, output: dict[str, Any]) -> str:
    """The key of a model's output that has the result of ``task``.

    Raises:
        ConfigError: the model gives no such result.
    """
    key = {"det": "instances", "ins_seg": "instances", "pan_seg": "panoptic_seg"}.get(task, "sem_seg")
    if key not in output or (task == "ins_seg" and not output[key].has("pred_masks")):
        raise ConfigError(
            f"DATASETS.TEST is of {task}, but the model gives {', '.join(output)}; take a config of {task}."
        )
    return key


def result_of(task: str, output: dict[str, Any], metadata: Metadata, selection: Selection) -> FrameResult:
    """Takes what the official files hold from a model's output at the frame's size.

    Raises:
        ConfigError: the model gives no such result.
    """
    key = check_output(task, output)
    if key == "instances":
        return _objects(task, output[key], selection)
    if key == "panoptic_seg":
        return _segments(*output[key], metadata, selection)
    ids = output[key].argmax(dim=0).to("cpu", torch.uint8).numpy()
    if selection.classes is not None:
        table = np.full(256, IGNORE_LABEL, np.uint8)
        table[list(selection.classes)] = list(selection.classes)
        ids = table[ids]
    return FrameResult(pixels=ids)


def _objects(task: str, instances: Instances, selection: Selection) -> FrameResult:
    corners, classes, scores = object_columns(instances)
    kept = scores >= (0.0 if selection.min_score is None else selection.min_score)
    if selection.classes is not None:
        kept &= np.isin(classes, list(selection.classes))
    if task == "det":
        return FrameResult(corners[kept], classes[kept], scores[kept])
    order = np.flatnonzero(kept)
    pixels, visible = instance_bitmask(instances.pred_masks.cpu().numpy()[order], scores[order], classes[order])
    order = order[visible]
    return FrameResult(corners[order], classes[order], scores[order], pixels)


def _segments(
    segments: torch.Tensor, infos: list[dict[str, Any]], metadata: Metadata, selection: Selection
) -> FrameResult:
    classes = segment_classes(infos, metadata)
    if selection.classes is not None:
        classes = {segment: k for segment, k in classes.items() if k in selection.classes}
    return FrameResult(pixels=panoptic_bitmask(segments.cpu().numpy(), classes))


def read_pixels(task: str, path: Path) -> np.ndarray:
    """The ``pixels`` of a result that was written to ``path``.

    Raises:
        DataError: the file is missing or damaged.
    """
    if PIXEL_FOLDERS[task] == "masks":
        return read_mask(path)
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, SyntaxError) as error:  # Pillow calls a broken PNG chunk a SyntaxError
        raise DataError(f"{path}: cannot be read again ({error}); start without --resume.") from error


def draw_result(task: str, image: np.ndarray, result: FrameResult, min_score: float = MIN_SCORE) -> np.ndarray:
    """Draws a result on its image, with a legend under it.

    Args:
        task: of the result.
        image: (H, W, 3) uint8, RGB.
        result: of the frame.
        min_score: objects with a lower score are left out.

    Returns:
        (H + h, W, 3) uint8, RGB.
    """
    image = np.ascontiguousarray(image)
    classes = _classes(task)
    if task in OBJECT_TASKS:
        shown = np.flatnonzero(result.scores >= min_score)
        owners = None
        if result.pixels is not None:
            place = np.zeros(len(result.scores) + 1, np.uint16)
            place[shown + 1] = np.arange(1, len(shown) + 1)
            owners = place[decode_bitmask(result.pixels, "the result").instances]
        objects = Objects(result.corners[shown], result.classes[shown], result.scores[shown], owners)
        return add_legend(draw_objects(image, objects, classes), classes, objects.classes.tolist())
    ids, regions = result.pixels, None
    if task == "pan_seg":
        bitmask = decode_bitmask(result.pixels, "the result")
        regions = bitmask.instances
        ids = np.append(IGNORE_LABEL, bitmask.categories - 1).astype(np.uint8)[regions]
    return add_legend(paint_classes(image, ids, classes, regions), classes, present_classes(ids))


def _classes(task: str) -> Classes:
    return visible_classes(TASKS[task].names, TASKS[task].colors)
