"""The ground truth of a data set, or the samples that the training loader makes of it, drawn with a legend."""

import difflib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from ..atomic import write_atomic
from ..data.bitmasks import read_bitmask
from ..data.categories import IGNORE_LABEL
from ..data.dataset_task import categories_of
from ..data.masks import read_mask
from ..data.own_dataset import register_config_datasets
from ..data.register import known_names
from ..data.selection import record_stem
from ..errors import ConfigError, DataError, OutputError
from .legend import add_legend
from .overlay import (
    Objects,
    classes_of_segments,
    draw_classes,
    draw_objects,
    draw_segments,
    panoptic_classes,
    present_classes,
    stack_masks,
    stuff_classes,
    thing_classes,
)

if TYPE_CHECKING:
    from detectron2.config import CfgNode
    from detectron2.data import Metadata

# The keys of a dataset dict that name files.
_FILES = ("file_name", "sem_seg_file_name", "bitmask_file_name", "pan_seg_file_name")

# Detectron2's BoxMode.XYXY_ABS and XYWH_ABS; to import it takes seconds.
_CORNERS, _WITH_SIZE = 0, 1


def write_dataset_images(name: str, folder: Path, limit: int | None = 50, overwrite: bool = False) -> list[Path]:
    """Draws the ground truth of a registered data set: boxes, masks of objects, or classes of pixels.

    Of more frames than ``limit``, this many are taken at equal distances; None draws all. Returns the images' paths,
    ``<name of the frame>.png`` in ``folder``.

    Raises:
        ConfigError: ``name`` is not registered, or its metadata have no classes.
        DataError: labels or images cannot be read, or the loaders refuse them.
        OutputError: ``folder`` cannot be written, holds files of the data set, or has the images without ``overwrite``.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from ..data.images import load_image

    _check_registered(name)
    records = DatasetCatalog.get(name)
    metadata = MetadataCatalog.get(name)
    _check_classes(name, metadata)
    files = [record[key] for record in records for key in _FILES if record.get(key)]
    if limit is not None and len(records) > limit:
        records = [records[int(i)] for i in np.linspace(0, len(records) - 1, limit).round()]
    _check_folder(folder, name, files)
    for record in records:
        _check_new(folder / f"{record_stem(record)}.png", overwrite)
    drawn = (
        (record_stem(record), draw_record(load_image(record["file_name"], "RGB"), record, metadata))
        for record in records
    )
    return _write(drawn, folder, len(records), overwrite)


def write_loader_images(cfg: "CfgNode", folder: Path, limit: int = 50, overwrite: bool = False) -> list[Path]:
    """Draws the first ``limit`` samples that a training with ``cfg`` takes, as the model gets them.

    A ``SEED`` of -1, which lets a training draw one, is 0 here. Returns the images' paths, ``<number>_<name of the
    frame>.png`` in ``folder``.

    Raises:
        ConfigError: ``DATASETS.TRAIN`` is empty, or names a data set that is not registered or has no classes.
        DataError: labels or images cannot be read.
        OutputError: ``folder`` cannot be written, holds files of a data set, or has the images without ``overwrite``.
    """
    from detectron2.data import MetadataCatalog

    from ..data.loader import build_train_loader

    cfg = cfg.clone()
    # The loader's samples do not depend on the number of workers, and these few need none.
    cfg.DATALOADER.NUM_WORKERS = 0
    if not cfg.DATASETS.TRAIN:
        raise ConfigError("DATASETS.TRAIN is empty, so there is nothing to train on; name a data set there.")
    register_config_datasets(cfg)
    for name in cfg.DATASETS.TRAIN:
        _check_registered(name)
        _check_folder(folder, name)
    loader = build_train_loader(cfg, max(cfg.SEED, 0))
    metadata = MetadataCatalog.get(cfg.DATASETS.TRAIN[0])
    # Some data sets tell their classes when they are loaded.
    _check_classes(cfg.DATASETS.TRAIN[0], metadata)
    samples = (sample for batch in loader for sample in batch)
    drawn = (
        (f"{number:04d}_{record_stem(sample)}", draw_sample(sample, cfg.INPUT.FORMAT, metadata))
        for number, sample in zip(range(limit), samples, strict=False)
    )
    return _write(drawn, folder, limit, overwrite)


def draw_record(image: np.ndarray, record: dict[str, Any], metadata: "Metadata") -> np.ndarray:
    """Draws a Detectron2 dataset dict on its image, (H, W, 3) uint8, RGB, and returns it with a legend under it.

    A data set of a task of `PAINTERS` is drawn as that task, another by what ``record`` holds: "segments_info"
    (panoptic), "sem_seg_file_name" or "annotations". A dict with none of them has no labels.

    Raises:
        DataError: a mask is missing, damaged or not of the image's size, boxes are rotated, or an object is of a class
            that the data set has not.
    """
    task = (metadata.get("evaluator_type", None) or "").removeprefix("bdd100k_")
    if task in PAINTERS:
        return PAINTERS[task](image, record, metadata)
    if "segments_info" in record:
        return _draw_panoptic(image, record, metadata)
    return (_draw_mask if "sem_seg_file_name" in record else _draw_annotations)(image, record, metadata)


def draw_sample(sample: dict[str, Any], image_format: str, metadata: "Metadata") -> np.ndarray:
    """Draws an input of a model in training: (H + h, W, 3) uint8, RGB, with a legend under it.

    It has "image", a tensor (C, H, W) of 0 to 255 in ``image_format`` (``INPUT.FORMAT``), and "instances", "sem_seg" or
    both, of which the instances lie on top.
    """
    from detectron2.data.detection_utils import convert_image_to_rgb

    pixels = sample["image"].permute(1, 2, 0).numpy()
    if pixels.dtype != np.uint8 and not image_format.startswith("YUV"):
        # Some augmentations leave the range, and what converts would take 256 from 0 on again.
        pixels = pixels.round().clip(0, 255)
    image = np.ascontiguousarray(convert_image_to_rgb(pixels, image_format).round().clip(0, 255), dtype=np.uint8)
    ids = sample["sem_seg"].numpy().astype(np.uint8) if "sem_seg" in sample else None
    if ids is not None and "instances" not in sample:
        return _draw_ids(image, ids, metadata, sample["file_name"])
    instances = sample["instances"]
    corners = instances.gt_boxes.tensor.numpy().astype(np.float64)
    # Detectron2's boxes end where the next pixel begins.
    corners[:, 2:] -= 1
    owners = None
    if instances.has("gt_masks") and len(instances):
        masks = instances.gt_masks
        if hasattr(masks, "polygons"):
            found = [_decode(polygons, image.shape[:2]) for polygons in masks.polygons]
        else:
            found = masks.tensor.numpy().astype(bool)
        owners = stack_masks(np.asarray(found), corners)
    if ids is not None:
        return _draw_targets(image, ids, owners, instances.gt_classes.tolist(), metadata)
    return _draw_objects(image, Objects(corners, instances.gt_classes.numpy(), None, owners), metadata)


def _draw_targets(
    image: np.ndarray, ids: np.ndarray, owners: np.ndarray | None, things: Sequence[int], metadata: "Metadata"
) -> np.ndarray:
    """What a panoptic model is trained with: the stuff of a mask, of which 0 is all things, and the things over it."""
    stuff = [k for k in present_classes(ids) if 0 < k < IGNORE_LABEL]
    infos = [{"id": k, "isthing": False, "category_id": k} for k in stuff]
    infos += [{"id": IGNORE_LABEL + i, "isthing": True, "category_id": k} for i, k in enumerate(things, 1)]
    segments = np.where(ids == IGNORE_LABEL, 0, ids).astype(np.int32)
    if owners is not None:
        np.copyto(segments, owners + np.int32(IGNORE_LABEL), where=owners > 0)
    classes = panoptic_classes(metadata)
    drawn, present = draw_segments(image, segments, classes_of_segments(infos, metadata), classes)
    return add_legend(drawn, classes, present)


def _check_registered(name: str) -> None:
    from detectron2.data import DatasetCatalog

    known = DatasetCatalog.list()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f" Did you mean {close[0]}?" if close else ""
        raise ConfigError(f"no data set {name!r} is registered.{meant} Of BDD100K there are {known_names()}.")


def _check_folder(folder: Path, name: str, files: Iterable[str] = ()) -> None:
    """Raises OutputError if the files of a data set, ``files`` among them, lie in ``folder``."""
    from detectron2.data import MetadataCatalog

    metadata = MetadataCatalog.get(name)
    places = {Path(place) for key in ("image_root", "label_path", "sem_seg_root") if (place := metadata.get(key, None))}
    if folder.resolve() in {place.resolve() for place in places | {Path(file).parent for file in files}}:
        raise OutputError(f"{folder}: holds files of the data set, which are only read; choose another folder.")


def _check_new(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists; choose another folder, or --overwrite to replace it.")


def _check_classes(name: str, metadata: "Metadata") -> None:
    if not (categories_of(metadata, "thing") or categories_of(metadata, "stuff")):
        raise ConfigError(
            f"{name}: its metadata have no thing_classes or stuff_classes; set them where it is registered."
        )


def _draw_annotations(image: np.ndarray, record: dict[str, Any], metadata: "Metadata") -> np.ndarray:
    annotations = record.get("annotations", ())
    corners = np.array([_corners(one, record["file_name"]) for one in annotations], np.float64).reshape(-1, 4)
    owners = None
    if any("segmentation" in one for one in annotations):
        masks = [_decode(one.get("segmentation"), image.shape[:2]) for one in annotations]
        for mask in masks:
            _check_size(image, mask, "mask", record["file_name"])
        owners = stack_masks(np.array(masks), corners)
    classes = np.array([one["category_id"] for one in annotations], np.int64)
    known = len(categories_of(metadata, "thing"))
    if unknown := sorted({*classes.tolist()} - {*range(known)}):
        raise DataError(
            f"{record['file_name']}: category_id {unknown[0]}, but there are {known} thing_classes; mend one."
        )
    ignored = np.array([bool(one.get("iscrowd", 0)) for one in annotations], bool)
    return _draw_objects(image, Objects(corners, classes, None, owners, ignored), metadata)


def _draw_mask(image: np.ndarray, record: dict[str, Any], metadata: "Metadata") -> np.ndarray:
    if "sem_seg_file_name" not in record:
        return add_legend(image, stuff_classes(metadata), ())
    return _draw_ids(image, read_mask(record["sem_seg_file_name"]), metadata, record["sem_seg_file_name"])


def _draw_panoptic(image: np.ndarray, record: dict[str, Any], metadata: "Metadata") -> np.ndarray:
    infos = record.get("segments_info", ())
    class_of = classes_of_segments(infos, metadata)
    if "bitmask_file_name" in record:
        bitmask = read_bitmask(record["bitmask_file_name"])
        segments = bitmask.instances
        _check_size(image, segments, "bitmask", record["bitmask_file_name"])
        class_of = {place: class_of[i] for place, i in enumerate(bitmask.ids.tolist(), start=1) if i in class_of}
    elif "pan_seg_file_name" in record:
        from ..data.images import load_image

        # COCO's: red, green and blue are the bytes of a segment's id.
        pixels = load_image(record["pan_seg_file_name"], "RGB").astype(np.int64) @ (1, 1 << 8, 1 << 16)
        _check_size(image, pixels, "mask", record["pan_seg_file_name"])
        ids, segments = np.unique(pixels, return_inverse=True)
        segments = segments.reshape(pixels.shape)
        class_of = {place: class_of[i] for place, i in enumerate(ids.tolist()) if i in class_of}
    else:
        segments = np.zeros(image.shape[:2], np.int32)
        for info in infos:
            mask = _decode(info["segmentation"], image.shape[:2])
            _check_size(image, mask, "mask", record["file_name"])
            segments[mask] = info["id"]
    classes = panoptic_classes(metadata)
    drawn, present = draw_segments(image, segments, class_of, classes)
    return add_legend(drawn, classes, present)


PAINTERS: dict[str, Callable[[np.ndarray, dict[str, Any], "Metadata"], np.ndarray]] = {
    "det": _draw_annotations,
    "sem_seg": _draw_mask,
    "drivable": _draw_mask,
    "ins_seg": _draw_annotations,
    "pan_seg": _draw_panoptic,
}
"""By task: image (H, W, 3), its dataset dict and the data set's metadata -> the image with the labels and a legend."""


def _draw_objects(image: np.ndarray, objects: Objects, metadata: "Metadata") -> np.ndarray:
    classes = thing_classes(metadata)
    present = objects.classes if objects.ignored is None else objects.classes[~objects.ignored]
    return add_legend(draw_objects(image, objects, classes), classes, present.tolist())


def _draw_ids(image: np.ndarray, ids: np.ndarray, metadata: "Metadata", source: str) -> np.ndarray:
    _check_size(image, ids, "mask", source)
    classes = stuff_classes(metadata)
    return add_legend(draw_classes(image, ids, classes), classes, present_classes(ids))


def _check_size(image: np.ndarray, mask: np.ndarray, what: str, source: str) -> None:
    if mask.shape != image.shape[:2]:
        (height, width), (image_height, image_width) = mask.shape, image.shape[:2]
        raise DataError(
            f"{source}: the {what} is {width}x{height}, its image {image_width}x{image_height}; download or write it "
            "again."
        )


def _corners(annotation: dict[str, Any], source: str) -> tuple[float, float, float, float]:
    if annotation["bbox_mode"] not in (_CORNERS, _WITH_SIZE):
        raise DataError(f"{source}: boxes of mode {annotation['bbox_mode']}; XYXY_ABS and XYWH_ABS can be drawn.")
    x, y, right, bottom = annotation["bbox"]
    if annotation["bbox_mode"] == _WITH_SIZE:
        right, bottom = x + right, y + bottom
    return x, y, right - 1, bottom - 1


def _decode(segmentation: Any, size: Sequence[int]) -> np.ndarray:  # noqa: ANN401, Detectron2's three forms
    """The mask (H, W) bool of an annotation: polygons, run lengths, or none."""
    if not segmentation:
        return np.zeros(size, bool)
    if isinstance(segmentation, dict):
        compressed = isinstance(segmentation["counts"], bytes | str)
        return coco_mask.decode(segmentation if compressed else coco_mask.frPyObjects(segmentation, *size)) > 0
    polygons = [np.asarray(polygon, np.float64).ravel().tolist() for polygon in segmentation]
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *size))) > 0


def _write(drawn: Iterable[tuple[str, np.ndarray]], folder: Path, total: int, overwrite: bool) -> list[Path]:
    written = []
    for name, image in tqdm(drawn, "drawing", total, unit="image", disable=not sys.stderr.isatty()):
        path = folder / f"{name}.png"
        _check_new(path, overwrite)
        write_atomic(path, cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
        written.append(path)
    return written
