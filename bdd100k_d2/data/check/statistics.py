"""What the labels hold, in numbers: boxes by class, size and place, attributes, pixels by class."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from ...tasks import TASKS, Task
from ..labels import HEIGHT, WIDTH
from .boxes import BoxTable, frame_attributes

SIZE_EDGES = 2.0 ** np.arange(0, 10.6, 0.5)
"""Edges of the size histogram: the square root of a box's area, in pixels."""

GRID = (36, 64)
"""Rows and columns of the heat map; a cell is 20 pixels of a released image."""

COCO_EDGES = (32, 96)
"""COCO's small, medium and large boxes are told apart by these roots of their area."""


class BoxStatistics(NamedTuple):
    """The boxes of a split, of K classes.

    Attributes:
        task: whose classes they are of.
        is_released: the labels are those of BDD100K, whose images are of one size.
        classes: (K,) int64 boxes of each class; ignored categories are those they stand for.
        sizes: (K, len(SIZE_EDGES) - 1) int64 boxes of each class by the root of their area.
        small_medium_large: (3,) int64 boxes by COCO's sizes.
        places: `GRID` int64: how many boxes cover the middle of each cell.
        boxes_a_frame: (101,) int64 frames with 0 to 99 boxes, and with more.
        flags: of "occluded", "truncated" and "crowd" how many boxes have it.
        attributes: frames by the value of each attribute.
    """

    task: Task
    is_released: bool
    frames: int
    classes: np.ndarray
    sizes: np.ndarray
    small_medium_large: np.ndarray
    places: np.ndarray
    boxes_a_frame: np.ndarray
    flags: dict[str, int]
    attributes: dict[str, Counter[str]]


class Statistics:
    """Collects statistics: of boxes by split, and of masks by task and split; of own data a split is a data set."""

    def __init__(self) -> None:
        self.boxes: dict[str, BoxStatistics] = {}
        # (K,) int64 pixels of each class, or of bitmasks the instances.
        self.content: dict[tuple[str, str], np.ndarray] = {}
        # Of the content, where the classes are not BDD100K's.
        self._own: dict[tuple[str, str], Task] = {}

    def task_of(self, task: str, split: str) -> Task:
        """The task, with its classes, of what stands in `content` under the same key."""
        return self._own.get((task, split), TASKS[task])

    def add_content(self, task: str, split: str, content: np.ndarray, own: Task | None = None) -> None:
        """Adds what masks hold by class, if anything; ``own`` is the task with other classes than BDD100K's."""
        if content.any():
            self.content[task, split] = content
            if own is not None:
                self._own[task, split] = own

    def add_boxes(self, split: str, table: BoxTable, own: Task | None = None) -> None:
        """Adds the boxes of a label file; unknown categories and degenerate boxes are left out.

        ``own`` is the task that the table's classes are of, where they are not BDD100K's.
        """
        task = TASKS["det"] if own is None else own
        whole = (table.category >= 0) & (table.width_height >= 1).all(axis=1) & np.isfinite(table.corners).all(axis=1)
        category, sides = table.category[whole], table.width_height[whole]
        root = np.sqrt(sides.prod(axis=1))
        size = np.clip(np.searchsorted(SIZE_EDGES, root, "right") - 1, 0, len(SIZE_EDGES) - 2)
        sizes = np.zeros((task.num_classes, len(SIZE_EDGES) - 1), np.int64)
        np.add.at(sizes, (category, size), 1)
        each = np.bincount(table.frame, minlength=len(table.frames))
        given = [label.attributes for label in table.labels if label.attributes is not None]
        self.boxes[split] = BoxStatistics(
            task,
            own is None,
            len(table.frames),
            np.bincount(category, minlength=task.num_classes),
            sizes,
            np.bincount(np.digitize(root, COCO_EDGES), minlength=3),
            _places(table.corners[whole], table.size[table.frame[whole]]),
            np.bincount(np.minimum(each, 100), minlength=101),
            {flag: sum(bool(getattr(one, flag)) for one in given) for flag in ("occluded", "truncated", "crowd")},
            frame_attributes(table.frames),
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, as a file holds it; sizes are in pixels."""
        return {
            "det": {
                split: {
                    "frames": one.frames,
                    "boxes": dict(zip(one.task.names, one.classes.tolist(), strict=True)),
                    "root_area_edges": SIZE_EDGES.round(2).tolist(),
                    "boxes_by_root_area": dict(zip(one.task.names, one.sizes.tolist(), strict=True)),
                    "small_medium_large": one.small_medium_large.tolist(),
                    "boxes_covering_a_cell": one.places.tolist(),
                    "frames_by_boxes": one.boxes_a_frame.tolist(),
                    "flags": one.flags,
                    "attributes": {attribute: dict(counts) for attribute, counts in one.attributes.items()},
                }
                for split, one in self.boxes.items()
            },
            **{
                f"{task}_{split}": dict(zip(self.task_of(task, split).names, content.tolist(), strict=True))
                for (task, split), content in self.content.items()
            },
        }


def _places(corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """How many boxes cover the middle of each cell of `GRID`, laid over images of any size."""
    scale = np.array([WIDTH, HEIGHT]) / np.maximum(size, 1)
    rows, columns = GRID
    cell = np.array([WIDTH / columns, HEIGHT / rows])
    # A cell is covered when the box reaches from before its middle to behind it.
    first = np.ceil(corners[:, :2] * scale / cell - 0.5).astype(int).clip(0, [columns, rows])
    last = np.floor((corners[:, 2:] + 1) * scale / cell - 0.5).astype(int).clip(-1, [columns - 1, rows - 1]) + 1
    seen = (last > first).all(axis=1)
    (x1, y1), (x2, y2) = first[seen].T, last[seen].T
    # Corners of the differences; two running sums fill the boxes between them.
    grid = np.zeros((rows + 1, columns + 1), np.int64)
    for y, x, sign in ((y1, x1, 1), (y1, x2, -1), (y2, x1, -1), (y2, x2, 1)):
        np.add.at(grid, (y, x), sign)
    return grid.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
