"""Results in COCO's forms, beside the official ones, for tools that go on from them.

Images and categories have the ids of the COCO file that ``tools/convert_labels.py --to coco`` makes of the labels, in
which images count from 1 in the order of the labels and categories are the classes from 1. Those of a data set that was
a COCO file are its own: of one whose records have whole numbers for ``image_id`` and whose metadata has the categories'
ids, as Detectron2 registers it, and of one whose ``label_path`` is the file, as ``register_dataset`` does.

A second list of boxes and instances has the registered records' own ``image_id``, which of BDD100K are the names of the
images: by these Detectron2's ``visualize_json_results.py`` looks for them. They cannot be the ids of the first list:
pycocotools takes texts for ids, but faster-coco-eval and hotcoco take whole numbers alone.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from pycocotools import mask as coco_mask

from ...atomic import write_atomic
from ...data.bitmasks import Bitmask
from ...data.coco import CocoNames, Id, is_coco, read_names
from ...data.coco_panoptic import segment_colors
from ...data.instances import encode_instances
from ...data.labels import write_frames
from ...data.masks import list_masks
from ...data.vintages import read_labels
from ...errors import DataError
from ..boxes import Boxes
from ..prediction_files import mask_path, write_mask
from .base import COCO_LIST, COCO_PANOPTIC, COCO_PANOPTIC_LIST, RECORDS_LIST, OfficialEvaluator
from .records import Record, frame_name, frame_stem

_Row = tuple[str, int, dict[str, Any]]
"""The frame's name, the index of the class, and what else stands in a line of a list."""


def _of_file(evaluator: OfficialEvaluator) -> CocoNames | None:
    """What the ids of the COCO file stand for that a data set of users' own was made of; None if it was of none."""
    place = MetadataCatalog.get(evaluator.dataset_name).get("label_path", None)
    if evaluator.records is None or _have_ids(evaluator.records) or not place or not Path(place).is_file():
        return None
    found = read_names(Path(place)) if is_coco(Path(place)) else None
    there = set() if found is None else {frame.name for frame in found.frames.values()}
    # Who copies the metadata for other records copies the path too.
    return found if there.issuperset(map(frame_name, evaluator.records.values())) else None


def _have_ids(records: Mapping[str, Record]) -> bool:
    return all(isinstance(record.get("image_id"), int) for record in records.values())


def image_ids(evaluator: OfficialEvaluator, predicted: Iterable[str]) -> dict[str, Id]:
    """The id of each image by its frame's stem; of a split without labels they count the ``predicted`` by name.

    Raises:
        DataError: two frames have one stem.
    """
    names: Iterable[str]
    ids: Iterable[Id] | None = None
    if (of_file := _of_file(evaluator)) is not None:
        names, ids = [frame.name for frame in of_file.frames.values()], of_file.frames
    elif evaluator.records is not None:
        names = [frame_name(record) for record in evaluator.records.values()]
        if _have_ids(evaluator.records):
            ids = [record["image_id"] for record in evaluator.records.values()]
    elif evaluator.label_path is None:
        names = sorted(predicted)
    elif not (names := list_masks(evaluator.label_path) if evaluator.label_path.is_dir() else {}):
        names = [frame.name for frame in read_labels(evaluator.label_path).frames]
    names = [*names]
    found = dict(zip(map(frame_stem, names), range(1, len(names) + 1) if ids is None else ids, strict=True))
    if len(found) < len(names):
        raise DataError(f"{evaluator.source}: two frames have one name but for the ending; rename one of them.")
    return found


def category_ids(evaluator: OfficialEvaluator) -> list[Id]:
    """The id of each class; one that a COCO file has not gets a number beyond those of its categories."""
    own: dict[int, Id] = {}
    if (of_file := _of_file(evaluator)) is not None:
        known = evaluator.task.label_classes
        for one, name in of_file.categories.items():
            if name in known and not known[name].ignored:
                place = known[name].index
                # Of several names of a class, its own.
                own[place] = one if name == evaluator.names[place] else own.get(place, one)
        beyond = max((one for one in of_file.categories if isinstance(one, int)), default=0) + 1
    elif evaluator.records is not None and _have_ids(evaluator.records):
        metadata = MetadataCatalog.get(evaluator.dataset_name)
        ids = metadata.get("thing_dataset_id_to_contiguous_id", None) or {}
        own, beyond = {place: one for one, place in ids.items()}, max(ids, default=0) + 1
    else:
        beyond = 1
    return [own.get(k, beyond + k) for k in range(len(evaluator.names))]


def _write_lists(
    evaluator: OfficialEvaluator, names: Iterable[str], rows: Callable[[], Iterable[_Row]], folder: Path
) -> None:
    """Writes both lists of ``rows``, which have the names of predicted frames, and the indices of classes."""
    names = [*names]
    by_stem, records = image_ids(evaluator, names), evaluator.records or {}
    of_file = {name: by_stem[frame_stem(name)] for name in names}
    found = ((name, records.get(name) or records.get(frame_stem(name), {})) for name in names)
    of_records = {name: record.get("image_id", name) for name, record in found}
    ids = category_ids(evaluator)
    by_metadata = MetadataCatalog.get(evaluator.dataset_name).get("thing_dataset_id_to_contiguous_id", None) or {}
    known = {place: one for one, place in by_metadata.items()}
    for path, images, categories in (
        (folder / COCO_LIST, of_file, ids),
        (folder / RECORDS_LIST, of_records, [known.get(k, one) for k, one in enumerate(ids)]),
    ):
        each = ({"image_id": images[name], "category_id": categories[k], **rest} for name, k, rest in rows())
        write_frames(each, path)


def write_boxes(evaluator: OfficialEvaluator, boxes: Boxes, folder: Path) -> None:
    """Writes ``coco_instances_results.json``, which pycocotools' ``loadRes`` takes; boxes are x, y, width, height.

    Beside it is ``record_instances_results.json``, the same by the records' own ``image_id``.
    """
    columns = [column.tolist() for column in (boxes.frame, boxes.category, boxes.xywh, boxes.score)]

    def rows() -> Iterator[_Row]:
        for i, k, box, score in zip(*columns, strict=True):
            yield boxes.names[i], k, {"bbox": box, "score": score}

    _write_lists(evaluator, boxes.names, rows, folder)


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
    """Writes the lists of :func:`write_boxes`, with masks, of what :func:`instance_rows` gave, by frame."""

    def rows() -> Iterator[_Row]:
        for name in sorted(found):
            for row in found[name]:
                yield name, row["category"], {key: value for key, value in row.items() if key != "category"}

    _write_lists(evaluator, found, rows, folder)


def write_segments_png(bitmask: Bitmask, name: str, folder: Path) -> list[dict[str, int]]:
    """Writes ``panoptic/<frame>.png`` of a predicted bitmask, and returns its segments, with the ids in the image."""
    write_mask(segment_colors(bitmask), mask_path(folder / COCO_PANOPTIC, name))
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
