"""What a path holds, and its frames."""

import logging
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ...errors import ConfigError, DataError, shown
from ...tasks import TASKS
from ..coco import is_coco, read_coco
from ..coco_results import is_results, read_results
from ..folders import files_below, holds, label_files, visible_files
from ..image_names import image_stem, is_image_name
from ..labels import Frame, Label, each_once
from ..masks import list_masks
from .classes import check_category, guess_task
from .dropped import NO_AREA, Dropped
from .mask_reader import bitmask_task, holds_bitmasks, mask_task, read_bitmasks, read_masks
from .scalabel import has_polygon, read_scalabel
from .source_files import read_errors
from .source_options import SourceOptions
from .yolo_classes import YAML_SUFFIXES, read_classes
from .yolo_parts import folders_of_images
from .yolo_reader import YoloSizes, read_yolo
from .yolo_set import YoloSet, find_yolo, is_yolo_folder

logger = logging.getLogger(__name__)

SOURCE_KINDS = ("scalabel", "coco", "coco_results", "yolo", "masks", "bitmasks")

# Of Label Studio, beside its YOLO labels.
_NO_LABELS = {"notes.json"}

# Frames with labels that the task of label files is told from.
_LOOKED_AT = 200


class LabelSource(NamedTuple):
    """A path's kind, the task of its labels, and its frames, to be taken once.

    The task is None of labels without boxes and masks, and where it is not needed of masks of classes of several tasks.
    ``boxes`` says whether labels have boxes, or masks of objects; ``total`` is the number of frames where it is known;
    ``scored`` says whether the masks have scores.
    """

    kind: str
    task: str | None
    boxes: bool
    frames: Iterator[Frame]
    total: int | None = None
    scored: bool = False


def source_kind(path: Path, kind: str | None = None) -> str:
    """The kind of what ``path`` holds, by its content unless it is told; DataError where there is none."""
    with read_errors(path):
        if not os.path.exists(path):  # noqa: PTH110, which knows no bad names
            raise DataError(f"{path}: no such file or folder.")
        if not path.is_dir() and not path.is_file():
            raise DataError(f"{path}: neither a file nor a folder; save what it gives as a file.")
        if kind is not None:
            return kind
        return _kind_of_folder(path) if path.is_dir() else _kind_of_file(path)


def _kind_of_file(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == ".png":
        raise DataError(f"{path}: one image; give the folder of the masks.")
    if suffix in (".txt", *YAML_SUFFIXES):
        return "yolo"
    if is_coco(path):
        return "coco"
    return "coco_results" if is_results(path) else "scalabel"


def _kind_of_folder(path: Path) -> str:
    names = {entry.name for entry in visible_files(path)}
    pngs = [name for name in sorted(names) if name.lower().endswith(".png")]
    # Images may be PNG files too, with YOLO's labels beside them.
    if pngs and not any(f"{image_stem(name)}.txt" in names for name in pngs):
        return _kind_of_pngs(path)
    folder, scores = TASKS["ins_seg"].results
    if scores in names and holds(path / folder, ".png"):
        raise DataError(f"{path}: holds {folder}/ and {scores}; give {folder}/ as SRC, and {scores} with --score-file.")
    is_yolo = is_yolo_folder(path)
    with suppress(DataError):
        files = [file for file in label_files(path) if not is_yolo or file.name not in _NO_LABELS]
        if files and is_yolo:
            raise ConfigError(
                f"{path}: holds .json files and YOLO labels; say which with --from scalabel or --from yolo."
            )
        if files:
            return "scalabel"
    if is_yolo or files_below(path, ".txt"):
        return "yolo"
    if not pngs and files_below(path, ".png"):
        return _kind_of_pngs(path)
    if any(map(is_image_name, names)):
        beside = folders_of_images(path)
        labels = "that of their labels" if beside is None or beside.labels is None else f"{beside.labels}"
        raise DataError(f"{path}: images and no labels; give {labels}, or the data.yaml of the data set.")
    raise DataError(
        f"{path}: holds no labels; give a .json file, or a folder of .json files, of .txt files (YOLO), or of .png "
        "masks or bitmasks."
    )


def _kind_of_pngs(path: Path) -> str:
    return "bitmasks" if holds_bitmasks(list(list_masks(path, below=True).values())) else "masks"


def open_source(
    path: Path,
    kind: str,
    dropped: Dropped,
    options: SourceOptions,
    yolo: YoloSet | None = None,
    needs_task: bool = True,
) -> LabelSource:
    """Opens labels of a ``kind`` of :data:`SOURCE_KINDS`. Each frame is checked when it is taken.

    ``yolo`` are the frames of a YOLO data set, which are looked for where it is None. ``needs_task`` says whether the
    task of label files has to be known.

    Raises:
        DataError: the labels cannot be read, or their task cannot be told.
    """
    total = None
    if kind in ("masks", "bitmasks"):
        return _open_pngs(path, kind, dropped, options)
    if kind == "yolo":
        yolo = yolo or find_yolo(path, options.split, options.images)
        total = len(yolo.frames)
        unlabelled = sum(frame.labels is None for frame in yolo.frames)
        if unlabelled:
            logger.warning("%s: %d images have no label file; they are frames without labels.", path, unlabelled)
        classes = options.classes or (path if path.suffix.lower() in YAML_SUFFIXES else None)
        sizes = YoloSizes(options.images, options.size)
        frames = read_yolo(yolo.frames, read_classes(yolo.folder, classes), sizes, dropped)
    elif kind == "coco":
        frames = read_coco(path, dropped.add)
    else:
        frames = read_scalabel(path, dropped.add) if kind == "scalabel" else read_results(path, options.image_ids)
    first, frames = _first(_checked(frames, path, dropped))
    labels = [label for frame in first for label in frame.labels or ()]
    task = options.task or guess_task(first, path, needs_task)
    # Masks of objects have the boxes around them.
    objects = task is not None and TASKS[task].form == "bitmasks"
    boxes = not labels or any(one.box2d is not None or (one.rle is not None and objects) for one in labels)
    scored = next((label.score is not None for label in labels if label.rle is not None), False)
    return LabelSource(kind, task, boxes, frames, total, scored)


def _open_pngs(path: Path, kind: str, dropped: Dropped, options: SourceOptions) -> LabelSource:
    with read_errors(path):
        files = list_masks(path, below=True) if path.is_dir() else {}
    if not files:
        raise DataError(f"{path}: no .png file in the folder; give the folder of the masks or bitmasks.")
    allowed = [one.name for one in TASKS.values() if one.form == kind]
    task = options.task or (mask_task if kind == "masks" else bitmask_task)([*files.values()])
    if task not in allowed:
        raise DataError(f"{path}: {kind} are of {' or '.join(allowed)}, not of {task}; give another --task or --from.")
    if options.score_file is not None and not TASKS[task].has_scores:
        raise ConfigError(f"--score-file is not of {task}, whose bitmasks have no scores; leave it out.")
    scores = TASKS[task].result_list
    if options.score_file is None and scores is not None and (path.parent / scores).is_file():
        logger.warning("%s: has no scores; give those of %s with --score-file.", path, path.parent / scores)
    frames = (
        read_masks(files, task, dropped) if kind == "masks" else read_bitmasks(files, task, dropped, options.score_file)
    )
    return LabelSource(
        kind, task, kind == "bitmasks", each_once(frames, path), len(files), options.score_file is not None
    )


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
    where = f"{path}: frame {frame.name}, label {shown(label.id)}"
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
