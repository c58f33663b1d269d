"""Data sets in COCO's panoptic form: a JSON file, and beside it a folder of its name with a PNG file for each image.

A pixel of the PNG files is the id of a segment, R + 256 G + 65,536 B, or 0 where there is none. Source:
https://cocodataset.org/#format-data.
"""

import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..errors import ConfigError, DataError, shown
from ..inside import expanded, inside
from .bitmasks import Bitmask
from .categories import IGNORE_LABEL, own_categories
from .json_file import JSON_ERRORS, read_json
from .slices import OWN, check_dataset_name, is_own, renew_slices, replace_dataset

logger = logging.getLogger(__name__)


class PanopticImage(msgspec.Struct):
    """An image; its ``file_name`` may have folders."""

    id: int
    file_name: str
    height: int
    width: int


class PanopticSegment(msgspec.Struct):
    """A segment of an image; ``bbox`` is x, y, width and height, ``area`` in pixels."""

    id: int
    category_id: int
    iscrowd: int = 0
    area: int | float | msgspec.UnsetType = msgspec.UNSET
    bbox: list[int | float] | msgspec.UnsetType = msgspec.UNSET


class PanopticAnnotation(msgspec.Struct):
    """The segments of an image; ``file_name`` is that of the PNG file."""

    image_id: int
    file_name: str
    segments_info: list[PanopticSegment]


class PanopticCategory(msgspec.Struct):
    """A class."""

    id: int
    name: str
    isthing: int
    color: tuple[int, int, int] | None = None


class PanopticDocument(msgspec.Struct):
    """The JSON file."""

    images: list[PanopticImage]
    annotations: list[PanopticAnnotation]
    categories: list[PanopticCategory]


def segment_colors(bitmask: Bitmask) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of a bitmask's PNG file in COCO's form; a segment keeps its annotation id."""
    of_pixel = np.append(0, bitmask.ids)[bitmask.instances]
    return np.stack([of_pixel & 0xFF, of_pixel >> 8 & 0xFF, of_pixel >> 16], axis=2).astype(np.uint8)


def register_coco_panoptic(name: str, labels: str | os.PathLike[str], images: str | os.PathLike[str]) -> None:
    """Registers a data set in COCO's panoptic form for models with one list of classes, as Mask2Former.

    Its records have ``pan_seg_file_name`` and ``segments_info``. Classes, things and stuff alike, are numbered from 0
    in the order of the file's categories, and both ``thing_classes`` and ``stuff_classes`` are all of them, as
    Detectron2 has it of Cityscapes. Its type is ``coco_panoptic_seg``, so that Detectron2's evaluator scores it.

    Args:
        name: of the data set, in Detectron2's catalogs; what was registered here under it is replaced.
        labels: the JSON file, as :func:`~bdd100k_d2.evaluation.evaluators.coco_panoptic.write_coco_panoptic` or COCO
            has it; the PNG files are in the folder of its name without the ending.
        images: the folder of the images.

    Raises:
        ConfigError: the name is none, or another data set's.
        DataError: the file cannot be read, or has no class.
    """
    from detectron2.data import DatasetCatalog

    check_dataset_name(name, "data set")
    if name in DatasetCatalog.list() and not is_own(name):
        raise ConfigError(f"data set {name}: one of that name is registered; choose another name.")
    path, folder = expanded(labels).absolute(), expanded(images).absolute()
    found = _read(path).categories
    if not found:
        raise DataError(f"{path}: has no categories; write them into it.")
    colors = [one.color for one in found if one.color is not None]
    fitting = colors if len(colors) == len(found) else None
    classes = own_categories([one.name for one in found], fitting, are_things=True)
    fields: dict[str, Any] = {
        "evaluator_type": "coco_panoptic_seg",
        "image_root": str(folder),
        "panoptic_root": str(path.with_suffix("")),
        "panoptic_json": str(path),
        "ignore_label": IGNORE_LABEL,
        "label_divisor": 1000,
        OWN: True,
    }
    for kind in ("thing", "stuff"):
        fields[f"{kind}_classes"], fields[f"{kind}_colors"] = [c.name for c in classes], [c.color for c in classes]
        ids = {one.id: i for i, one in enumerate(found) if bool(one.isthing) is (kind == "thing")}
        fields[f"{kind}_dataset_id_to_contiguous_id"] = ids
    replace_dataset(name, partial(_load, path, folder), fields, is_official=False)
    renew_slices((name,))


def _read(path: Path) -> PanopticDocument:
    content = read_json(path)
    try:
        return msgspec.json.decode(content, type=PanopticDocument)
    except JSON_ERRORS as error:
        raise DataError(f"{path}: no panoptic labels in COCO's form: {shown(str(error))}; give others.") from error


def _load(path: Path, folder: Path) -> list[dict[str, Any]]:
    document, records = _read(path), []
    images = {one.id: one for one in document.images}
    classes = {one.id: (i, bool(one.isthing)) for i, one in enumerate(document.categories)}
    for one in document.annotations:
        where = f"{path}: {shown(one.file_name)}"
        if one.image_id not in images:
            raise DataError(f"{where}: has the image_id {one.image_id}, which is of no image; mend it.")
        image = images[one.image_id]
        files = inside(folder, *image.file_name.split("/")), inside(path.with_suffix(""), one.file_name)
        for file in files:
            if not file.is_file():
                raise DataError(f"{where}: there is no file {file}; check the folders.")
        segments = []
        for segment in one.segments_info:
            if segment.category_id not in classes:
                raise DataError(f"{where}: {segment.category_id} is the id of no category; mend it.")
            index, is_thing = classes[segment.category_id]
            segments.append(msgspec.to_builtins(segment) | {"category_id": index, "isthing": is_thing})
        records.append(
            {
                "file_name": str(files[0]),
                "image_id": one.image_id,
                "height": image.height,
                "width": image.width,
                "pan_seg_file_name": str(files[1]),
                "segments_info": segments,
            }
        )
    if not records:
        raise DataError(f"{path}: has no annotations, so the data set is empty; give other labels.")
    annotated = {one["image_id"] for one in records}
    without = [one.file_name for one in document.images if one.id not in annotated]
    if without:
        logger.warning(
            "%s: %d of %d images have no annotation, so they are left out; the first is %s.",
            *(path, len(without), len(document.images), shown(without[0])),
        )
    return records
