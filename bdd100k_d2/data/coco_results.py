"""Results of other detectors -> frames: COCO's list of results, as MMDetection and Ultralytics write it.

A result is ``{"image_id", "category_id", "bbox": [x, y, width, height], "score"}``, with a mask also
``"segmentation"``: https://cocodataset.org/#format-results. What the ids stand for is in the COCO file that the
results were made for. Ultralytics (``ultralytics/models/yolo/detect/val.py``) writes the stems of the images as ids,
as numbers where they are, and counts the classes of its model from 0 or, in newer versions, from 1; the newer ones
write ``file_name`` too.
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
from .coco import ABSENT, Id, category_name, id_number, read_names
from .coco_masks import Segmentation, box_around, segmentation_mask
from .diagnosis import DocumentPart, are_objects, diagnose
from .image_names import image_stem, last_part
from .json_file import JSON_ERRORS, read_beginning, read_json
from .labels import Box2D, Frame, Label, each_once, without_collection
from .vintages import read_labels

logger = logging.getLogger(__name__)

_BEGINNING = 1 << 16
_FIRST_OBJECT = re.compile(r"\s*(?:(\[)\s*)?(?=\{)")
_ID = re.compile(r'"image_id"\s*:')

_HOW = (
    "give the COCO file that says so with --image-ids; for results that name their images (Ultralytics'), "
    "`tools/convert_labels.py GT gt.json --to coco` writes one, if the model has the classes of GT in the same order"
)
# Of the names of the classes, so many are shown.
_SHOWN_CLASSES = 3


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
    """Whether the first object of a list, or of JSON lines, is a result: it has ``image_id``, and no ``labels``."""
    text = read_beginning(path, _BEGINNING).decode(errors="ignore")
    start = _FIRST_OBJECT.match(text)
    if start is None:
        return False
    try:
        first, _ = json.JSONDecoder().raw_decode(text, start.end())
    except (ValueError, RecursionError):
        # A mask of many run lengths: only a result can have a key of that name and be so long, but for a COCO file.
        return bool(start[1]) and _ID.search(text) is not None and '"labels"' not in text
    return "image_id" in first and "labels" not in first


def read_results(path: Path, image_ids: Path | None) -> Iterator[Frame]:
    """Yields the frames of a list of results; boxes become inclusive corners, ``segmentation`` a mask.

    They are the images of ``image_ids``, the COCO file that says what the ids stand for, in their order, also those
    without results. Images that are not all named by their ids there are matched by their file names, or stems. In
    that case categories may count from 0 or 1 in the order of their ids there, if only one of these is possible.

    Raises:
        DataError: an unreadable file, no ``image_ids``, an id that stands for nothing, categories that may count from
            0 and from 1, a result without a score or without a box and a mask, or a damaged mask.
    """
    if image_ids is None:
        raise DataError(f"{path}: results, whose ids of images and categories may stand for anything; {_HOW}.")
    content = read_json(path)
    try:
        with without_collection():
            results = msgspec.json.decode(content, type=list[_Result])
        frames, categories = read_names(image_ids)
        keys = _keys_by_id(results, frames)
        if keys is not None:
            _check_numbers(results, keys, frames, path, image_ids)
            if _may_count(results, keys, frames, categories, path):
                categories = _counted(results, categories, path, image_ids)
        else:
            keys = _keys_by_name(results, frames, path, image_ids)
            categories = _counted(results, categories, path, image_ids)
        found: dict[Id, list[tuple[int, _Result]]] = {key: [] for key in frames}
        for number, (key, one) in enumerate(zip(keys, results, strict=True)):
            found[key].append((number, one))
        for key, frame in zip(frames, each_once(frames.values(), image_ids), strict=True):
            labels = [_label(one, number, frame, categories, path) for number, one in found.pop(key, ())]
            yield Frame(frame.name, frame.videoName, frame.attributes, size=frame.size, labels=labels)
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error, _parts)}") from error


def read_predictions(path: Path, image_ids: Path | None = None) -> list[Frame]:
    """The frames of predictions: results, of which ``image_ids`` says what the ids stand for, or labels of any kind.

    Raises:
        DataError: as `read_results` and :func:`~bdd100k_d2.data.vintages.read_labels`, or ``image_ids`` beside labels.
    """
    # What a pipe holds nobody knows before it is read, and it can be read but once.
    if is_results(path) or (image_ids is not None and path.is_fifo()):
        return list(read_results(path, image_ids))
    if image_ids is not None:
        raise DataError(f"{path}: is no list of COCO results, whose ids {image_ids} would name; leave out --image-ids.")
    return read_labels(path).frames


def _keys_by_id(results: list[_Result], frames: dict[Id, Frame]) -> list[Id] | None:
    """The image ids of the results; None unless all are among the keys of ``frames``, and agree with the file names."""
    keys: list[Id] = []
    for one in results:
        key = "" if one.image_id is None else id_number(one.image_id)
        frame = frames.get(key)
        if frame is None or (one.file_name is not None and last_part(one.file_name) != frame.name):
            return None
        keys.append(key)
    return keys


def _check_numbers(
    results: list[_Result], keys: list[Id], frames: dict[Id, Frame], path: Path, image_ids: Path
) -> None:
    """Raises DataError if the image ids may be the numbers in the names of other images, as Ultralytics writes them."""
    numbers = {_number(image_stem(frame.name)): key for key, frame in frames.items()}
    if not numbers.keys() >= set(keys) or any(one.file_name is not None for one in results):
        return
    for key in keys:
        other = numbers[key]
        if other != key:
            raise DataError(
                f"{path}: image id {shown(key)} is that of {frames[key].name} in {image_ids}, and the number in the "
                f"name of {frames[other].name}; write the file_name of its image into each result."
            )


def _may_count(
    results: list[_Result], keys: list[Id], frames: dict[Id, Frame], categories: dict[Id, str], path: Path
) -> bool:
    """Whether results, whose image ids are those of ``frames``, may yet count their categories, as Ultralytics does.

    The ids are the numbers in the names of their images, and the results have these names or a category 0, which is
    none. Else the categories are what they are; a warning says so where they may count from 0.
    """
    if not results or any(_number(image_stem(frames[key].name)) != key for key in keys):
        return False
    if any(one.file_name is not None for one in results):
        return True
    ids = {id_number(one.category_id) for one in results}
    if 0 in ids and 0 not in categories:
        return True
    if 0 not in categories and ids <= {*range(len(categories))}:
        logger.warning(
            "%s: the category ids are read as those of the COCO file; if they count from 0, as Ultralytics', write "
            "the file_name of its image into each result.",
            path,
        )
    return False


def _keys_by_name(results: list[_Result], frames: dict[Id, Frame], path: Path, image_ids: Path) -> list[Id]:
    """The keys of the frames whose names the results have; DataError where one has another.

    A name is a ``file_name``, else an image id that is a stem, or its number; a stem of two images stands for none.
    """
    names, stems = {frame.name: key for key, frame in frames.items()}, dict[Id, Id | None]()
    for key, frame in frames.items():
        stem = _number(image_stem(frame.name))
        stems[stem] = None if stem in stems else key
    keys: list[Id] = []
    for number, one in enumerate(results):
        if one.file_name is not None:
            found, what = names.get(last_part(one.file_name)), f"image {shown(one.file_name)}"
        else:
            found = stems.get(_number("" if one.image_id is None else one.image_id))
            what = f"image id {shown(one.image_id)}"
        if found is None:
            raise DataError(
                f"{path}: result number {number} is of {what}, which {image_ids} does not have; give the COCO file "
                "that the results were made for with --image-ids."
            )
        keys.append(found)
    return keys


def _number(stem: Id) -> Id:
    """A stem of an image as Ultralytics writes it: a number where it is one, without the zeros before it."""
    return id_number(stem.lstrip("0") or "0") if isinstance(stem, str) and stem else stem


def _counted(results: list[_Result], categories: dict[Id, str], path: Path, image_ids: Path) -> dict[Id, str]:
    """The categories by what the results have for them: their ids, or their places counted from 0 or from 1.

    Raises:
        DataError: the results do not tell which of these it is.
    """
    ids = {id_number(one.category_id) for one in results}
    numbers = sorted(one for one in categories if isinstance(one, int))
    in_order = [categories[one] for one in numbers]
    told: list[dict[Id, str]] = []
    for possible in (categories, dict[Id, str](enumerate(in_order)), dict[Id, str](enumerate(in_order, 1))):
        if possible not in told and ids <= possible.keys():
            told.append(possible)
    if not ids:
        return categories
    if len(told) != 1:
        have = ", ".join(sorted(map(str, ids), key=lambda text: (len(text), text)))
        why = "may count from 0 or from 1" if told else f"are neither those of {image_ids} nor count from 0 or from 1"
        raise DataError(
            f"{path}: names its images, as Ultralytics does, and its category ids ({shown(have)}) {why}: with 0 and "
            f"without {len(in_order)} among them they count from 0, with {len(in_order)} and without 0 from 1. Write "
            f"the ids that {image_ids} has for images and categories."
        )
    (only,) = told
    begin = ", ".join(f"{key} is {name}" for key, name in list(only.items())[:_SHOWN_CLASSES])
    level = logging.INFO if only == categories else logging.WARNING
    logger.log(level, "%s: the category ids are read as %s, ..., in the order of %s.", path, shown(begin), image_ids)
    return only


def _label(result: _Result, number: int, frame: Frame, categories: dict[Id, str], path: Path) -> Label:
    category = categories.get(result.category_id)
    score, box, mask = result.score, None, None
    if category is None or score is None or not math.isfinite(score) or result.bbox is None:
        where = f"{path}: result number {number}, of frame {shown(frame.name)}"
        category = category_name(result.category_id, categories, where)
        if score is None or not math.isfinite(score):
            raise DataError(f"{where}: has no score; write a finite number between 0 and 1.")
        if result.bbox is None and result.segmentation is ABSENT:
            raise DataError(f"{where}: has neither a box (bbox) nor a mask (segmentation); write one of them.")
    if result.bbox is not None:
        box = Box2D.of_size(*result.bbox)
    if result.segmentation is not ABSENT:
        where = f"{path}: result number {number}, of frame {shown(frame.name)}"
        mask = segmentation_mask(result.segmentation, frame.size, where)
        if mask is not None and frame.size is not None and mask.size != frame.height_width:
            height, width = frame.height_width
            raise DataError(
                f"{where}: the mask has {shown(mask.size[0])}x{shown(mask.size[1])} pixels, the image {height}x{width} "
                "(height x width); write masks in the image's size."
            )
        if box is None and mask is not None:
            box = box_around(mask, frame.size, where)
    return Label(number, category, score, box2d=box, rle=mask)


def _parts(document: Any) -> list[DocumentPart] | None:  # noqa: ANN401, whatever a file holds
    if not are_objects(document):
        return None
    return [DocumentPart(f"result number {i}", one, _WholeResult) for i, one in enumerate(document)]
