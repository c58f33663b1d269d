"""Folders of masks and of bitmasks -> frames with run lengths."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from ...errors import DataError
from ...parallel import cores
from ...tasks import TASKS
from ..bitmasks import CROWD, IGNORED, OCCLUDED, TRUNCATED, check_categories, read_bitmask
from ..categories import IGNORE_LABEL
from ..instances import encode_instances
from ..labels import RLE, Box2D, Frame, ImageSize, Label, LabelAttributes
from ..masks import check_mask, list_masks, mask_stem, read_mask
from ..png import RGBA, read_header
from ..rle import CocoRLE
from .dropped import Dropped

UNLABELED = "segments of category 0 (unlabeled) are left out"
NO_IGNORE = f"masks with pixels of {IGNORE_LABEL} (ignored), which become background"

# As many masks are in memory at a time.
_WINDOW = 64
# That the task is told from.
_LOOKED_AT = 20


def list_pngs(folder: Path) -> list[Path]:
    """The PNG files of a folder, sorted by name.

    Raises:
        DataError: two masks of one frame.
    """
    return list(list_masks(folder).values())


def holds_bitmasks(files: list[Path]) -> bool:
    """Whether PNG files are bitmasks rather than masks, told by the first."""
    header = read_header(files[0])
    return header is not None and header.color_type == RGBA


def mask_task(files: list[Path]) -> str:
    """The task of masks, told from the ids in the first of them.

    Raises:
        DataError: the ids are of both tasks.
    """
    if any(_ids(file).max(initial=0) >= TASKS["drivable"].num_classes for file in files[:_LOOKED_AT]):
        return "sem_seg"
    raise DataError(
        f"{files[0].parent}: the masks hold only ids that sem_seg and drivable both have; say --task sem_seg or --task "
        "drivable."
    )


def bitmask_task(files: list[Path]) -> str:
    """The task of bitmasks, told from the first of them.

    Raises:
        DataError: they could be of both tasks.
    """
    for file in files[:_LOOKED_AT]:
        bitmask = read_bitmask(file)
        if bitmask.categories.max(initial=0) > TASKS["ins_seg"].num_classes:
            return "pan_seg"
        # The first classes of pan_seg are stuff, whose annotation id is the category id.
        if (bitmask.ids != bitmask.categories).any():
            return "ins_seg"
    raise DataError(
        f"{files[0].parent}: the bitmasks hold only ids that ins_seg and pan_seg both have; say --task ins_seg or "
        "--task pan_seg."
    )


def _ids(file: Path) -> np.ndarray:
    mask = read_mask(file)
    return mask[mask != IGNORE_LABEL]


def read_masks(files: list[Path], task: str, dropped: Dropped) -> Iterator[Frame]:
    """Yields a frame a mask, a label a class, in ascending order, as the toolkit's ``to_rle`` does.

    Pixels of no class, and in drivable those of background, are in no label.

    Raises:
        DataError: a file that is no mask, or an id that the task does not have.
    """
    yield from _ordered(partial(_mask_frame, task=task, dropped=dropped), files)


def read_bitmasks(files: list[Path], task: str, dropped: Dropped) -> Iterator[Frame]:
    """Yields a frame a bitmask, a label a segment in the order of the annotation ids, which are the labels' ids.

    Raises:
        DataError: a file that is no bitmask, or a category id that the task does not have.
    """
    yield from _ordered(partial(_bitmask_frame, task=task, dropped=dropped), files)


def _ordered(convert: Callable[[Path], Frame], files: list[Path]) -> Iterator[Frame]:
    waiting = iter(files)
    # Pillow and NumPy let other threads run while they decode.
    with ThreadPoolExecutor(cores()) as pool:
        while window := list(islice(waiting, _WINDOW)):
            yield from pool.map(convert, window)


def _mask_frame(path: Path, task: str, dropped: Dropped) -> Frame:
    classes = TASKS[task].names
    mask = check_mask(read_mask(path), len(classes), path)
    ids = np.unique(mask).tolist()
    if task == "drivable":
        # No label is background, and officially what is painted by none.
        if IGNORE_LABEL in ids:
            dropped.add(NO_IGNORE)
        classes = classes[: classes.index("background")]
    ids = [i for i in ids if i < len(classes)]
    masks = encode_instances(mask.astype(np.int32), np.array(ids, np.int64))
    labels = [
        Label(id=str(number), category=classes[i], rle=_rle(one))
        for number, (i, one) in enumerate(zip(ids, masks, strict=True))
    ]
    return _frame(mask_stem(path), mask.shape, labels)


def _bitmask_frame(path: Path, task: str, dropped: Dropped) -> Frame:
    classes = TASKS[task].names
    bitmask = read_bitmask(path)
    try:
        check_categories(bitmask, len(classes), path)
    except DataError as error:
        raise DataError(f"{error} Say which with --task.") from error
    wanted = np.flatnonzero(bitmask.categories > 0)
    dropped.add(UNLABELED, len(bitmask.ids) - len(wanted))
    masks = encode_instances(bitmask.instances, 1 + wanted)
    boxes = coco_mask.toBbox(masks).tolist() if masks else []
    labels = [
        Label(
            id=str(bitmask.ids[i]),
            category=classes[bitmask.categories[i] - 1],
            attributes=_attributes(int(bitmask.attributes[i])),
            box2d=Box2D(x, y, x + width - 1, y + height - 1),
            rle=_rle(mask),
        )
        for i, mask, (x, y, width, height) in zip(wanted.tolist(), masks, boxes, strict=True)
    ]
    return _frame(mask_stem(path), bitmask.instances.shape, labels)


def _attributes(bits: int) -> LabelAttributes:
    return LabelAttributes(
        occluded=bool(bits & OCCLUDED),
        truncated=bool(bits & TRUNCATED),
        crowd=bool(bits & CROWD),
        ignored=bool(bits & IGNORED),
    )


def _rle(mask: CocoRLE) -> RLE:
    return RLE(mask["counts"].decode(), (int(mask["size"][0]), int(mask["size"][1])))


def _frame(stem: str, shape: tuple[int, ...], labels: list[Label]) -> Frame:
    return Frame(f"{stem}.jpg", size=ImageSize(width=shape[1], height=shape[0]), labels=labels)
