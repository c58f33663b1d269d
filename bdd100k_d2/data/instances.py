"""Labels of instance and panoptic segmentation -> Detectron2 dataset dicts.

The labels are bitmasks or run lengths. All of them are read when the dataset is loaded, because Detectron2 wants the
masks in the dicts.
"""

import logging
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from ..errors import DataError
from ..tasks import TASKS, Task
from .bitmasks import CROWD, IGNORED, REGION, Bitmask, check_categories, read_bitmask
from .categories import LabelClass
from .datasets import (
    MASKS_WITHOUT_IMAGE,
    XYWH_ABS,
    FindClass,
    Head,
    check_images,
    match_images,
    warn_of_left_out,
)
from .folders import holds
from .image_names import image_stem
from .labels import Frame, Label
from .rle import CocoRLE, check_rle, union
from .stuff import segments_of
from .vintages import Vintage, read_labels

logger = logging.getLogger(__name__)


class PanopticIds(NamedTuple):
    """By the ids of bitmasks, which count the classes from 1, those of Detectron2's PanopticFPN.

    Things and stuff each have ids of their own, and stuff 0 stands for all things.
    """

    things: dict[int, int]
    stuff: dict[int, int]


def panoptic_ids(task: Task) -> PanopticIds:
    """The ids of the classes of pan_seg, or of another set of them."""
    ids = [*enumerate(task.categories, 1)]
    things = {i: n for n, i in enumerate(i for i, category in ids if category.is_thing)}
    return PanopticIds(things, {i: n for n, i in enumerate((i for i, _ in ids if i not in things), 1)})


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
    return _load(Path(labels), Path(images), TASKS["ins_seg"])


def load_panoptic(labels: str | os.PathLike[str], images: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads the labels of panoptic segmentation; arguments and errors as of :func:`load_instances`.

    Returns:
        One dict per frame with

        * ``annotations`` of its things, as :func:`load_instances` gives them, ``category_id`` 0 to 9;
        * ``segments_info`` of things and stuff: ``id`` (of a bitmask's annotation, else a count from 1), ``isthing``,
          ``category_id`` (things 0 to 9, stuff 1 to 30, as in the metadata), ``iscrowd`` (1 for crowds and for ignored
          segments), and ``segmentation`` where the labels are run lengths. All stuff of a class is one segment, its
          crowds another;
        * ``bitmask_file_name`` where the labels are bitmasks. It is not ``pan_seg_file_name``, for which Detectron2
          expects other colours.

        Pixels of no segment are unlabelled. Labels of other tasks' classes are left out, as the official toolkit does.
    """
    return _load(Path(labels), Path(images), TASKS["pan_seg"])


def _load(labels: Path, images: Path, task: Task) -> list[dict[str, Any]]:
    if holds(labels, ".png"):
        files = match_images(labels, images)
        return bitmask_records(files, {name: images / name for name in files}, labels, task)
    found = read_labels(labels)
    frames = [
        frame
        for frame in found.frames
        if image_stem(frame.name) not in MASKS_WITHOUT_IMAGE or (images / frame.name).exists()
    ]
    check_images([frame.name for frame in frames], images, f"named in {labels}")
    warn_of_left_out(labels, {"frames without an image": len(found.frames) - len(frames)})

    def head(frame: Frame) -> dict[str, Any]:
        height, width = frame.height_width
        return {"file_name": str(images / frame.name), "image_id": frame.name, "height": height, "width": width}

    return run_length_records(frames, labels, head, task, default_find_class(task), found.vintage is Vintage.COCO)


def default_find_class(task: Task) -> FindClass:
    """What a label is of, if it has to be of a class of the task; in pan_seg it may also be of another of BDD100K."""
    return task.class_of if task.has_scores else task.class_if_any


# Bitmasks


def bitmask_records(
    files: Mapping[str, Path], images: Mapping[str, Path], folder: Path, task: Task
) -> list[dict[str, Any]]:
    """The records of bitmasks, as :func:`load_instances` and :func:`load_panoptic` have them.

    ``files`` and ``images`` are those of each frame, by its name; ``folder`` is shown.
    """
    of_bitmask = _instances_of_bitmask if task.has_scores else _segments_of_bitmask

    def read(path: Path) -> dict[str, Any]:
        bitmask = read_bitmask(path)
        check_categories(bitmask, task.num_classes, path)
        height, width = bitmask.instances.shape
        return {"height": height, "width": width, **of_bitmask(bitmask, path, task)}

    # Pillow and NumPy let other threads run while they decode.
    with ThreadPoolExecutor() as pool:
        found = pool.map(read, files.values())
        bar = tqdm(found, f"reading {folder}", len(files), unit="bitmask", disable=not sys.stderr.isatty())
        return [
            {"file_name": str(images[name]), "image_id": name, **fields}
            for name, fields in zip(files, bar, strict=True)
        ]


def _instances_of_bitmask(bitmask: Bitmask, path: Path, task: Task) -> dict[str, Any]:
    return {"annotations": _annotations_of_bitmask(bitmask, bitmask.categories > 0, bitmask.categories - 1)}


def _segments_of_bitmask(bitmask: Bitmask, path: Path, task: Task) -> dict[str, Any]:
    known = panoptic_ids(task)
    things = np.isin(bitmask.categories, list(known.things))
    crowds = bitmask.attributes & (IGNORED | CROWD) > 0
    columns = bitmask.ids.tolist(), bitmask.categories.tolist(), crowds.tolist()
    segments = [_segment(*row, known) for row in zip(*columns, strict=True) if row[1] > 0]
    ids = np.array([known.things.get(category, -1) for category in bitmask.categories.tolist()], int)
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


def run_length_records(
    frames: list[Frame], labels: Path, head: Head, task: Task, find_class: FindClass, of_coco: bool
) -> list[dict[str, Any]]:
    """The records of frames with run lengths, as :func:`load_instances` and :func:`load_panoptic` have them.

    ``of_coco`` says that the labels are a COCO file's, whose crowds have a rule of their own (`REGION`).
    """
    total = sum(len(frame.labels or ()) for frame in frames)
    without = sum(label.rle is None for frame in frames for label in frame.labels or ())
    if total and without == total:
        raise DataError(
            f"{labels}: none of its {total:,} labels has a mask in run lengths (rle); give the folder bitmasks/ or the "
            "files in rles/, not polygons/."
        )
    warn_of_left_out(labels, {"labels without run lengths": without})
    dicts = []
    for frame in tqdm(frames, f"reading {labels}", unit="frame", disable=not sys.stderr.isatty()):
        record = head(frame)
        masks = []
        for label in frame.labels or ():
            where = f"{labels}: frame {frame.name}, label {label.id}"
            if label.rle is not None:
                mask = check_rle(label.rle, (record["height"], record["width"]), where)
                known = find_class(label.category, where)
                if known is not None:
                    masks.append((known, crowd_bits(label, known.ignored, of_coco), mask))
        dicts.append(record | (_instances_of(masks) if task.has_scores else _segments_of(masks, task)))
    logger.info("%s: %d frames, %d masks in run lengths.", labels, len(frames), total - without)
    return dicts


_ClassAndMask = tuple[LabelClass, int, CocoRLE]
"""Of a label: the class, its attributes as of :func:`crowd_bits`, and the mask."""


def crowd_bits(label: Label, ignored: bool, of_coco: bool) -> int:
    """The attributes `IGNORED` and `CROWD` of a label, and `REGION` of COCO's crowds.

    ``ignored`` is whether its class is an ignored one, ``of_coco`` whether its file is COCO's.
    """
    given = label.attributes
    ignored = ignored or (given is not None and bool(given.ignored))
    bits = (IGNORED if ignored else 0) | (CROWD if given is not None and given.crowd else 0)
    # BDD100K's labels may have both marks too.
    return bits | (REGION if of_coco and bits == CROWD | IGNORED else 0)


def _instances_of(masks: list[_ClassAndMask]) -> dict[str, Any]:
    ids, bits = [known.index for known, _, _ in masks], [one for _, one, _ in masks]
    return {"annotations": _annotations([mask for _, _, mask in masks], ids, bits)}


def _segments_of(masks: list[_ClassAndMask], task: Task) -> dict[str, Any]:
    ids = panoptic_ids(task)
    segments = []
    classes, crowds = [known.index for known, _, _ in masks], [bits > 0 for _, bits, _ in masks]
    for number, places in enumerate(segments_of(classes, crowds, task), 1):
        known, bits, _ = masks[places[0]]
        mask = union([masks[i][2] for i in places])
        segments.append(_segment(number, known.index + 1, bits > 0, ids) | {"segmentation": mask})
    things = [(known.index + 1, bits, mask) for known, bits, mask in masks if known.index + 1 in ids.things]
    columns = [mask for _, _, mask in things], [ids.things[i] for i, _, _ in things], [bits for _, bits, _ in things]
    return {"annotations": _annotations(*columns), "segments_info": segments}


def _annotations(masks: list[CocoRLE], category_ids: list[int], bits: list[int]) -> list[dict[str, Any]]:
    """Annotations; ``bits`` are sums of `IGNORED`, `CROWD` and `REGION`, for which Detectron2 has one flag."""
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


def _segment(number: int, category: int, crowd: bool, known: PanopticIds) -> dict[str, Any]:
    thing = category in known.things
    return {
        "id": number,
        "category_id": known.things[category] if thing else known.stuff[category],
        "isthing": thing,
        "iscrowd": int(crowd),
    }
