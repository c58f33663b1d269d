"""Label files and mask folders -> Detectron2 dataset dicts.

The dicts follow https://detectron2.readthedocs.io/en/latest/tutorials/datasets.html. ``image_id`` is the file name of
the image, the key that BDD100K's result files use.
"""

import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..tasks import TASKS
from .categories import LabelClass
from .folders import visible_files
from .image_names import check_file_name, image_name, image_stem, images_by_stem, is_image_name
from .labels import HEIGHT, WIDTH, Frame, ImageSize, without_collection
from .masks import list_masks
from .root import data_remedy
from .vintages import Vintage, read_labels

logger = logging.getLogger(__name__)

XYWH_ABS = 1
"""Detectron2's ``BoxMode.XYWH_ABS``. To import it takes seconds and 700 MB, which reading labels does not need."""

# Of the released segmentation set these masks have no image (https://github.com/bdd100k/bdd100k/issues/103).
MASKS_WITHOUT_IMAGE = {
    "fee92217-63b3f87f",
    "ff1e4d6d-f4d85cfd",
    "ff3d3536-04986e25",
    "ff3da814-c3463a43",
    "ff55861e-a06b953c",
    "ff7b98c7-3cb964ac",
}


FindClass = Callable[[str | None, str], LabelClass | None]
"""A label's category, and where the label is, for an error -> its class; None for a label that is left out."""

Head = Callable[[Frame], dict[str, Any]]
"""A frame -> what its record has besides labels: ``file_name``, ``image_id``, ``height`` and ``width``."""


def load_det(labels: str | os.PathLike[str], images: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads a detection label file, or a folder of them, of any vintage; which one it is, is logged.

    Returns:
        One dict per frame in the order of the files, frames without labels included, with ``annotations`` of ``bbox``
        (XYWH in pixels, inclusive: width is x2 - x1 + 1), ``category_id`` (0 to 9) and ``iscrowd`` (1 for crowds and
        for the ignored classes, which Detectron2 leaves out of training).

    Raises:
        DataError: what :func:`~bdd100k_d2.data.vintages.read_labels` raises, a missing image, an unknown category, or
            a box that is reversed or wholly outside of its image.
    """
    labels, images = Path(labels), Path(images)
    frames, vintage = read_labels(labels)
    check_images([frame.name for frame in frames], images, f"named in {labels}")
    folder, full_size = f"{images}{os.sep}", ImageSize(WIDTH, HEIGHT)

    def head(frame: Frame) -> dict[str, Any]:
        size = frame.size or full_size
        return {"file_name": folder + frame.name, "image_id": frame.name, "height": size.height, "width": size.width}

    dicts = det_records(frames, labels, head, TASKS["det"].class_of, whole_pixels=vintage is not Vintage.COCO)
    message = "%s: %d frames of vintage %s; scores on labels of another vintage are not comparable."
    logger.info(message, labels, len(dicts), vintage.value)
    return dicts


def det_records(
    frames: list[Frame], labels: Path, head: Head, find_class: FindClass, *, whole_pixels: bool
) -> list[dict[str, Any]]:
    """The records of frames with boxes, as :func:`load_det` has them; the list of frames is empty afterwards.

    With ``whole_pixels`` a box narrower than one is reversed, as corners in pixels are inclusive.
    """
    least = 1 if whole_pixels else math.ulp(0)
    dicts: list[dict[str, Any]] = []
    with without_collection():
        # Each frame is let go once its dict is made: all of both would take a third more memory.
        frames.reverse()
        while frames:
            frame = frames.pop()
            record = head(frame)
            dicts.append({**record, "annotations": _annotations(frame, record, labels, find_class, least)})
    return dicts


def load_masks(masks: str | os.PathLike[str], images: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Lists a folder of semantic masks (sem_seg or drivable) with their images.

    Returns:
        One dict per mask, sorted by name, with ``sem_seg_file_name``. Images without a mask are left out and counted in
        a warning, as are the released masks that are known to have no image.

    Raises:
        DataError: a folder is missing or empty, any other mask has no image, two masks are of one frame, or the masks
            are drivable maps of 2018.
    """
    masks, images = Path(masks), Path(images)
    size = {"height": HEIGHT, "width": WIDTH}
    return [
        {"file_name": str(images / name), "image_id": name, **size, "sem_seg_file_name": str(file)}
        for name, file in match_images(masks, images).items()
    ]


def load_images(images: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Lists a folder of images without labels (the test splits), of any size, by name; DataError without any."""
    images = Path(images)
    return [{"file_name": str(images / name), "image_id": name} for name in sorted(_list_images(images).values())]


def match_images(masks: Path, images: Path) -> dict[str, Path]:
    """The files of masks, or bitmasks, by the names of their images, sorted by stem; raises as :func:`load_masks`."""
    try:
        files = list_masks(masks)
    except OSError as error:
        raise _no_folder(masks, "masks", error) from error
    if not files:
        raise _no_file(masks, ".png", "masks")
    present = _list_images(images)
    known = (files.keys() - present.keys()) & MASKS_WITHOUT_IMAGE
    matched = {present.get(stem, image_name(stem)): files[stem] for stem in sorted(files.keys() - known)}
    check_images([*matched], images, f"of the masks in {masks}")
    warn_of_left_out(masks, {"masks without an image": len(known), "images without a mask": len({*present} - {*files})})
    return matched


def warn_of_left_out(labels: Path, counts: dict[str, int]) -> None:
    """Says how many of what are left out of a data set, if any."""
    for what, count in counts.items():
        if count:
            logger.warning("%s: %d %s are left out.", labels, count, what)


def check_images(names: Sequence[str], images: Path, origin: str) -> None:
    """Raises DataError unless ``images`` has all ``names``, none leading out of it; ``origin`` is for the message."""
    for name in names:
        check_file_name(name, images)
    present = set(_list_files(images))
    missing = [name for name in names if name not in present]
    if missing:
        raise DataError(
            f"{images}: {len(missing)} of {len(names)} images {origin} are missing, the first is {missing[0]}; "
            f"{data_remedy(images)}."
        )


def _annotations(
    frame: Frame, record: dict[str, Any], path: Path, find_class: FindClass, least: float
) -> list[dict[str, Any]]:
    annotations = []
    image_width, image_height = record["width"], record["height"]
    for label in frame.labels or ():
        box = label.box2d
        if box is None:
            continue
        known = find_class(label.category, f"{path}: frame {frame.name}, label {label.id}")
        if known is None:
            continue
        width, height = box.x2 - box.x1 + 1, box.y2 - box.y1 + 1
        inside = box.x1 < image_width and box.y1 < image_height and box.x2 >= 0 and box.y2 >= 0
        # A box of one pixel has x2 == x1. Comparisons with NaN are false, so NaN fails here too.
        if not (width >= least and height >= least and inside and math.isfinite(width + height)):
            raise DataError(
                f"{path}: frame {frame.name}, label {label.id} ({label.category}): the box ({box.x1:g}, {box.y1:g}) to "
                f"({box.x2:g}, {box.y2:g}) is {'outside of the image' if not inside else 'reversed or not finite'}; "
                "mend or remove that label."
            )
        annotations.append(
            {
                "bbox": [box.x1, box.y1, width, height],
                "bbox_mode": XYWH_ABS,
                "category_id": known.index,
                "iscrowd": int(known.ignored or label.is_crowd),
            }
        )
    return annotations


def _list_images(folder: Path) -> dict[str, str]:
    """The names of the images by their stems; those in another ending beside a ``.jpg`` are none of the data set."""
    names = _list_files(folder)
    found = images_by_stem(names)
    if not found:
        raise _no_file(folder, ".jpg", "images")
    for name in filter(is_image_name, names):
        other = found[image_stem(name)]
        if other != name and not other.endswith(".jpg"):
            raise DataError(
                f"{folder}: {name} and {other} are images of one frame, whose masks and results have its name without "
                "the ending; remove or rename one of the two."
            )
    return found


def _list_files(images: Path) -> list[str]:
    try:
        names = [entry.name for entry in visible_files(images)]
    except OSError as error:
        raise _no_folder(images, "images", error) from error
    if not names:
        raise _no_file(images, ".jpg", "images")
    return names


def _no_folder(folder: Path, what: str, error: OSError) -> DataError:
    return DataError(f"{folder}: no such folder of {what} ({error.strerror}); {data_remedy(folder)}.")


def _no_file(folder: Path, suffix: str, what: str) -> DataError:
    return DataError(f"{folder}: no {suffix} file in the folder of {what}; {data_remedy(folder)}.")
