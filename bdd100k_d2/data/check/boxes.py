"""Detection labels: is every frame there, with an image, a known vintage, known attributes and sound boxes?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import DataError, shown
from ...tasks import Task
from ..categories import DET_CLASSES
from ..image_names import check_file_name
from ..labels import HEIGHT, WIDTH, Frame, Label
from ..slices import FRAME_ATTRIBUTES
from ..vintages import Vintage, read_labels
from .official import BOXES_2018, VAL_FRAMES
from .report import EXAMPLES, Findings, without_path

SMALL_SIDE = 3
"""In pixels; a box that is narrower or lower is suspicious."""

_CLASS = {name: known.index for name, known in DET_CLASSES.items()}


class BoxTable(NamedTuple):
    """The N labels with a box, in the order of the F frames.

    ``frame`` (N,) are places in ``frames``, ``category`` (N,) classes, -1 for an unknown one, ``corners``
    (N, 4) x1, y1, x2, y2 in pixels, inclusive, and ``size`` (F, 2) width and height in pixels.
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
        return np.asarray(self.corners[:, 2:] - self.corners[:, :2] + 1)

    def name(self, box: int) -> str:
        """A box in words, for a finding."""
        label, (x1, y1, x2, y2) = self.labels[box], self.corners[box].tolist()
        where = f"{self.frames[self.frame[box]].name}, label {shown(label.id)} ({shown(label.category)})"
        return f"{where}: ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})"


def box_table(frames: Sequence[Frame], class_of: Mapping[str, int] = _CLASS) -> BoxTable:
    """The columns of the frames' boxes; ``class_of`` has the class of each category."""
    labelled = [(i, label) for i, frame in enumerate(frames) for label in frame.labels or ()]
    found = [(i, label, box) for i, label in labelled if (box := label.box2d) is not None]
    sizes = [(WIDTH, HEIGHT) if frame.size is None else (frame.size.width, frame.size.height) for frame in frames]
    return BoxTable(
        frames,
        [label for _, label, _ in found],
        np.array([i for i, _, _ in found], np.int64),
        np.array([class_of.get(label.category or "", -1) for _, label, _ in found], np.int64),
        np.array([(box.x1, box.y1, box.x2, box.y2) for _, _, box in found], np.float64).reshape(-1, 4),
        np.array(sizes, np.int64).reshape(-1, 2),
    )


def check_boxes(table: BoxTable, path: Path, findings: Findings, least: float = 1) -> None:
    """Finds what is wrong with the boxes of the label file ``path``; those below ``least`` pixels are degenerate."""
    unknown = np.flatnonzero(table.category < 0).tolist()
    # One box of each name tells more than five of the first.
    by_name = {table.labels[box].category: box for box in reversed(unknown)}
    findings.add("unknown category", path, *map(table.name, sorted(by_name.values())), count=len(unknown))
    x1, y1, x2, y2 = table.corners.T
    width, height = table.width_height.T
    frame_width, frame_height = table.size[table.frame].T
    # Comparisons with NaN are false, so NaN is degenerate too.
    whole = (width >= least) & (height >= least) & np.isfinite(width + height)
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
    findings.add(kind, path, *(table.name(box) for box in boxes[:EXAMPLES]), count=boxes.size)


class DetLabels(NamedTuple):
    """What a detection label file, or a folder of them, holds; the labels of its classes without a box in words."""

    path: Path
    vintage: Vintage
    boxes: BoxTable
    without_box: Sequence[str]


def read_det(path: Path, findings: Findings, kind: str = "unusable label file") -> DetLabels | None:
    """Reads detection labels; None, and a finding of ``kind``, where they cannot be used."""
    try:
        frames, vintage = read_labels(path)
    except DataError as error:
        findings.add(kind, path, without_path(error, path))
        return None
    without_box = [
        f"{frame.name}, label {shown(label.id)} ({shown(label.category)})"
        for frame in frames
        for label in frame.labels or ()
        if label.box2d is None and label.category in _CLASS
    ]
    return DetLabels(path, vintage, box_table(frames), without_box)


def check_det(labels: DetLabels, task: Task, split: str, findings: Findings) -> None:
    """Finds what is wrong with detection labels, apart from their images."""
    path, frames = labels.path, labels.boxes.frames
    if labels.vintage is not Vintage.DET_20:
        what = "no category tells" if labels.vintage is Vintage.SCALABEL else f"vintage {labels.vintage.value}"
        findings.add("not det_20", path, what)
    check_boxes(labels.boxes, path, findings)
    findings.add("label without a box", path, *labels.without_box[:EXAMPLES], count=len(labels.without_box))
    check_names(frames, path, findings)
    findings.add("frame without objects", path, *(frame.name for frame in frames if not frame.labels))
    check_attributes(frames, path, findings)
    if len(frames) == task.counts[split].frames:
        _check_counts(labels, split, findings)


def check_names(frames: Sequence[Frame], path: Path, findings: Findings) -> None:
    """Finds names that lead out of the folder of images."""
    for frame in frames:
        try:
            check_file_name(frame.name, "it")
        except DataError:
            findings.add("bad frame name", path, repr(frame.name))


def frame_attributes(frames: Sequence[Frame]) -> dict[str, Counter[str]]:
    """How many frames have each value of each attribute."""
    given = [frame.attributes for frame in frames if frame.attributes is not None]
    return {
        attribute: Counter(value for one in given if (value := getattr(one, attribute)) is not None)
        for attribute in FRAME_ATTRIBUTES
    }


def check_attributes(frames: Sequence[Frame], path: Path, findings: Findings) -> None:
    """Finds frames without attributes, and values that no slice is by."""
    findings.add("frame without attributes", path, *(frame.name for frame in frames if frame.attributes is None))
    for frame in frames:
        for attribute, values in FRAME_ATTRIBUTES.items():
            value = getattr(frame.attributes, attribute, None)
            if value is not None and value not in values:
                findings.add("unknown attribute value", path, f"{frame.name}: {attribute} {value!r}")


def _check_counts(labels: DetLabels, split: str, findings: Findings) -> None:
    """Of a file with all frames of the release, compares what else is known of it."""
    if split == "val":
        for attribute, found in frame_attributes(labels.boxes.frames).items():
            _compare(f"{attribute} {{}}", found, VAL_FRAMES[attribute], labels.path, findings)
    if labels.vintage is Vintage.LISTS_2018 and split in BOXES_2018:
        found = Counter(label.category or "" for label in labels.boxes.labels)
        _compare("boxes of {}", found, BOXES_2018[split], labels.path, findings)


def _compare(what: str, found: Mapping[str, int], official: Mapping[str, int], path: Path, findings: Findings) -> None:
    for value, count in official.items():
        if found.get(value, 0) != count:
            text = f"{what.format(value)}: {found.get(value, 0):,}, released {count:,}"
            findings.add("other counts than released", path, text)
