"""The objects in the records of a data set, checked: users edit what they register."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.structures import BoxMode

from ...errors import DataError, shown

Record = Mapping[str, Any]
"""Of an image, in Detectron2's dataset format, or of an object of it."""

Where = tuple[str, str, int]
"""Of an object, for messages: the frame, the key of the list in its record, and the place in that."""

_XYXY, _XYWH = int(BoxMode.XYXY_ABS), int(BoxMode.XYWH_ABS)


def wrong_object(where: Where, what: str) -> DataError:
    """An error that says ``what`` is wrong with an object, and where it stands."""
    frame, key, number = where
    return DataError(f"{frame}: {key}[{number}]: {what}")


def objects_of(record: Record, key: str, where: str) -> Sequence[Record]:
    """The list of the objects of a record; DataError where it is none."""
    found = record.get(key, ())
    if not isinstance(found, list | tuple) or not all(isinstance(one, Mapping) for one in found):
        raise DataError(
            f"{where}: {key} is no list of dicts, but {shown(repr(found))}; write [] for a frame without objects, or "
            "leave the key out of all records of a test set."
        )
    return found


def stated_size(record: Record, where: str) -> tuple[int, int] | None:
    """The height and width that a record states, if it does; DataError where they are none."""
    height, width = record.get("height"), record.get("width")
    if not height or not width:
        return None
    try:
        return int(height), int(width)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: height and width are {shown(repr(height))} and {shown(repr(width))}; write pixels, or leave "
            "them out."
        ) from error


def box_of(one: Record, size: tuple[int, int] | None, where: Where) -> tuple[float, float, float, float]:
    """The x, y, width and height of an annotation's box, which has an area and touches an image of ``size``."""
    mode = one.get("bbox_mode")
    if "bbox" not in one or mode not in (_XYXY, _XYWH):
        raise wrong_object(where, "it has no bbox with a bbox_mode of XYXY_ABS or XYWH_ABS; add it.")
    try:
        x, y, width, height = map(float, one["bbox"])
    except (TypeError, ValueError) as error:
        raise wrong_object(where, f"the bbox {shown(repr(one['bbox']))} is not of four numbers; mend it.") from error
    # Of both modes, width is x2 - x1: records end where the next pixel begins.
    if mode == _XYXY:
        width, height = width - x, height - y
    # Comparisons with NaN are false.
    if not (width > 0 and height > 0 and math.isfinite(x + y + width + height)):
        name = "XYXY_ABS" if mode == _XYXY else "XYWH_ABS"
        raise wrong_object(
            where,
            f"the bbox {shown(repr(one['bbox']))}, in {name}, has no area or is not finite; mend its numbers or its "
            "bbox_mode, or remove that annotation.",
        )
    if size is not None and not (x < size[1] and y < size[0] and x + width > 0 and y + height > 0):
        raise wrong_object(
            where,
            f"the bbox {shown(repr(one['bbox']))} is outside of the image of {size[1]}x{size[0]} pixels; mend or "
            "remove that annotation.",
        )
    return x, y, width, height


def category_of(one: Record, names: Sequence[str], where: Where) -> int:
    """The ``category_id`` of an object, a whole number and a class."""
    given = one.get("category_id")
    try:
        index = int(given)  # type: ignore[arg-type]  # checked here
    except (TypeError, ValueError, OverflowError):
        index = -1
    if not (index == given and 0 <= index < len(names)):
        some = f"category_id {shown(repr(given))} is" if "category_id" in one else "it has no category_id, which is"
        raise wrong_object(
            where,
            f"{some} no class; the metadata has {len(names)}, 0 to {len(names) - 1} "
            f"({', '.join(map(shown, names))}). Renumber the records, or mend the metadata.",
        )
    return index


def is_crowd(one: Record, where: Where) -> bool:
    """Whether an object is a crowd; DataError for an ``iscrowd`` that does not say."""
    given = one.get("iscrowd") or 0
    if given not in (0, 1):
        raise wrong_object(where, f"iscrowd is {shown(repr(given))}; write 0 or 1.")
    return bool(given)
