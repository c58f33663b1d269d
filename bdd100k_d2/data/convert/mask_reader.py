"""Folders of masks and of bitmasks -> frames with run lengths."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from ...errors import DataError
from ...parallel import cores
from ...tasks import TASKS
from ..bitmasks import ATTRIBUTE_BITS, check_categories, read_bitmask
from ..categories import IGNORE_LABEL
from ..image_names import image_name
from ..instances import encode_instances
from ..labels import RLE, Box2D, Frame, ImageSize, Label, LabelAttributes
from ..masks import check_mask, read_mask
from ..png import RGBA, read_header
from ..rle import CocoRLE
from ..score_file import InstanceScores, rank, read_score_file
from .dropped import Dropped

_UNLABELED = "segments of category 0 (unlabeled) are left out"
_NO_BITMASK = "frames of the score file that have no bitmask are left out"
_NO_IGNORE = f"masks with pixels of {IGNORE_LABEL} (ignored), which become background"

# As many masks are in memory at a time.
_WINDOW = 64
# That the task is told from.
_LOOKED_AT = 20

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def holds_bitmasks(files: list[Path]) -> bool:
    """Whether PNG files are bitmasks rather than masks, told by the first."""
    header = read_header(files[0])
    return header is not None and header.color_type == RGBA


def mask_task(files: list[Path]) -> str:
    """The task of masks, told from the ids in the first of them; DataError where both tasks have these."""
    for file in files[:_LOOKED_AT]:
        mask = read_mask(file)
        if mask[mask != IGNORE_LABEL].max(initial=0) >= TASKS["drivable"].num_classes:
            return "sem_seg"
    raise _undecided(files, "masks", "sem_seg", "drivable")


def bitmask_task(files: list[Path]) -> str:
    """The task of bitmasks, told from the first of them; DataError where they could be of both tasks."""
    for file in files[:_LOOKED_AT]:
        bitmask = read_bitmask(file)
        if bitmask.categories.max(initial=0) > TASKS["ins_seg"].num_classes:
            return "pan_seg"
        # The first classes of pan_seg are stuff, whose annotation id is the category id.
        if (bitmask.ids != bitmask.categories).any():
            return "ins_seg"
    raise _undecided(files, "bitmasks", "ins_seg", "pan_seg")


def _undecided(files: list[Path], what: str, one: str, other: str) -> DataError:
    held = f"the {what} hold only ids that {one} and {other} both have"
    return DataError(f"{files[0].parent}: {held}; say --task {one} or --task {other}.")


def read_masks(files: Mapping[str, Path], task: str, dropped: Dropped) -> Iterator[Frame]:
    """Yields one frame per mask, one label per scored class, in ascending order, as the toolkit's ``to_rle`` does.

    ``files`` are by the stems of their frames, as `list_masks` has them.
    """
    return in_threads(partial(_mask_frame, task=task, dropped=dropped), files.items())


def read_bitmasks(
    files: Mapping[str, Path], task: str, dropped: Dropped, score_file: Path | None = None
) -> Iterator[Frame]:
    """Yields one frame per bitmask, one label per segment in the order of the annotation ids, which are the labels'.

    With a file of scores labels have these, and are in their order, the highest first, as when bitmasks are scored.

    Raises:
        DataError: a file cannot be read, or a segment has no score.
    """
    scores = None if score_file is None else read_score_file(score_file)
    if scores is not None:
        named = {f"{stem}.png" for stem in files}
        dropped.add(_NO_BITMASK, len(scores.keys() - named))
    read = partial(_bitmask_frame, task=task, dropped=dropped, score_file=score_file, scores=scores)
    return in_threads(read, files.items())


def in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yields what a function makes of each item, in order; Pillow and NumPy let other threads run meanwhile."""
    waiting = iter(items)
    with ThreadPoolExecutor(cores()) as pool:
        while window := list(islice(waiting, _WINDOW)):
            yield from pool.map(function, window)


def _mask_frame(named: tuple[str, Path], task: str, dropped: Dropped) -> Frame:
    stem, path = named
    classes, unscored = TASKS[task].names, TASKS[task].unscored
    mask = check_mask(read_mask(path), len(classes), path)
    ids = np.unique(mask).tolist()
    # No label is background, and officially what is painted by none.
    if unscored is not None and IGNORE_LABEL in ids:
        dropped.add(_NO_IGNORE)
    ids = [i for i in ids if i not in (unscored, IGNORE_LABEL)]
    masks = encode_instances(mask.astype(np.int32), np.array(ids, np.int64))
    labels = [
        Label(id=str(number), category=classes[i], rle=_rle(one))
        for number, (i, one) in enumerate(zip(ids, masks, strict=True))
    ]
    return _frame(stem, mask.shape, labels)


def _bitmask_frame(
    named: tuple[str, Path],
    task: str,
    dropped: Dropped,
    score_file: Path | None,
    scores: Mapping[str, InstanceScores] | None,
) -> Frame:
    stem, path = named
    classes = TASKS[task].names
    bitmask = read_bitmask(path)
    try:
        check_categories(bitmask, len(classes), path)
    except DataError as error:
        raise DataError(f"{error} Say which with --task.") from error
    wanted = np.flatnonzero(bitmask.categories > 0)
    dropped.add(_UNLABELED, len(bitmask.ids) - len(wanted))
    ranked: list[float | None] = [None] * len(wanted)
    if scores is not None and score_file is not None:
        # Segments of no category are scored by nobody, so that they need no score.
        own = scores.get(f"{stem}.png")
        order, values = rank(bitmask.ids[wanted], own, path, score_file)
        wanted, ranked = wanted[order], values.tolist()
    masks = encode_instances(bitmask.instances, 1 + wanted)
    boxes = coco_mask.toBbox(masks).tolist() if masks else []
    bits = bitmask.attributes.tolist()
    labels = [
        Label(
            id=str(bitmask.ids[i]),
            category=classes[bitmask.categories[i] - 1],
            score=score,
            attributes=msgspec.convert(
                {name: bits[i] & bit > 0 for name, bit in ATTRIBUTE_BITS.items()}, LabelAttributes
            ),
            box2d=Box2D.of_size(x, y, width, height),
            rle=_rle(mask),
        )
        for i, score, mask, (x, y, width, height) in zip(wanted.tolist(), ranked, masks, boxes, strict=True)
    ]
    return _frame(stem, bitmask.instances.shape, labels)


def _rle(mask: CocoRLE) -> RLE:
    return RLE(mask["counts"].decode(), (int(mask["size"][0]), int(mask["size"][1])))


def _frame(stem: str, shape: tuple[int, ...], labels: list[Label]) -> Frame:
    return Frame(image_name(stem), size=ImageSize(shape[1], shape[0]), labels=labels)
