"""The ground truth of a panoptic data set in COCO's form, for Mask2Former and others that read nothing else.

Images and categories have the ids that the results of an evaluation have (:mod:`.coco_results`).
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from pycocotools import mask as coco_mask
from tqdm import tqdm

from ...atomic import write_atomic
from ...data.bitmasks import CROWD, IGNORED, Bitmask
from ...data.coco_panoptic import (
    PanopticAnnotation,
    PanopticCategory,
    PanopticDocument,
    PanopticImage,
    PanopticSegment,
    segment_colors,
)
from ...data.convert.mask_reader import in_threads
from ...data.convert.outputs import new_folder
from ...data.instances import encode_instances
from ...data.png import save_png
from ...errors import ConfigError, OutputError
from ...inside import expanded, refuse_overwriting
from ..prediction_files import mask_path
from .bitmasks import BDD100KPanSegEvaluator
from .coco_results import image_ids
from .records import frame_name, frame_stem


def write_coco_panoptic(dataset_name: str, path: str | os.PathLike[str]) -> Path:
    """Writes the labels of a registered data set of pan_seg, BDD100K's, a slice or one of users' own, in COCO's form.

    ``write_coco_panoptic("bdd100k_pan_seg_val", "coco/val.json")`` writes that file and ``coco/val/*.png``, which
    :func:`~bdd100k_d2.data.coco_panoptic.register_coco_panoptic` and Detectron2's function of that name register. A
    segment keeps the id that it has in its bitmask; ``iscrowd`` is 1 for crowds and ignored ones; what is "unlabeled"
    is no segment. Returns the file.

    Raises:
        ConfigError: the data set is of another task, or has no labels.
        DataError: labels that cannot be read.
        OutputError: the file or folder is there, or cannot be written.
    """
    path = expanded(path)
    if path.suffix != ".json":
        raise OutputError(f"{path}: the labels are a JSON file; give a path that ends in .json.")
    folder = path.with_suffix("")
    for one in (path, folder):
        if os.path.lexists(one):
            raise OutputError(f"{one}: exists; remove it, or give another place.")
    evaluator = BDD100KPanSegEvaluator(dataset_name)
    truth, metadata = evaluator.truth, MetadataCatalog.get(dataset_name)
    if truth is None:
        raise ConfigError(f"{dataset_name}: has no labels that could be written; choose another data set.")
    records = DatasetCatalog.get(dataset_name) if evaluator.records is None else [*evaluator.records.values()]
    sources = {Path(one["bitmask_file_name"]).parent for one in records if "bitmask_file_name" in one}
    refuse_overwriting(path, [*sources, *filter(None, [evaluator.label_path])])
    ids, root = image_ids(evaluator, ()), metadata.get("image_root", None)
    with new_folder(folder, lambda _: False) as temporary:

        def write(record: dict[str, Any]) -> tuple[PanopticImage, PanopticAnnotation]:
            stem = frame_stem(frame_name(record))
            png = mask_path(temporary, stem)
            bitmask = _labelled(truth.read(stem))
            save_png(segment_colors(bitmask), png)
            height, width = bitmask.instances.shape
            image = PanopticImage(int(ids[stem]), _below(str(record["file_name"]), root), height, width)
            return image, PanopticAnnotation(image.id, png.name, [*_segments(bitmask)])

        bar = tqdm(in_threads(write, records), f"writing {folder}", len(records), disable=not sys.stderr.isatty())
        rows = [*bar]
    evaluator.warn_of_overlaps(())
    classes = enumerate(evaluator.task.categories, 1)
    document = PanopticDocument(
        [image for image, _ in rows],
        [annotation for _, annotation in rows],
        [PanopticCategory(i, one.name, int(one.is_thing), one.color) for i, one in classes],
    )
    write_atomic(path, msgspec.json.encode(document))
    return path


def _labelled(bitmask: Bitmask) -> Bitmask:
    """The bitmask without the segments that are called "unlabeled"."""
    kept = bitmask.categories > 0
    numbers = np.append(0, np.where(kept, np.cumsum(kept), 0)).astype(np.int32)
    return Bitmask(numbers[bitmask.instances], *(column[kept] for column in bitmask[1:]))


def _segments(bitmask: Bitmask) -> Iterator[PanopticSegment]:
    masks = encode_instances(bitmask.instances, np.arange(1, len(bitmask.ids) + 1))
    boxes = coco_mask.toBbox(masks).astype(int).tolist() if masks else []
    areas = np.bincount(bitmask.instances.ravel(), minlength=len(bitmask.ids) + 1)[1:].tolist()
    crowds = (bitmask.attributes & (IGNORED | CROWD) > 0).astype(int).tolist()
    for row in zip(bitmask.ids.tolist(), bitmask.categories.tolist(), crowds, areas, boxes, strict=True):
        yield PanopticSegment(*row)


def _below(image: str, root: str | None) -> str:
    """The path of an image below the folder of all, or its name."""
    path = Path(image)
    return path.relative_to(root).as_posix() if root is not None and path.is_relative_to(root) else path.name
