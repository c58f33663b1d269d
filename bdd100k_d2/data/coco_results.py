"""Results of other detectors -> frames: COCO's list of results, as MMDetection and Ultralytics write it.

A result is ``{"image_id", "category_id", "bbox": [x, y, width, height], "score"}``, with a mask also
``"segmentation"``: https://cocodataset.org/#format-results. What the ids stand for is in the COCO file that the
results were made for. Ultralytics (``ultralytics/models/yolo/detect/val.py``) writes the stems of the images as ids,
and counts categories from 0 or, in newer versions, from 1; the newer ones write ``file_name`` too.
"""

import json
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..errors import DataError, shown
from .categories import DET
from .coco import ABSENT, CocoNames, Id, category_name, id_number, read_names
from .coco_masks import Segmentation, segmentation_mask
from .image_names import image_name, image_stem
from .json_file import JSON_ERRORS, read_beginning, read_json
from .labels import Box2D, DocumentPart, Frame, Label, are_objects, diagnose, each_once, without_collection
from .vintages import read_labels

logger = logging.getLogger(__name__)

_BEGINNING = 1 << 16
_FIRST_OBJECT = re.compile(r"\s*\[\s*(?=\{)")
_ID = re.compile(r'"image_id"\s*:')

_HOW = "give the COCO file of the images, with their ids and categories, with --image-ids"


class _Result(msgspec.Struct, gc=False):
    category_id: Id
    image_id: Id | None = None
    file_name: str | None = None
    bbox: tuple[float, float, float, float] | None = None
    score: float | None = None
    # Parsed one by one, as in COCO files.
    segmentation: msgspec.Raw = ABSENT


class _WholeResult(_Result, gc=False):
    segmentation: Segmentation = None  # type: ignore[assignment]  # what the unparsed one has to be


def is_results(path: Path) -> bool:
    """Whether a file is a list whose first object is a result: it has ``image_id``, and no ``labels``."""
    text = read_beginning(path, _BEGINNING).decode(errors="ignore")
    start = _FIRST_OBJECT.match(text)
    if start is None:
        return False
    try:
        first, _ = json.JSONDecoder().raw_decode(text, start.end())
    except (ValueError, RecursionError):
        # A mask of many run lengths: only a result can have a key of that name and be so long.
        return _ID.search(text) is not None and '"labels"' not in text
    return "image_id" in first and "labels" not in first


def read_results(path: Path, image_ids: Path | None) -> Iterator[Frame]:
    """Yields the frames of a list of results; boxes become inclusive corners, ``segmentation`` a mask.

    With ``image_ids``, the COCO file that says what the ids stand for, they are its images in their order, also those
    without results. Without it only files in which the images are named are read, as Ultralytics writes them: their
    categories are the classes of detection in their order, and count from 0 if 0 is among them, from 1 if the number
    of classes is. The frames are then in the order in which they appear.

    Raises:
        DataError: an unreadable file, an id that stands for nothing, ids whose meaning cannot be told, a result without
            a score or without a box and a mask, or a damaged mask.
    """
    content = read_json(path)
    try:
        with without_collection():
            results = msgspec.json.decode(content, type=list[_Result])
        names = _told_names(results, path) if image_ids is None else read_names(image_ids)
        found = _by_image(results, names, path, image_ids)
        for key, frame in zip(names.frames, each_once(names.frames.values(), image_ids or path), strict=True):
            labels = [_label(one, number, frame, names, path) for number, one in found.pop(key, ())]
            yield Frame(frame.name, frame.videoName, frame.attributes, size=frame.size, labels=labels)
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error, _parts)}") from error


def read_predictions(path: Path, image_ids: Path | None = None) -> list[Frame]:
    """The frames of predictions: results, of which ``image_ids`` says what the ids stand for, or labels of any kind.

    Raises:
        DataError: as `read_results` and :func:`~bdd100k_d2.data.vintages.read_labels`, or ``image_ids`` beside labels.
    """
    if is_results(path):
        return list(read_results(path, image_ids))
    if image_ids is not None:
        raise DataError(f"{path}: is no list of COCO results, whose ids {image_ids} would name; leave out --image-ids.")
    return read_labels(path).frames


def _told_names(results: list[_Result], path: Path) -> CocoNames:
    """What the ids of Ultralytics stand for; DataError where that is not certain."""
    frames: dict[Id, Frame] = {}
    for one in results:
        if one.file_name is not None:
            name = one.file_name.replace("\\", "/").rpartition("/")[2]
        elif isinstance(one.image_id, str):
            name = image_name(one.image_id)
        else:
            raise DataError(f"{path}: results of image id {shown(one.image_id)}, which is no name of an image; {_HOW}.")
        frames.setdefault(_key(one), Frame(name))
    ids = {id_number(one.category_id) for one in results}
    first = 0 if 0 in ids else 1
    if results and 0 not in ids and len(DET) not in ids:
        raise DataError(
            f"{path}: neither 0 nor {len(DET)} is among the category ids, so it is not certain whether they count from "
            f"0 or from 1; {_HOW}."
        )
    categories: dict[Id, str] = {number: one.name for number, one in enumerate(DET, first)}
    if unknown := [one for one in ids if one not in categories]:
        raise DataError(
            f"{path}: category id {shown(unknown[0])} is none of the {len(DET)} classes of detection, counted from "
            f"{first}; {_HOW}."
        )
    logger.info("%s: results that name their images; category ids count from %d, %s first.", path, first, DET[0].name)
    return CocoNames(frames, categories)


def _key(result: _Result) -> Id:
    """What tells the image of a result that names it from others."""
    return result.file_name if result.file_name is not None else id_number(result.image_id or "")


def _by_image(
    results: list[_Result], names: CocoNames, path: Path, image_ids: Path | None
) -> dict[Id, list[tuple[int, _Result]]]:
    """The results and their places in the list, by the keys of the frames of ``names``."""
    found: dict[Id, list[tuple[int, _Result]]] = {key: [] for key in names.frames}
    if image_ids is None:
        for number, one in enumerate(results):
            found[_key(one)].append((number, one))
        return found
    by_name = _keys_by_name(names)
    for number, one in enumerate(results):
        mine = None
        if one.file_name is not None:
            mine = found.get(by_name.get(one.file_name.replace("\\", "/").rpartition("/")[2], ""))
        elif one.image_id is not None:
            mine = found.get(one.image_id)
            if mine is None:
                mine = found.get(id_number(one.image_id))
            if mine is None and isinstance(one.image_id, str):
                # Ultralytics writes the stem of the image.
                mine = found.get(by_name.get(one.image_id, ""))
        if mine is None:
            what = f"image id {shown(one.image_id)}" if one.file_name is None else f"image {shown(one.file_name)}"
            raise DataError(
                f"{path}: result number {number} is of {what}, which {image_ids} does not have; give the COCO file "
                "that the results were made for with --image-ids."
            )
        mine.append((number, one))
    return found


def _keys_by_name(names: CocoNames) -> dict[str, Id]:
    """The ids of images by their names and by their stems; a stem of two images stands for none."""
    keys: dict[str, Id] = {}
    stems: dict[str, Id | None] = {}
    for key, frame in names.frames.items():
        keys[frame.name] = key
        stem = image_stem(frame.name)
        stems[stem] = None if stem in stems else key
    return {stem: key for stem, key in stems.items() if key is not None} | keys


def _label(result: _Result, number: int, frame: Frame, names: CocoNames, path: Path) -> Label:
    category = names.categories.get(result.category_id)
    score, box, mask = result.score, None, None
    if category is None or score is None or not math.isfinite(score) or result.bbox is None:
        where = f"{path}: result number {number}, of frame {shown(frame.name)}"
        category = category_name(result.category_id, names.categories, where)
        if score is None or not math.isfinite(score):
            raise DataError(f"{where}: has no score; write a finite number between 0 and 1.")
        if result.bbox is None and result.segmentation is ABSENT:
            raise DataError(f"{where}: has neither a box (bbox) nor a mask (segmentation); write one of them.")
    if result.bbox is not None:
        x, y, width, height = result.bbox
        box = Box2D(x, y, x + width - 1, y + height - 1)
    if result.segmentation is not ABSENT:
        where = f"{path}: result number {number}, of frame {shown(frame.name)}"
        mask = segmentation_mask(result.segmentation, frame.size, where)
        if mask is not None and frame.size is not None and mask.size != frame.height_width:
            height, width = frame.height_width
            raise DataError(
                f"{where}: the mask has {shown(mask.size[0])}x{shown(mask.size[1])} pixels, the image {height}x{width} "
                "(height x width); write masks in the image's size."
            )
    return Label(number, category, score, box2d=box, rle=mask)


def _parts(document: Any) -> list[DocumentPart] | None:  # noqa: ANN401, whatever a file holds
    if not are_objects(document):
        return None
    return [DocumentPart(f"result number {i}", one, _WholeResult) for i, one in enumerate(document)]
