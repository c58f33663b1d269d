"""Parts of a frame that are predicted magnified, and their objects put together again; NumPy and OpenCV alone.

Far objects are small, and a model finds few of those. A slice has the frame's proportions, so that it is magnified to
the frame's size, whatever the model makes of that size. The frame itself is always predicted too: large objects, which
a slice cuts, are found there. (Akyon et al., Slicing Aided Hyper Inference, ICIP 2022, has the idea.)
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import ConfigError, shown
from ..evaluation.array_instances import ArrayInstances
from ..tasks import TASKS, Task

OVERLAP = 0.2
"""The share of a slice that the next one has too, unless somebody says so: enough for an object of 140 pixels."""

_MOST_SLICES = 64
_MOST_OVERLAP = 0.9
# An object that ends so close to where a slice is cut may go on there; in pixels of the magnified slice.
_AT_BORDER = 2.0
# What is larger, as a share of the frame's height and the square root of its area, a slice leaves to the frame: COCO's
# large objects, from 96 pixels on of BDD100K's 720. Magnified, they are larger than any that the model was trained on.
_LARGEST = 96 / 720
# Detectron2's limit of one object: boxes of a class from two parts of a frame that overlap more are the same one.
_SAME_IOU = 0.5


class Slices(NamedTuple):
    """How a frame is cut: ``columns`` beside each other, ``rows`` above each other, and how they overlap."""

    columns: int
    rows: int
    overlap: float = OVERLAP

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows}, overlap {self.overlap:g}"


def parse_slices(text: str, overlap: float = OVERLAP) -> Slices:
    """The slices of a text such as "2x1": columns by rows.

    Raises:
        ConfigError: the text is no such thing, or the overlap not from 0 to 0.9.
    """
    found = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", text)
    if found is None or int(found[1]) * int(found[2]) > _MOST_SLICES:
        raise ConfigError(
            f"--slices {shown(text)}: give columns by rows, as 2x1 or 3x2, {_MOST_SLICES} slices at most."
        )
    if not 0 <= overlap <= _MOST_OVERLAP:
        raise ConfigError(
            f"a slice overlap of {overlap:g}: give the share that two slices have in common, 0 to {_MOST_OVERLAP}."
        )
    return Slices(int(found[1]), int(found[2]), overlap)


def check_sliceable(task: Task) -> None:
    """Raises ConfigError for a task whose results are no objects that could be put together from slices."""
    if not task.has_scores:
        scored = " and ".join(one.name for one in TASKS.values() if one.has_scores)
        raise ConfigError(
            f"--slices: objects of several slices are put together by their scores, which {scored} have; {task.name} "
            "gives each pixel one class, and no score to choose by. Leave --slices out."
        )


class Window(NamedTuple):
    """A part of a frame: the columns ``left`` to ``right`` and the rows ``top`` to ``bottom``, which are not in it."""

    left: int
    top: int
    right: int
    bottom: int


def windows(height: int, width: int, slices: Slices) -> list[Window]:
    """The slices of a frame of that size, row by row; none where one slice would be the whole frame.

    All have the frame's proportions. In the direction with more slices they reach from edge to edge; in the other they
    lie in the middle, where far things are: "2x1" leaves out what is high up and what is close.
    """
    most = max(slices.columns, slices.rows)
    share = 1 / (most - (most - 1) * slices.overlap)
    # No smaller than their share, or there would be gaps; but what is whole stays whole in spite of its last bit.
    tile_height, tile_width = (math.ceil(side * share - 1e-9) for side in (height, width))
    if tile_height >= height and tile_width >= width:
        return []
    tops = _starts(height, tile_height, slices.rows, slices.overlap)
    lefts = _starts(width, tile_width, slices.columns, slices.overlap)
    return [Window(left, top, left + tile_width, top + tile_height) for top in tops for left in lefts]


def _starts(side: int, tile: int, count: int, overlap: float) -> list[int]:
    step = min(tile * (1 - overlap), (side - tile) / max(count - 1, 1))
    first = (side - tile - step * (count - 1)) / 2
    return [round(first + step * i) for i in range(count)]


def magnified(image: np.ndarray, window: Window) -> np.ndarray:
    """A window of an image (H, W, 3) uint8 in the size of the whole."""
    part = np.ascontiguousarray(image[window.top : window.bottom, window.left : window.right])
    height, width = image.shape[:2]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)


class _Part(NamedTuple):
    """The objects of the frame or of a slice in the frame's pixels, and their places in what the model gave."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    places: np.ndarray


def merged(size: tuple[int, int], cut: Sequence[Window], found: Sequence[ArrayInstances]) -> ArrayInstances:
    """Puts together the objects of a frame of ``size`` (H, W) and of its slices, by descending score.

    ``found`` are those of the whole frame, then of each of the magnified windows ``cut``. What ends at an inner border
    of a slice is cut there, and left out: the frame has it whole; so is what is large. Of objects of one class in two
    parts of the frame that overlap by an IoU of more than 0.5 the one of the higher score stays, as in NMS; those of
    one part are the model's own, which has settled them.
    """
    frame = Window(0, 0, size[1], size[0])
    kept = [_placed(one, window, size) for one, window in zip(found, [frame, *cut], strict=True)]
    part = np.repeat(np.arange(len(kept)), [len(one.scores) for one in kept])
    boxes, scores, classes, places = (np.concatenate(columns) for columns in zip(*kept, strict=True))
    chosen = different(boxes, scores, classes, part)
    masks = None
    if found[0].pred_masks is not None:
        masks = np.zeros((len(chosen), *size), bool)
        for i, j in enumerate(chosen.tolist()):
            _place_mask(masks[i], found[part[j]].pred_masks[places[j]], [frame, *cut][part[j]])
    return ArrayInstances(size, boxes[chosen].astype(np.float32), scores[chosen], classes[chosen], masks)


def _placed(found: ArrayInstances, window: Window, size: tuple[int, int]) -> _Part:
    height, width = size
    whole = np.array([width, height, width, height], float)
    boxes = found.pred_boxes.astype(float)
    inner = np.array([window.left > 0, window.top > 0, window.right < width, window.bottom < height])
    near = np.column_stack([boxes[:, :2] <= _AT_BORDER, boxes[:, 2:] >= whole[2:] - _AT_BORDER])
    left, top, right, bottom = window
    factor = np.array([right - left, bottom - top] * 2) / whole
    boxes = boxes * factor + [left, top, left, top]
    is_whole = ~(near & inner).any(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
    is_small = (area <= (_LARGEST * height) ** 2) | (not inner.any())
    places = np.flatnonzero(is_whole & is_small)
    boxes = boxes[places]
    return _Part(boxes, found.scores[places], found.pred_classes[places], places)


def different(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The places of the objects that stay, by descending score: NMS by class, but between two parts alone.

    ``boxes`` (N, 4) are x1, y1, x2, y2; ``part`` (N,) says which part of the frame each object was found in. Of equal
    scores the earlier comes first.
    """
    order = np.argsort(-scores, kind="stable")
    boxes, classes, part = boxes[order], classes[order], part[order]
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
    stays = np.ones(len(order), bool)
    for i in range(len(order)):
        if not stays[i]:
            continue
        others = i + 1 + np.flatnonzero(stays[i + 1 :] & (classes[i + 1 :] == classes[i]) & (part[i + 1 :] != part[i]))
        sides = np.minimum(boxes[i, 2:], boxes[others, 2:]) - np.maximum(boxes[i, :2], boxes[others, :2])
        shared = sides.clip(0).prod(axis=1)
        stays[others[shared > _SAME_IOU * (area[i] + area[others] - shared)]] = False
    return order[stays]


def _place_mask(target: np.ndarray, mask: np.ndarray, window: Window) -> None:
    """Draws a mask of the magnified window into ``target``, (H, W) bool, that of the frame."""
    left, top, right, bottom = window
    if (bottom - top, right - left) == mask.shape:
        target[:] = mask
        return
    # A pixel of the frame is of the object where most of those of the magnified slice are that lie on it.
    small = cv2.resize(mask.astype(np.uint8) * 255, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    target[top:bottom, left:right] = small > 127
