"""Labels of instance and panoptic segmentation -> Detectron2 dataset dicts.

The labels are bitmasks or run lengths. All of them are read when the dataset is loaded, because Detectron2 wants the
masks in the dicts.
"""

import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from ..errors import DataError
from ..tasks import TASKS
from .bitmasks import CROWD, IGNORED, Bitmask, check_categories, read_bitmask
from .categories import INS_SEG, PAN_SEG
from .datasets import MASKS_WITHOUT_IMAGE, XYWH_ABS, check_images, match_images, warn_of_left_out
from .folders import holds
from .image_names import image_stem
from .labels import Frame, Label
from .rle import CocoRLE, check_rle
from .vintages import read_labels

logger = logging.getLogger(__name__)

# As Detectron2's PanopticFPN numbers them: things and stuff each have ids of their own, and stuff 0 stands for all
# things. The keys are the ids of the bitmasks.
THING_IDS = {i: n for n, i in enumerate(i for i, category in enumerate(PAN_SEG, 1) if category.is_thing)}
STUFF_IDS = {i: n for n, i in enumerate((i for i, category in enumerate(PAN_SEG, 1) if not category.is_thing), 1)}


_FromBitmask = Callable[[Bitmask, Path], dict[str, Any]]
_FromFrame = Callable[[Frame, list[tuple[Label, CocoRLE]], Path], dict[str, Any]]


def load_instances(labels: str | os.PathLike[str], images: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads the labels of instance segmentation: a folder of bitmasks, or run lengths in a label file or a folder.

    Returns:
        One dict per frame, frames without labels included, with ``annotations`` of ``bbox`` (XYWH in pixels, around the
        mask), ``segmentation`` (compressed run lengths), ``category_id`` (0 to 7) and ``iscrowd`` (1 for crowds, for
        ignored objects and for the ignored classes).

    Raises:
        DataError: labels that cannot be read, an image that is missing, a class that instance segmentation does not
            have, or run lengths that do not fit the image.
    """
    return _load(Path(labels), Path(images), _instances_of_bitmask, _instances_of_frame)


def load_panoptic(labels: str | os.PathLike[str], images: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads the labels of panoptic segmentation; arguments and errors as of :func:`load_instances`.

    Returns:
        One dict per frame with

        * ``annotations`` of its things, as :func:`load_instances` gives them, ``category_id`` 0 to 9;
        * ``segments_info`` of things and stuff: ``id`` (of a bitmask's annotation, else a count from 1), ``isthing``,
          ``category_id`` (things 0 to 9, stuff 1 to 30, as in the metadata), ``iscrowd`` (1 for crowds and for ignored
          segments), and ``segmentation`` where the labels are run lengths;
        * ``bitmask_file_name`` where the labels are bitmasks. It is not ``pan_seg_file_name``, for which Detectron2
          expects other colours.

        Pixels of no segment are unlabelled. Labels of other tasks' classes are left out, as the official toolkit does.
    """
    return _load(Path(labels), Path(images), _segments_of_bitmask, _segments_of_frame)


def _load(labels: Path, images: Path, from_bitmask: _FromBitmask, from_frame: _FromFrame) -> list[dict[str, Any]]:
    if holds(labels, ".png"):
        return _load_bitmasks(labels, images, from_bitmask)
    return _load_run_lengths(labels, images, from_frame)


# Bitmasks


def _load_bitmasks(folder: Path, images: Path, convert: _FromBitmask) -> list[dict[str, Any]]:
    def read(path: Path) -> dict[str, Any]:
        bitmask = read_bitmask(path)
        height, width = bitmask.instances.shape
        return {"height": height, "width": width, **convert(bitmask, path)}

    files = match_images(folder, images)
    # Pillow and NumPy let other threads run while they decode.
    with ThreadPoolExecutor() as pool:
        found = pool.map(read, files.values())
        bar = tqdm(found, f"reading {folder}", len(files), unit="bitmask", disable=not sys.stderr.isatty())
        return [
            {"file_name": str(images / name), "image_id": name, **fields}
            for name, fields in zip(files, bar, strict=True)
        ]


def _instances_of_bitmask(bitmask: Bitmask, path: Path) -> dict[str, Any]:
    check_categories(bitmask, len(INS_SEG), path)
    return {"annotations": _annotations_of_bitmask(bitmask, bitmask.categories > 0, bitmask.categories - 1)}


def _segments_of_bitmask(bitmask: Bitmask, path: Path) -> dict[str, Any]:
    check_categories(bitmask, len(PAN_SEG), path)
    things = np.isin(bitmask.categories, list(THING_IDS))
    crowds = bitmask.attributes & (IGNORED | CROWD) > 0
    columns = bitmask.ids.tolist(), bitmask.categories.tolist(), crowds.tolist()
    segments = [_segment(*row) for row in zip(*columns, strict=True) if row[1] > 0]
    ids = np.array([THING_IDS.get(category, -1) for category in bitmask.categories.tolist()], int)
    return {
        "annotations": _annotations_of_bitmask(bitmask, things, ids),
        "segments_info": segments,
        "bitmask_file_name": str(path),
    }


def _annotations_of_bitmask(bitmask: Bitmask, wanted: np.ndarray, category_ids: np.ndarray) -> list[dict[str, Any]]:
    """Annotations of the instances where ``wanted`` (N,) bool is true, of the classes ``category_ids`` (N,)."""
    masks = encode_instances(bitmask.instances, 1 + np.flatnonzero(wanted))
    return _annotations(masks, category_ids[wanted].tolist(), (bitmask.attributes[wanted] & (IGNORED | CROWD)).tolist())


def encode_instances(instances: np.ndarray, wanted: np.ndarray) -> list[CocoRLE]:
    """The masks of instances in compressed run lengths, as ``pycocotools.mask.encode`` gives them one by one.

    ``instances`` is (H, W) int32, and ``wanted`` (K,) are the numbers to encode, ascending, all of which occur in it.
    """
    columns = instances.T.ravel()
    starts = np.append(0, np.flatnonzero(columns[1:] != columns[:-1]) + 1)
    owners = columns[starts]
    edges = np.stack([starts, np.append(starts[1:], columns.size)], axis=1)
    # All runs of an instance side by side, each instance's still from the first column to the last.
    order = np.argsort(owners, kind="stable")
    owners, edges = owners[order], edges[order]
    masks = []
    for low, high in zip(np.searchsorted(owners, wanted), np.searchsorted(owners, wanted, "right"), strict=True):
        lengths = np.diff(edges[low:high].ravel(), prepend=0, append=columns.size)
        # pycocotools writes no run of nothing at the end.
        masks.append({"size": instances.shape, "counts": lengths if lengths[-1] else lengths[:-1]})
    return coco_mask.frPyObjects(masks, *instances.shape) if masks else []


# Run lengths


def _load_run_lengths(labels: Path, images: Path, convert: _FromFrame) -> list[dict[str, Any]]:
    found = read_labels(labels)
    frames = [
        frame
        for frame in found.frames
        if image_stem(frame.name) not in MASKS_WITHOUT_IMAGE or (images / frame.name).exists()
    ]
    check_images([frame.name for frame in frames], images, f"named in {labels}")
    total = sum(len(frame.labels or ()) for frame in frames)
    without = sum(label.rle is None for frame in frames for label in frame.labels or ())
    if total and without == total:
        raise DataError(
            f"{labels}: none of its {total:,} labels has a mask in run lengths (rle); give the folder bitmasks/ or the "
            "files in rles/, not polygons/."
        )
    left_out = {"frames without an image": len(found.frames) - len(frames), "labels without run lengths": without}
    warn_of_left_out(labels, left_out)
    dicts = []
    for frame in tqdm(frames, f"reading {labels}", unit="frame", disable=not sys.stderr.isatty()):
        height, width = frame.height_width
        masks = [
            (label, check_rle(label.rle, (height, width), f"{labels}: frame {frame.name}, label {label.id}"))
            for label in frame.labels or ()
            if label.rle is not None
        ]
        head = {"file_name": str(images / frame.name), "image_id": frame.name, "height": height, "width": width}
        dicts.append(head | convert(frame, masks, labels))
    logger.info("%s: %d frames, %d masks in run lengths.", labels, len(frames), total - without)
    return dicts


def _instances_of_frame(frame: Frame, masks: list[tuple[Label, CocoRLE]], path: Path) -> dict[str, Any]:
    ids, bits = [], []
    for label, _ in masks:
        known = TASKS["ins_seg"].class_of(label.category, f"{path}: frame {frame.name}, label {label.id}")
        ids.append(known.index)
        bits.append(crowd_bits(label, known.ignored))
    return {"annotations": _annotations([mask for _, mask in masks], ids, bits)}


def crowd_bits(label: Label, ignored: bool) -> int:
    """The attributes `IGNORED` and `CROWD` of a label; ``ignored`` is whether its class is an ignored one."""
    given = label.attributes
    ignored = ignored or (given is not None and bool(given.ignored))
    return (IGNORED if ignored else 0) | (CROWD if given is not None and given.crowd else 0)


def _segments_of_frame(frame: Frame, masks: list[tuple[Label, CocoRLE]], path: Path) -> dict[str, Any]:
    segments: list[dict[str, Any]] = []
    for label, mask in masks:
        known = TASKS["pan_seg"].class_if_any(label.category, f"{path}: frame {frame.name}, label {label.id}")
        if known is not None:
            segments.append(_segment(len(segments) + 1, known.index + 1, label.is_crowd) | {"segmentation": mask})
    things = [segment for segment in segments if segment["isthing"]]
    keys = ("segmentation", "category_id", "iscrowd")
    return {"annotations": _annotations(*([thing[key] for thing in things] for key in keys)), "segments_info": segments}


def _annotations(masks: list[CocoRLE], category_ids: list[int], bits: list[int]) -> list[dict[str, Any]]:
    """Annotations; ``bits`` are sums of `IGNORED` and `CROWD`, for which Detectron2 has one flag."""
    boxes = coco_mask.toBbox(masks).tolist() if masks else []
    annotations = [
        {"bbox": box, "bbox_mode": XYWH_ABS, "category_id": category_id, "segmentation": mask, "iscrowd": int(one > 0)}
        for box, category_id, mask, one in zip(boxes, category_ids, masks, bits, strict=True)
    ]
    for annotation, one in zip(annotations, bits, strict=True):
        if one:
            # An evaluation of the records tells them apart: officially a crowd may be missed, what is ignored not.
            annotation["bitmask_attributes"] = one
    return annotations


def _segment(number: int, category: int, crowd: bool) -> dict[str, Any]:
    thing = category in THING_IDS
    return {
        "id": number,
        "category_id": THING_IDS[category] if thing else STUFF_IDS[category],
        "isthing": thing,
        "iscrowd": int(crowd),
    }
