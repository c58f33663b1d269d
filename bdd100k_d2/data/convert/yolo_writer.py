"""Frames -> YOLO label files: a line a box, class number, centre and size as fractions of the image.

Inclusive corners become edges (``x2 + 1``, as officially), and boxes are cut off at the edges of the image, because
trainers refuse fractions outside of 0 to 1. Crowds and ignored labels are left out. A frame without boxes gets an empty
file. Predictions have the score as a sixth field.
"""

from collections.abc import Iterable
from pathlib import Path

from pycocotools import mask as coco_mask

from ...errors import DataError
from ...tasks import TASKS
from ..labels import Box2D, Frame, ImageSize, Label
from ..rle import check_rle
from . import dropped as lost
from .classes import TaskClasses
from .dropped import Dropped
from .outputs import Stems, new_folder
from .yolo_classes import CLASSES, add_split, check_data_file

CUT = "boxes reach out of their image and are cut off at its edges"

DIGITS = 8
"""Of a fraction after the point: a hundred-thousandth of a pixel of 1280."""


class YoloWriter:
    """Writes frames as a split of a YOLO data set.

    Args:
        task: det or ins_seg, whose classes are numbered.
        dropped: what YOLO cannot hold is counted here.
        source: the file that the frames are from, for messages.
        size: of images whose frame has none; None raises for them.
    """

    def __init__(self, task: str, dropped: Dropped, source: Path, size: ImageSize | None) -> None:
        self._names, self._dropped, self._source, self._size = list(TASKS[task].names), dropped, source, size
        self._classes = TaskClasses(task, dropped)

    def write(self, frames: Iterable[Frame], root: Path, split: str) -> None:
        """Writes ``root/labels/split/*.txt``, whole or not at all, and ``root/data.yaml``.

        Of a ``data.yaml`` that is there nothing is lost: a split that it does not name is added at its end.

        Raises:
            DataError: a frame without a size, run lengths that do not fit it, or names that cannot be those of files.
            OutputError: a file cannot be written, or ``data.yaml`` has other classes.
        """
        check_data_file(root, self._names)
        folder = root / "labels" / split
        stems = Stems(self._source, folder)
        with new_folder(folder, ".txt", (CLASSES,)) as temporary:
            for frame in frames:
                (temporary / f"{stems.take(frame)}.txt").write_text(self.text(frame))
        add_split(root, split, self._names)

    def text(self, frame: Frame) -> str:
        """The lines of a frame."""
        size = frame.size or self._size
        if size is None:
            raise DataError(
                f"{self._source}: frame {frame.name} has no width and height, of which YOLO's numbers are fractions; "
                "give them with --size 1280x720."
            )
        lost.count_frame(frame, self._dropped)
        return "".join(self._line(frame, label, size) for label in frame.labels or ())

    def _line(self, frame: Frame, label: Label, size: ImageSize) -> str:
        if label.box2d is None and label.rle is None:
            self._dropped.add(lost.NO_BOX)
            return ""
        known = self._classes.find(label.category)
        if known is None:
            return ""
        if known.ignored or label.is_crowd:
            self._dropped.add(lost.CROWDS_LEFT_OUT)
            return ""
        box = label.box2d or self._around_mask(frame, label, size)
        if box is None:
            self._dropped.add(lost.NO_AREA)
            return ""
        left, top, right, bottom = box.x1, box.y1, box.x2 + 1, box.y2 + 1
        if right <= 0 or bottom <= 0 or left >= size.width or top >= size.height:
            self._dropped.add(lost.OUTSIDE)
            return ""
        self._count(label)
        if left < 0 or top < 0 or right > size.width or bottom > size.height:
            self._dropped.add(CUT)
            left, top = max(left, 0), max(top, 0)
            right, bottom = min(right, size.width), min(bottom, size.height)
        fields = (
            (left + right) / 2 / size.width,
            (top + bottom) / 2 / size.height,
            (right - left) / size.width,
            (bottom - top) / size.height,
        )
        score = "" if label.score is None else f" {label.score:.{DIGITS}f}"
        return f"{known.index} " + " ".join(f"{field:.{DIGITS}f}" for field in fields) + f"{score}\n"

    def _around_mask(self, frame: Frame, label: Label, size: ImageSize) -> Box2D | None:
        """The box around a label's mask; None for a mask of nothing."""
        where = f"{self._source}: frame {frame.name}, label {label.id} ({label.category})"
        mask = check_rle(label.rle, (size.height, size.width), where)
        x, y, width, height = coco_mask.toBbox(mask).tolist()
        return Box2D(x, y, x + width - 1, y + height - 1) if width else None

    def _count(self, label: Label) -> None:
        lost.count_attributes(label, self._dropped)
        lost.count_extras(label, self._dropped)
        if label.id is not None:
            self._dropped.add(lost.IDS)
        if label.rle is not None:
            self._dropped.add(lost.MASKS)
