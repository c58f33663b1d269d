"""The segments of an image -> the mask of stuff that a Panoptic FPN is trained with, whose class 0 is all things."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from detectron2.structures import polygons_to_bitmask
from pycocotools import mask as coco_mask

from ..errors import DataError
from .bitmasks import Bitmask, read_bitmask
from .categories import IGNORE_LABEL
from .labels import RLE
from .panoptic_png import read_panoptic_png
from .rle import CocoRLE, areas, check_rle, paint


def panoptic_mask(record: Mapping[str, Any], num_classes: int) -> np.ndarray:
    """The classes of the pixels of a dataset dict's image, (H, W) uint8: 0 for things, stuff from 1 on, 255 for none.

    The segments lie in the file of ``bitmask_file_name`` or ``pan_seg_file_name``, else in run lengths or polygons, of
    which the smaller lie on top. What they are of is said in ``segments_info``; crowds are of their class too. The head
    has ``num_classes``, things among them.

    Raises:
        UnreadableError: the file is missing or damaged.
        DataError: there are no segments, or one is damaged or of no class.
    """
    where = str(record["file_name"])
    if "segments_info" not in record:
        raise DataError(
            f"{where}: a Panoptic FPN is trained with the segments of each image, and the record has neither "
            "segments_info nor sem_seg_file_name; register a data set of pan_seg, or train another model."
        )
    infos = record["segments_info"]
    classes = [_class(info, num_classes, where) for info in infos]
    for key, read in (("bitmask_file_name", read_bitmask), ("pan_seg_file_name", read_panoptic_png)):
        if key in record:
            ids = {info.get("id", 0): k for info, k in zip(infos, classes, strict=True)}
            return _of_bitmask(read(record[key]), ids)
    size = int(record["height"]), int(record["width"])
    masks = [_mask(info.get("segmentation"), size, where) for info in infos]
    order = np.argsort(-areas(masks), kind="stable").tolist()
    return paint(((masks[i], classes[i]) for i in order), size, IGNORE_LABEL, np.uint8)


def _of_bitmask(bitmask: Bitmask, class_of: Mapping[int, int]) -> np.ndarray:
    table = np.array([IGNORE_LABEL, *(class_of.get(i, IGNORE_LABEL) for i in bitmask.ids.tolist())], np.uint8)
    mask: np.ndarray = table[bitmask.instances]
    return mask


def _class(info: Mapping[str, Any], num_classes: int, where: str) -> int:
    k = 0 if info.get("isthing") else int(info.get("category_id", 0))
    if not (info.get("isthing") or 0 < k < min(num_classes, IGNORE_LABEL)):
        raise DataError(
            f"{where}: a segment of stuff has the category_id {k}; the model has the classes 1 to {num_classes - 1}, "
            "and 0 stands for all things. Set MODEL.SEM_SEG_HEAD.NUM_CLASSES, or mend the record."
        )
    return k


def _mask(segmentation: Any, size: tuple[int, int], where: str) -> CocoRLE:  # noqa: ANN401, Detectron2's forms
    try:
        if isinstance(segmentation, Mapping):
            counts, (height, width) = segmentation["counts"], segmentation["size"]
            rle = RLE(counts.decode() if isinstance(counts, bytes) else counts, (int(height), int(width)))
            return check_rle(rle, size, where)
        # As Detectron2 fills those of annotations.
        pixels = polygons_to_bitmask([np.asarray(polygon, np.float64) for polygon in segmentation], *size)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: a segment is neither compressed run lengths nor polygons; mend it.") from error
    found: CocoRLE = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return found
