"""What a path holds, and its frames."""

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError
from ...tasks import TASKS
from ..coco import is_coco, read_coco
from ..folders import files_below, label_files
from ..labels import Frame, ImageSize, Label, each_once
from ..masks import list_masks
from .classes import check_category, guess_task
from .dropped import NO_AREA, Dropped
from .mask_reader import bitmask_task, holds_bitmasks, mask_task, read_bitmasks, read_masks
from .scalabel import has_polygon, read_scalabel
from .yolo_reader import Sizes, find_labels, list_labels, read_classes, read_yolo

SOURCE_KINDS = ("scalabel", "coco", "yolo", "masks", "bitmasks")

# Frames with labels that the task of label files is told from.
_LOOKED_AT = 200


class SourceOptions(NamedTuple):
    """What a reader may have to be told: the task, and of YOLO split, folder of images, size, and file of class names.

    ``size`` is that of all images whose labels do not say.
    """

    task: str | None = None
    split: str | None = None
    images: Path | None = None
    size: ImageSize | None = None
    classes: Path | None = None


class LabelSource(NamedTuple):
    """A path's kind, the task of its labels, None of those without boxes and masks, and its frames, to be taken once.

    ``boxes`` says whether labels have boxes, or masks of objects; ``total`` is the number of frames where it is known.
    """

    kind: str
    task: str | None
    boxes: bool
    frames: Iterator[Frame]
    total: int | None = None


def source_kind(path: Path, split: str | None = None) -> str:
    """The kind of what ``path`` holds, by its content; ``split`` is of a YOLO data set. DataError where it is none."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    if not path.is_dir():
        if path.suffix.lower() == ".png":
            raise DataError(f"{path}: one image; give the folder of the masks.")
        if path.suffix.lower() == ".txt":
            raise DataError(f"{path}: one text file; give the folder of the YOLO labels.")
        return "coco" if is_coco(path) else "scalabel"
    pngs = list(list_masks(path).values())
    if pngs:
        return "bitmasks" if holds_bitmasks(pngs) else "masks"
    with suppress(DataError):
        label_files(path)
        return "scalabel"
    try:
        find_labels(path, split)
    except DataError as error:
        if files_below(path, ".txt"):
            raise
        raise DataError(
            f"{path}: holds no labels; give a .json file, or a folder of .json files, of .txt files (YOLO), or of .png "
            "masks or bitmasks."
        ) from error
    return "yolo"


def open_source(path: Path, kind: str | None, dropped: Dropped, options: SourceOptions) -> LabelSource:
    """Opens labels of a ``kind`` of :data:`SOURCE_KINDS`; None recognises it. Each frame is checked when it is taken.

    Raises:
        DataError: the labels cannot be read, or their kind or task cannot be told.
    """
    kind = kind or source_kind(path, options.split)
    total = None
    if kind in ("masks", "bitmasks"):
        return _open_pngs(path, kind, dropped, options.task)
    if kind == "yolo":
        folder = find_labels(path, options.split)
        total = len(list_labels(folder))
        frames = read_yolo(folder, read_classes(folder, options.classes), Sizes(folder, options.images, options.size))
    else:
        frames = read_coco(path) if kind == "coco" else read_scalabel(path, dropped.add)
    first, frames = _first(_checked(frames, path, dropped))
    labels = [label for frame in first for label in frame.labels or ()]
    task = options.task or guess_task(first, path)
    # Masks of objects have the boxes around them.
    objects = task is not None and TASKS[task].form == "bitmasks"
    boxes = not labels or any(one.box2d is not None or (one.rle is not None and objects) for one in labels)
    return LabelSource(kind, task, boxes, frames, total)


def _open_pngs(path: Path, kind: str, dropped: Dropped, task: str | None) -> LabelSource:
    files = list(list_masks(path).values())
    if not files:
        raise DataError(f"{path}: no .png file in the folder; give the folder of the masks or bitmasks.")
    allowed = [one.name for one in TASKS.values() if one.form == kind]
    tell, read = (mask_task, read_masks) if kind == "masks" else (bitmask_task, read_bitmasks)
    task = task or tell(files)
    if task not in allowed:
        raise DataError(f"{path}: {kind} are of {' or '.join(allowed)}, not of {task}; give another --task or --from.")
    return LabelSource(kind, task, kind == "bitmasks", read(files, task, dropped), len(files))


def _first(frames: Iterator[Frame]) -> tuple[list[Frame], Iterator[Frame]]:
    """The frames up to the 200th with labels, and all frames."""
    first: list[Frame] = []
    labelled = 0
    while labelled < _LOOKED_AT and (frame := next(frames, None)) is not None:
        first.append(frame)
        labelled += bool(frame.labels)
    return first, chain(first, frames)


def _checked(frames: Iterable[Frame], path: Path, dropped: Dropped) -> Iterator[Frame]:
    for frame in each_once(frames, path):
        if frame.labels:
            frame.labels = [label for label in frame.labels if _is_kept(label, frame, path, dropped)]
        yield frame


def _is_kept(label: Label, frame: Frame, path: Path, dropped: Dropped) -> bool:
    """Whether there is anything of a label; a box without an area is taken off it."""
    where = f"{path}: frame {frame.name}, label {label.id}"
    check_category(label.category, where)
    box = label.box2d
    if box is None:
        return True
    width, height = box.x2 - box.x1 + 1, box.y2 - box.y1 + 1
    if not math.isfinite(width * height):
        raise DataError(
            f"{where} ({label.category}): the box ({box.x1:g}, {box.y1:g}) to ({box.x2:g}, {box.y2:g}) is not one of "
            "finite numbers; mend or remove that label."
        )
    if width > 0 and height > 0:
        return True
    # COCO has a box of zeros for a mask of nothing, which is no loss.
    if label.rle is None or width or height:
        dropped.add(NO_AREA)
    label.box2d = None
    return label.rle is not None or has_polygon(label)
