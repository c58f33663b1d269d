"""The labels of a frame, painted into a mask or a bitmask, and what of them overlaps hide."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...errors import DataError
from ...tasks import TASKS
from ..bitmasks import CROWD, FIRST_THING_ID, IGNORED, OCCLUDED, TRUNCATED, Bitmask, encode_bitmask
from ..categories import IGNORE_LABEL
from ..labels import Frame, Label
from ..masks import frame_to_mask
from ..rle import areas, check_rle, overlap, paint
from .classes import TaskClass
from .dropped import IDS

OVERLAPPING = "frames whose labels overlap, of which a pixel keeps the last"
CUT = "labels lose pixels to labels over them"
COVERED = "labels are empty, or wholly under others, and are lost"
MERGED = "labels are joined with another of their class in their frame"

_LAST_ID = (1 << 16) - 1


class Painted(NamedTuple):
    """Pixels to be written, and counts by kind of what they do not hold."""

    pixels: np.ndarray
    dropped: Counter[str]


def paint_classes(frame: Frame, labels: Sequence[Label], task: str, source: object) -> Painted:
    """The mask of a frame, (H, W) uint8 class ids of sem_seg or drivable.

    Args:
        frame: whose size counts.
        labels: with run lengths and classes of the task, in the order of painting.
        task: sem_seg, or drivable, where the pixels of no label are background instead of 255.
        source: the file, for messages.

    Raises:
        DataError: run lengths that do not fit the image.
    """
    class_ids = {name: i for i, name in enumerate(TASKS[task].names)}
    unpainted = class_ids.get("background", IGNORE_LABEL)
    size = frame.height_width
    try:
        pixels = frame_to_mask(Frame(frame.name, labels=list(labels)), class_ids, *size, unpainted)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    masks = [check_rle(label.rle, size, str(source)) for label in labels]
    dropped = Counter(
        {MERGED: len(labels) - len({label.category for label in labels}), OVERLAPPING: int(overlap(masks))}
    )
    return Painted(pixels, dropped)


def paint_instances(frame: Frame, labels: Sequence[tuple[Label, TaskClass]], task: str, source: object) -> Painted:
    """The bitmask of a frame, (H, W, 4) uint8; arguments and errors as of :func:`paint_classes`."""
    size = frame.height_width
    where = f"{source}: frame {frame.name}, label"
    masks = [check_rle(label.rle, size, f"{where} {label.id} ({label.category})") for label, _ in labels]
    instances = paint(zip(masks, range(1, len(masks) + 1), strict=True), size, 0, np.int32)
    seen = np.bincount(instances.ravel(), minlength=len(labels) + 1)[1:]
    ids = annotation_ids(labels, task)
    # Stuff of a class is one segment, so its parts cannot differ.
    attributes: dict[int, int] = {}
    for i, (label, known) in zip(ids, labels, strict=True):
        attributes.setdefault(i, _attribute_bits(label, known))
    bitmask = Bitmask(
        instances,
        np.array(ids, np.int64),
        np.array([known.index + 1 for _, known in labels], np.int64),
        np.array([attributes[i] for i in ids], np.uint8),
    )
    renumbered = sum(
        str(label.id) != str(i) for i, (label, known) in zip(ids, labels, strict=True) if _is_instance(known, task)
    )
    dropped = Counter(
        {
            CUT: int(((seen > 0) & (seen < areas(masks))).sum()),
            COVERED: int((seen == 0).sum()),
            MERGED: len(ids) - len(set(ids)),
            IDS: renumbered,
        }
    )
    return Painted(encode_bitmask(bitmask), dropped)


def annotation_ids(labels: Sequence[tuple[Label, TaskClass]], task: str) -> list[int]:
    """The annotation ids of a frame's labels.

    Instances keep the ids that they have, if those are whole numbers of the allowed range and each stands once: so
    bitmasks come back as they were, and an object of a video keeps its id. Else they count on, as officially. Stuff of
    pan_seg has its category id.
    """
    first = FIRST_THING_ID if task == "pan_seg" else 1
    instances = [label for label, known in labels if _is_instance(known, task)]
    numbers = [int(text) if (text := str(label.id)).isascii() and text.isdecimal() else 0 for label in instances]
    kept = len(set(numbers)) == len(numbers) and all(first <= number <= _LAST_ID for number in numbers)
    following = iter(numbers if kept else range(first, first + len(numbers)))
    return [next(following) if _is_instance(known, task) else known.index + 1 for _, known in labels]


def _is_instance(known: TaskClass, task: str) -> bool:
    return TASKS[task].categories[known.index].is_thing


def _attribute_bits(label: Label, known: TaskClass) -> int:
    attributes = label.attributes
    bits = IGNORED if known.ignored else 0
    if attributes is not None:
        for value, bit in (
            (attributes.ignored, IGNORED),
            (attributes.crowd, CROWD),
            (attributes.occluded, OCCLUDED),
            (attributes.truncated, TRUNCATED),
        ):
            bits |= bit if value else 0
    return bits
