"""Labels of one format -> labels of another."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ...errors import ConfigError, DataError, OutputError
from ...tasks import TASKS
from ..labels import RLE, Frame, Outline
from ..rle import check_rle
from .classes import detects
from .coco_writer import CocoWriter
from .dropped import Dropped
from .image_sizes import SizeOptions, with_sizes
from .mask_writer import MaskWriter
from .outputs import check_apart, check_new
from .scalabel import write_scalabel
from .source import LabelSource, open_source, source_kind
from .source_options import SourceOptions, check_options
from .splits import split_of, splits_in
from .yolo_classes import DATA
from .yolo_set import find_yolo
from .yolo_writer import YoloWriter

TARGET_KINDS = ("coco", "yolo", "scalabel", "masks")


class Conversion(NamedTuple):
    """What was converted, from which kind of source to which file or folder, and counts of what is dropped, by kind.

    ``task`` is None of polygons alone; ``labels`` are without those of which nothing is left without their boxes.
    """

    kind: str
    task: str | None
    path: Path
    frames: int
    labels: int
    dropped: dict[str, int]


def _counted(opened: LabelSource, counts: Counter[str]) -> Iterator[Frame]:
    """Yields the frames, counted as they are taken; a bar shows it when a person watches."""
    for frame in tqdm(opened.frames, "converting", opened.total, unit="frame", disable=not sys.stderr.isatty()):
        counts["frames"] += 1
        counts["labels"] += len(frame.labels or ())
        yield frame


def _filled(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yields the frames, their polygons that waited for the size of the image filled; DataError without that."""
    for frame in frames:
        for label in frame.labels or ():
            if isinstance(label.rle, Outline):
                size = frame.height_width
                label.rle = RLE(check_rle(label.rle, size, label.rle.where)["counts"].decode(), size)
        yield frame


def convert(
    source: Path,
    target: Path,
    to: str,
    kind: str | None = None,
    options: SourceOptions | None = None,
    polygons: bool | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Converts labels, frame by frame.

    Args:
        source: a label file or folder.
        target: a ``.json`` file for coco and scalabel, a folder for masks, the root of the data set for yolo, of which
            ``labels/<split>`` is written; the split is that of the options, else the one that the source's name has.
        to: one of :data:`TARGET_KINDS`. masks are masks for sem_seg and drivable, bitmasks for ins_seg and pan_seg.
        kind: of the source; None recognises it.
        options: what cannot be told from the source.
        polygons: write masks to COCO as polygons, or else as run lengths; None where it does not matter.
        overwrite: replace what is at the target.

    Raises:
        ConfigError: arguments do not go together.
        DataError: the source cannot be read, or the target cannot hold any of it.
        OutputError: the target exists or cannot be written.
    """
    options = options or SourceOptions()
    if polygons is not None and to != "coco":
        raise ConfigError(f"--segmentation is of COCO, not of {to}; leave it out.")
    if options.task is not None and options.task not in TASKS:
        raise ConfigError(f"{options.task!r} is no task; there are {', '.join(TASKS)}.")
    if to == "yolo" and options.task is not None and not detects(options.task):
        known = " or ".join(filter(detects, TASKS))
        raise ConfigError(f"YOLO labels are boxes of {known}, not of {options.task}; give another --task.")
    if to == "masks" and options.task is not None and TASKS[options.task].form == "boxes":
        raise ConfigError(f"{options.task} has boxes and no masks; give another --task.")
    # Path.is_dir would fail at a name that is too long.
    if to in ("coco", "scalabel") and (os.path.isdir(target) or target.suffix != ".json"):  # noqa: PTH112
        raise OutputError(f"{target}: the target is one JSON file; give a path that ends in .json.")
    kind = source_kind(source, kind)
    check_options(options, kind, to)
    yolo = find_yolo(source, options.split, options.images) if kind == "yolo" else None
    if yolo is not None and to != "yolo" and options.split is not None and not yolo.is_split:
        raise ConfigError(f"{source}: has no splits of which --split could choose one; leave it out.")
    told = options.split or (split_of(source) if yolo is None else yolo.split)
    split = told or "train"
    if to == "yolo" and told is None and len(spoken := splits_in(source.name)) > 1:
        raise ConfigError(f"{source}: its name speaks of {' and of '.join(spoken)}; give one of them with --split.")
    written = target / "labels" / split if to == "yolo" else target
    if to == "yolo" and not split.isidentifier():
        raise ConfigError(f"{split!r} is no name of a split; give one such as train.")
    check_new(written, source, overwrite, [*options.paths, *(yolo.reads if yolo else ())])
    if to == "yolo":
        check_apart(target / DATA, [source, *options.paths])
    dropped = Dropped()
    opened = open_source(source, kind, dropped, options, yolo, needs_task=to in ("coco", "masks"))
    counts: Counter[str] = Counter()
    frames = _counted(opened, counts)
    if to != "scalabel" and kind in ("scalabel", "coco", "coco_results"):
        # All images of BDD100K have one size, which its own label files need not say; of other frames it is assumed, as
        # by the toolkit, for COCO alone, where no box and no mask depends on it.
        sizes = SizeOptions(options.images, options.size, assumed=kind == "scalabel" and to == "coco")
        frames = with_sizes(frames, source, sizes)
    frames = _filled(frames)
    if to == "scalabel":
        write_scalabel(frames, target)
    elif to == "yolo" and opened.boxes:
        # Boxes of masks too are of the classes of detection.
        task = options.task or "det"
        YoloWriter(task, dropped, source).write(frames, target, split)
        opened = opened._replace(task=task)
    elif to == "yolo" or opened.task is None or (not opened.boxes and TASKS[opened.task].form == "boxes"):
        what, take = "a box", "det_20, or rles/ or bitmasks/ of ins_seg"
        if opened.task is None:
            what += " or a mask (rle)"
            take = "det_20 for boxes, rles/, masks/ or bitmasks/ of the release for masks"
        raise DataError(
            f"{source}: no label has {what}, so {to} would be empty; polygons (poly2d) are not filled, and regions "
            f"have no boxes. Take {take}."
        )
    elif to == "coco":
        if polygons is not None and TASKS[opened.task].form == "boxes":
            raise ConfigError(f"--segmentation is of masks, {opened.task} has boxes; leave it out.")
        CocoWriter(opened.task, dropped, source, bool(polygons), opened.kind == "bitmasks").write(frames, target)
    else:
        if TASKS[opened.task].form == "boxes":
            raise DataError(
                f"{source}: has boxes and no masks (rle), so no masks can be written; take the files of rles/ of the "
                "release."
            )
        MaskWriter(opened.task, dropped, source, opened.scored).write(frames, target)
    return Conversion(opened.kind, opened.task, written, counts["frames"], counts["labels"], dropped.counts())
