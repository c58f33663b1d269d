"""Frames -> YOLO label files: one line per box with class number, centre and size as fractions of the image.

Inclusive corners become edges (``x2 + 1``, as officially), and boxes are cut off at the edges of the image, because
trainers refuse fractions outside of 0 to 1. Crowds and ignored labels are left out. A frame without boxes gets an empty
file. Predictions have the score as a sixth field. Ultralytics looks for the images at ``images/<split>``, beside
``labels``, and for splits and class names in ``data.yaml``.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import yaml
from pycocotools import mask as coco_mask

from ...atomic import write_atomic
from ...errors import DataError, OutputError, shown
from ...tasks import TASKS
from ...yaml_file import parse_yaml
from ..folders import visible_files
from ..labels import Box2D, Frame, ImageSize, Label
from ..rle import check_rle
from . import dropped as lost
from .classes import TaskClasses
from .dropped import Dropped
from .outputs import new_folder, with_stems
from .yolo_classes import DATA, read_classes
from .yolo_parts import is_label_name

logger = logging.getLogger(__name__)

_CUT = "boxes reach out of their image and are cut off at its edges"


class YoloWriter:
    """Writes frames of the file ``source``, each with its size, as a split of a YOLO data set with a task's classes."""

    def __init__(self, task: str, dropped: Dropped, source: Path) -> None:
        self._names, self._dropped, self._source = list(TASKS[task].names), dropped, source
        self._classes = TaskClasses(task, dropped)

    def write(self, frames: Iterable[Frame], root: Path, split: str) -> None:
        """Writes ``root/labels/split/*.txt``, whole or not at all, and ``root/data.yaml``.

        Of a ``data.yaml`` that is there nothing is lost: a split that it does not name is added at its end.

        Raises:
            DataError: run lengths do not fit the image, or names cannot be those of label files.
            OutputError: a file cannot be written, or ``data.yaml`` has other classes.
        """
        path = root / DATA
        if os.path.exists(path) and read_classes(root, path) != self._names:  # noqa: PTH110, which knows no bad names
            raise OutputError(f"{path}: has other classes than these labels; write them to another folder.")
        folder = root / "labels" / split
        with new_folder(folder, lambda path: is_label_name(path.name) and path.is_file()) as temporary:
            for frame, stem in with_stems(frames, self._source, folder):
                if not is_label_name(f"{stem}.txt"):
                    raise DataError(
                        f"{self._source}: frame {frame.name}: no reader takes {stem}.txt for labels; rename the frame."
                    )
                (temporary / f"{stem}.txt").write_text(self._text(frame))
        _add_split(root, split, self._names)

    def _text(self, frame: Frame) -> str:
        height, width = frame.height_width
        size = ImageSize(width, height)
        self._dropped.add_frame(frame)
        return "".join(self._line(frame, label, size) for label in frame.labels or ())

    def _line(self, frame: Frame, label: Label, size: ImageSize) -> str:
        box, rle = label.box2d, label.rle
        if box is None and rle is None:
            self._dropped.add(lost.NO_BOX)
            return ""
        known = self._classes.find(label.category)
        if known is None:
            return ""
        if known.ignored or label.is_crowd:
            self._dropped.add(lost.CROWDS_LEFT_OUT)
            return ""
        if box is None and rle is not None:
            where = f"{self._source}: frame {frame.name}, label {shown(label.id)} ({shown(label.category)})"
            x, y, width, height = coco_mask.toBbox(check_rle(rle, (size.height, size.width), where)).tolist()
            # The mask may be one of nothing.
            box = Box2D.of_size(x, y, width, height) if width else None
        if box is None:
            self._dropped.add(lost.NO_AREA)
            return ""
        left, top, right, bottom = box.x1, box.y1, box.x2 + 1, box.y2 + 1
        if right <= 0 or bottom <= 0 or left >= size.width or top >= size.height:
            self._dropped.add(lost.OUTSIDE)
            return ""
        self._count(label)
        if left < 0 or top < 0 or right > size.width or bottom > size.height:
            self._dropped.add(_CUT)
            left, top = max(left, 0), max(top, 0)
            right, bottom = min(right, size.width), min(bottom, size.height)
        fields = (
            (left + right) / 2 / size.width,
            (top + bottom) / 2 / size.height,
            (right - left) / size.width,
            (bottom - top) / size.height,
        )
        numbers = fields if label.score is None else (*fields, label.score)
        return f"{known.id} {' '.join(map(_text, numbers))}\n"

    def _count(self, label: Label) -> None:
        self._dropped.add_attributes(label)
        self._dropped.add_polygon(label)
        if label.id is not None:
            self._dropped.add(lost.IDS)
        if label.rle is not None:
            self._dropped.add(lost.MASKS)


def _text(number: float) -> str:
    """A number with so many digits that corners come back as they were, or the fewer that most numbers have."""
    text = f"{number:.14f}"
    return text[:-6] if text.endswith("000000") else text


def _add_split(root: Path, split: str, names: list[str]) -> None:
    """Writes ``data.yaml`` with the splits that ``root`` has now; to one that is there only adds ``split``.

    Such a file is its user's: what it says of a split, its other keys and its comments stay. Where a line at its end
    would say something else, it is left alone, with a warning.
    """
    path = root / DATA
    if not path.exists():
        splits = sorted(entry.name for entry in visible_files(root / "labels") if entry.is_dir())
        document = {split: f"images/{split}" for split in splits} | {"names": dict(enumerate(names))}
        write_atomic(path, yaml.safe_dump(document, sort_keys=False))
        return
    text = path.read_bytes().decode()
    before = parse_yaml(text)
    if split in before:
        return
    line = yaml.safe_dump({split: f"images/{split}"})
    longer = text + ("" if text.endswith("\n") else "\n") + line
    try:
        fits = parse_yaml(longer) == before | {split: f"images/{split}"}
    except (yaml.YAMLError, ValueError, TypeError, AttributeError):
        fits = False
    if fits:
        write_atomic(path, longer)
    else:
        logger.warning("%s: names no split %s, and none could be added; add %s", path, split, line.strip())
