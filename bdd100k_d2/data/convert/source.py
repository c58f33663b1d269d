"""What a path holds, and its frames."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError
from ..folders import files_below, label_files
from ..labels import Frame, ImageSize, Label
from .classes import check_category, guess_task
from .coco_reader import is_coco, read_coco
from .dropped import NO_AREA, Dropped
from .mask_reader import bitmask_task, holds_bitmasks, list_pngs, mask_task, read_bitmasks, read_masks
from .scalabel import has_polygon, read_scalabel
from .yolo_classes import find_labels, list_labels, read_classes
from .yolo_reader import Sizes, read_yolo

KINDS = ("scalabel", "coco", "yolo", "masks", "bitmasks")

# Whose masks are of single objects, at least in part.
_OBJECTS = ("ins_seg", "pan_seg")

# Frames with labels that the task of label files is told from.
_LOOKED_AT = 200


class Options(NamedTuple):
    """What a reader may have to be told.

    Attributes:
        task: of the labels; None tells it from them.
        split: of a YOLO data set.
        images: folder of the images of YOLO labels, whose sizes are read.
        size: of all images, where labels do not say.
        classes: file with the class names of YOLO labels.
    """

    task: str | None = None
    split: str | None = None
    images: Path | None = None
    size: ImageSize | None = None
    classes: Path | None = None


class Source(NamedTuple):
    """A path's kind, one of :data:`KINDS`, the task of its labels, and its frames, to be taken once.

    The task is None of labels that have neither boxes nor masks. ``boxes`` says whether labels have boxes, or masks of
    objects.
    """

    kind: str
    task: str | None
    boxes: bool
    frames: Iterator[Frame]


def recognise(path: Path, split: str | None = None) -> str:
    """The kind of what ``path`` holds, by its content; ``split`` is of a YOLO data set.

    Raises:
        DataError: it does not exist, or it is of no kind.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    if not path.is_dir():
        if path.suffix.lower() == ".png":
            raise DataError(f"{path}: one image; give the folder of the masks.")
        if path.suffix.lower() == ".txt":
            raise DataError(f"{path}: one text file; give the folder of the YOLO labels.")
        return "coco" if is_coco(path) else "scalabel"
    pngs = list_pngs(path)
    if pngs:
        return "bitmasks" if holds_bitmasks(pngs) else "masks"
    if label_files(path):
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


def open_source(path: Path, kind: str | None, dropped: Dropped, options: Options) -> Source:
    """Opens labels of any kind. Each frame is checked when it is taken.

    Args:
        path: a file or a folder.
        kind: one of :data:`KINDS`; None recognises it.
        dropped: what a reader leaves out is counted here.
        options: what the reader may have to be told.

    Raises:
        DataError: the labels cannot be read, or their kind or task cannot be told.
    """
    kind = kind or recognise(path, options.split)
    if kind in ("masks", "bitmasks"):
        return _open_pngs(path, kind, dropped, options.task)
    if kind == "yolo":
        folder = find_labels(path, options.split)
        frames = read_yolo(folder, read_classes(folder, options.classes), Sizes(folder, options.images, options.size))
    elif kind == "coco":
        frames = read_coco(path)
    else:
        if path.is_dir() and not label_files(path):
            raise DataError(
                f"{path}: no .json file in the folder or in the folders in it; give the folder of the labels."
            )
        frames = read_scalabel(path)
    first, frames = _first(_checked(frames, path, dropped))
    labels = [label for frame in first for label in frame.labels or ()]
    task = options.task or guess_task(first, path)
    # Masks of objects have the boxes around them.
    boxes = not labels or any(one.box2d is not None or (one.rle is not None and task in _OBJECTS) for one in labels)
    return Source(kind, task, boxes, frames)


def count_frames(path: Path, source: Source) -> int | None:
    """How many frames a source has where that is known without reading it: one a file."""
    if source.kind in ("masks", "bitmasks"):
        return len(list_pngs(path))
    return len(list_labels(path)) or None if source.kind == "yolo" else None


def _open_pngs(path: Path, kind: str, dropped: Dropped, task: str | None) -> Source:
    files = list_pngs(path)
    if not files:
        raise DataError(f"{path}: no .png file in the folder; give the folder of the masks or bitmasks.")
    allowed, tell = (("sem_seg", "drivable"), mask_task) if kind == "masks" else (("ins_seg", "pan_seg"), bitmask_task)
    task = task or tell(files)
    if task not in allowed:
        raise DataError(f"{path}: {kind} are of {' or '.join(allowed)}, not of {task}; give another --task or --from.")
    read = read_masks if kind == "masks" else read_bitmasks
    return Source(kind, task, kind == "bitmasks", read(files, task, dropped))


def _first(frames: Iterator[Frame]) -> tuple[list[Frame], Iterator[Frame]]:
    """The frames up to the 200th with labels, and all frames."""
    first: list[Frame] = []
    labelled = 0
    for frame in frames:
        first.append(frame)
        labelled += bool(frame.labels)
        if labelled == _LOOKED_AT:
            break
    return first, chain(first, frames)


def _checked(frames: Iterable[Frame], path: Path, dropped: Dropped) -> Iterator[Frame]:
    seen: set[str] = set()
    for frame in frames:
        if frame.name in seen:
            raise DataError(f"{path}: frame {frame.name} stands twice; remove one of the two.")
        seen.add(frame.name)
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
