"""The boxes of a detection label file as columns, and what is wrong with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..categories import DET_CLASSES
from ..labels import HEIGHT, WIDTH, Frame, Label
from .finding import EXAMPLES, Findings

SMALL_SIDE = 3
"""In pixels; a box that is narrower or lower is suspicious."""

_CLASS = {name: known.index for name, known in DET_CLASSES.items()}


class BoxTable(NamedTuple):
    """The N labels with a box, in the order of the F frames.

    Attributes:
        frames: (F,) of the label file.
        labels: (N,) with a box.
        frame: (N,) int64 places in ``frames``.
        category: (N,) int64 detection classes; -1 for an unknown category.
        corners: (N, 4) float64 x1, y1, x2, y2 in pixels, inclusive.
        size: (F, 2) int64 width and height of the frames in pixels.
    """

    frames: Sequence[Frame]
    labels: Sequence[Label]
    frame: np.ndarray
    category: np.ndarray
    corners: np.ndarray
    size: np.ndarray

    @property
    def width_height(self) -> np.ndarray:
        """(N, 2) in pixels; inclusive, so a box of one pixel is 1 wide."""
        return self.corners[:, 2:] - self.corners[:, :2] + 1

    def name(self, box: int) -> str:
        """A box in words, for a finding."""
        label, (x1, y1, x2, y2) = self.labels[box], self.corners[box].tolist()
        where = f"{self.frames[self.frame[box]].name}, label {label.id} ({label.category})"
        return f"{where}: ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})"


def box_table(frames: Sequence[Frame]) -> BoxTable:
    """The columns of the frames' boxes."""
    pairs = [(i, label) for i, frame in enumerate(frames) for label in frame.labels or () if label.box2d is not None]
    boxes = [label.box2d for _, label in pairs]
    return BoxTable(
        frames,
        [label for _, label in pairs],
        np.array([i for i, _ in pairs], np.int64),
        np.array([_CLASS.get(label.category, -1) for _, label in pairs], np.int64),
        np.array([(box.x1, box.y1, box.x2, box.y2) for box in boxes], np.float64).reshape(-1, 4),
        np.array(
            [(f.size.width, f.size.height) if f.size is not None else (WIDTH, HEIGHT) for f in frames], np.int64
        ).reshape(-1, 2),
    )


def check_boxes(table: BoxTable, path: Path, findings: Findings) -> None:
    """Finds what is wrong with the boxes of the label file ``path``."""
    unknown = np.flatnonzero(table.category < 0).tolist()
    if unknown:
        # One box of each name tells more than five of the first.
        by_name = {table.labels[box].category: box for box in reversed(unknown)}
        findings.add("unknown category", path, *map(table.name, sorted(by_name.values())), count=len(unknown))
    x1, y1, x2, y2 = table.corners.T
    width, height = table.width_height.T
    frame_width, frame_height = table.size[table.frame].T
    # Comparisons with NaN are false, so NaN is degenerate too.
    whole = (width >= 1) & (height >= 1) & np.isfinite(width + height)
    inside = (x1 < frame_width) & (y1 < frame_height) & (x2 >= 0) & (y2 >= 0)
    # Corners are inclusive, so the last pixel of a row is width - 1; some labels end where the image does.
    within = (x1 >= -1) & (y1 >= -1) & (x2 <= frame_width) & (y2 <= frame_height)
    small = (width < SMALL_SIDE) | (height < SMALL_SIDE)
    for kind, wrong in (
        ("degenerate box", ~whole),
        ("box outside of the image", whole & ~inside),
        ("box beyond the border", whole & inside & ~within),
        ("small box", whole & small),
    ):
        _add(kind, np.flatnonzero(wrong), table, path, findings)
    same_class, other_class = _repeated(table)
    _add("duplicate box", same_class, table, path, findings)
    _add("box of two classes", other_class, table, path, findings)


def _repeated(table: BoxTable) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that stand in the same place as another one of their frame: of the same class, and of another."""
    if len(table.labels) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    corners = table.corners.round(2)
    order = np.lexsort((table.category, *corners.T, table.frame))
    frame, category, corners = table.frame[order], table.category[order], corners[order]
    same_place = (frame[1:] == frame[:-1]) & (corners[1:] == corners[:-1]).all(axis=1)
    same_class = category[1:] == category[:-1]
    later = order[1:]
    return np.sort(later[same_place & same_class]), np.sort(later[same_place & ~same_class])


def _add(kind: str, boxes: np.ndarray, table: BoxTable, path: Path, findings: Findings) -> None:
    if boxes.size:
        findings.add(kind, path, *(table.name(box) for box in boxes[:EXAMPLES]), count=boxes.size)
