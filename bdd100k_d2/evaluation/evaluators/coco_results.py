"""Results in COCO's forms, beside the official ones, for tools that go on from them.

Images and categories have the ids of the COCO file that ``tools/convert_labels.py --to coco`` makes of the labels, in
which images count from 1 in the order of the labels and categories are the classes from 1; those of a data set that was
a COCO file, whose records have whole numbers for ``image_id`` and whose metadata has the categories' ids, are its own.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from pycocotools import mask as coco_mask

from ...atomic import write_atomic
from ...data.bitmasks import Bitmask
from ...data.instances import encode_instances
from ...data.labels import write_frames
from ...data.masks import list_masks
from ...data.vintages import read_labels
from ...errors import DataError
from ..boxes import Boxes
from ..prediction_files import mask_path, write_mask
from .base import COCO_LIST, COCO_PANOPTIC, COCO_PANOPTIC_LIST, OfficialEvaluator
from .records import frame_name, frame_stem


def image_ids(evaluator: OfficialEvaluator, predicted: Iterable[str]) -> dict[str, int]:
    """The id of each image by its frame's stem; of a split without labels they count the ``predicted`` by name.

    Raises:
        DataError: two frames have one stem.
    """
    names: Iterable[str]
    if evaluator.records is not None:
        names = [frame_name(record) for record in evaluator.records.values()]
        own = [record.get("image_id") for record in evaluator.records.values()]
        if all(isinstance(one, int) for one in own):
            return {frame_stem(name): one for name, one in zip(names, own, strict=True) if isinstance(one, int)}
    elif evaluator.label_path is None:
        names = sorted(predicted)
    elif not (names := list_masks(evaluator.label_path) if evaluator.label_path.is_dir() else {}):
        names = [frame.name for frame in read_labels(evaluator.label_path).frames]
    ids = {frame_stem(name): i for i, name in enumerate(names, 1)}
    if len(ids) < len([*names]):
        raise DataError(f"{evaluator.source}: two frames have one name but for the ending; rename one of them.")
    return ids


def category_ids(dataset_name: str, count: int) -> list[int]:
    """The id of each of ``count`` classes."""
    known = MetadataCatalog.get(dataset_name).get("thing_dataset_id_to_contiguous_id", None) or {}
    own = {place: one for one, place in known.items()}
    return [own[k] for k in range(count)] if own.keys() >= set(range(count)) else [*range(1, count + 1)]


def write_boxes(evaluator: OfficialEvaluator, boxes: Boxes, folder: Path) -> None:
    """Writes ``coco_instances_results.json``, which pycocotools' ``loadRes`` takes; boxes are x, y, width, height."""
    ids, categories = image_ids(evaluator, boxes.names), category_ids(evaluator.dataset_name, len(evaluator.names))
    images = [ids[frame_stem(name)] for name in boxes.names]
    columns = (column.tolist() for column in (boxes.frame, boxes.category, boxes.xywh, boxes.score))
    rows = (
        {"image_id": images[i], "category_id": categories[k], "bbox": box, "score": score}
        for i, k, box, score in zip(*columns, strict=True)
    )
    write_frames(rows, folder / COCO_LIST)


def instance_rows(bitmask: Bitmask, scores: np.ndarray) -> list[dict[str, Any]]:
    """The instances of a predicted bitmask, best first, with their ``scores`` (N,); images are not known here."""
    masks = encode_instances(bitmask.instances, np.arange(1, len(bitmask.ids) + 1))
    boxes = coco_mask.toBbox(masks).tolist() if masks else []
    return [
        {
            "category": category - 1,
            "bbox": box,
            "segmentation": {"size": [*mask["size"]], "counts": mask["counts"].decode()},
            "score": score,
        }
        for category, box, mask, score in zip(bitmask.categories.tolist(), boxes, masks, scores.tolist(), strict=True)
    ]


def write_instances(evaluator: OfficialEvaluator, found: Mapping[str, list[dict[str, Any]]], folder: Path) -> None:
    """Writes ``coco_instances_results.json`` of what :func:`instance_rows` gave, by frame."""
    ids, categories = image_ids(evaluator, found), category_ids(evaluator.dataset_name, len(evaluator.names))

    def rows() -> Iterator[dict[str, Any]]:
        for name in sorted(found):
            for row in found[name]:
                rest = {key: value for key, value in row.items() if key != "category"}
                yield {"image_id": ids[frame_stem(name)], "category_id": categories[row["category"]], **rest}

    write_frames(rows(), folder / COCO_LIST)


def write_segments_png(bitmask: Bitmask, name: str, folder: Path) -> list[dict[str, int]]:
    """Writes ``panoptic/<frame>.png`` of a predicted bitmask, and returns its segments, with the ids in the image.

    As panopticapi has it, the id of a segment is R + 256 G + 65,536 B; 0 is unlabelled.
    """
    of_pixel = np.append(0, bitmask.ids)[bitmask.instances]
    colors = np.stack([of_pixel & 0xFF, of_pixel >> 8, np.zeros_like(of_pixel)], axis=2).astype(np.uint8)
    write_mask(colors, mask_path(folder / COCO_PANOPTIC, name))
    columns = bitmask.ids.tolist(), bitmask.categories.tolist()
    return [{"id": one, "category_id": category} for one, category in zip(*columns, strict=True)]


def write_segments(evaluator: OfficialEvaluator, found: Mapping[str, list[dict[str, int]]], folder: Path) -> None:
    """Writes ``coco_panoptic_results.json`` of what :func:`write_segments_png` gave, by frame."""
    ids = image_ids(evaluator, found)
    rows = [
        {"image_id": ids[frame_stem(name)], "file_name": mask_path("", name).name, "segments_info": found[name]}
        for name in sorted(found)
    ]
    images = [{"id": row["image_id"], "file_name": row["file_name"]} for row in rows]
    categories = [
        {"id": i, "name": category.name, "isthing": int(category.is_thing), "color": category.color}
        for i, category in enumerate(evaluator.task.categories, 1)
    ]
    document = {"images": images, "annotations": rows, "categories": categories}
    write_atomic(folder / COCO_PANOPTIC_LIST, json.dumps(document))
