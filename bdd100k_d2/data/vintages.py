"""Label files of every vintage -> frames; the vintage is told by what a file holds, never by its name.

BDD100K's boxes were published several times, with other names, other corrections and in other formats, so scores on two
vintages are not comparable. Sources: https://doc.bdd100k.com/format.html for Scalabel, ``scalabel/label/to_coco.py``
for the COCO files, and the released files for the rest.
"""

import os
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import DataError
from .folders import label_files
from .labels import (
    RLE,
    Box2D,
    Frame,
    FrameAttributes,
    ImageSize,
    Label,
    LabelAttributes,
    Part,
    check_unique,
    diagnose,
    read_content,
    scalabel_parts,
    without_collection,
)


class Vintage(str, Enum):
    """A release of the labels, or a format that hides which release it was made from."""

    DET_20 = "det_20"
    LISTS_2018 = "2018"
    PER_IMAGE_2018 = "2018 per-image"
    TRACKING = "tracking"
    COCO = "COCO"
    SCALABEL = "Scalabel"
    """Nothing in it tells: predictions, masks, and boxes whose names every release has."""


class LabelSet(NamedTuple):
    """The frames of a label file or folder, each name once, and their vintage."""

    frames: list[Frame]
    vintage: Vintage


def read_labels(path: str | os.PathLike[str]) -> LabelSet:
    """Reads a label file, or every ``.json`` file of a folder, else of the folders in it, sorted by path.

    Understood are Scalabel (a list of frames or ``{"frames": [...]}``: det_20, the 2018 lists, tracking, run lengths,
    predictions), the per-image files of the first release (``{"name", "frames": [{"objects"}]}``) and COCO as the
    toolkit's ``to_coco`` writes it. Category names stay as they are in the file;
    :func:`~bdd100k_d2.data.categories.det_class` maps them. The tracking files' "Occluded" and "Truncated" become
    ``occluded`` and ``truncated``. Boxes become corners in pixels, inclusive.

    Raises:
        DataError: no such file, an empty one, one that is cut off or of another format, a field of the wrong type, a
            frame that stands twice, a folder without label files, or files of two vintages; the message names the
            files and the frame.
    """
    path = Path(path)
    with without_collection():
        return _read_folder(path) if path.is_dir() else _read_file(path)


def _read_folder(folder: Path) -> LabelSet:
    files = label_files(folder)
    if not files:
        raise DataError(
            f"{folder}: no .json file in the folder or in the folders in it; give the folder of the labels."
        )
    frames: list[Frame] = []
    origins: dict[str, Path] = {}
    told: dict[Vintage, Path] = {}
    for file in files:
        found = _read_file(file)
        for frame in found.frames:
            other = origins.setdefault(frame.name, file)
            if other is not file:
                raise DataError(f"{file}: frame {frame.name} is also in {other}; remove one of the two.")
        frames += found.frames
        if found.vintage is not Vintage.SCALABEL:
            told.setdefault(found.vintage, file)
    if len(told) > 1:
        (first, first_file), (second, second_file) = list(told.items())[:2]
        raise DataError(
            f"{folder}: labels of two vintages, {first_file} is {first.value} and {second_file} is {second.value}; "
            "keep each in a folder of its own."
        )
    return LabelSet(frames, next(iter(told), Vintage.SCALABEL))


_ABSENT = msgspec.Raw()


class _Document(msgspec.Struct):
    """The keys that tell one document from another. What they hold is skipped, and decoded once its type is known."""

    name: msgspec.Raw = _ABSENT
    frames: msgspec.Raw = _ABSENT
    images: msgspec.Raw = _ABSENT
    annotations: msgspec.Raw = _ABSENT


def _read_file(path: Path) -> LabelSet:
    content = read_content(path)
    try:
        if content.lstrip()[:1] != b"{":
            found = _from_scalabel(content)
        else:
            document = msgspec.json.decode(content, type=_Document)
            if document.images is not _ABSENT or document.annotations is not _ABSENT:
                found = _from_coco(msgspec.json.decode(content, type=_Coco), path)
            elif document.name is not _ABSENT:
                found = _from_first_release(msgspec.json.decode(content, type=_FirstRelease))
            else:
                found = _from_scalabel(document.frames)
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: {diagnose(content, error, _parts)}") from error
    check_unique(found.frames, path)
    return found


# Scalabel

_NAMES_2018 = {"bike", "motor", "person", "lane", "drivable area"}
_NAMES_2020 = {"bicycle", "motorcycle", "pedestrian", "other person", "other vehicle", "trailer"}


def _from_scalabel(content: bytes | msgspec.Raw) -> LabelSet:
    frames = msgspec.json.decode(content, type=list[Frame])
    vintage = _tell(frames)
    if vintage is Vintage.TRACKING:
        # Some of the released files write these two with a capital; no others do, so no others are searched for them.
        written = bytes(content)
        lowered = written.replace(b'"Occluded"', b'"occluded"').replace(b'"Truncated"', b'"truncated"')
        if lowered != written:
            frames = msgspec.json.decode(lowered, type=list[Frame])
    return LabelSet(frames, vintage)


def _tell(frames: list[Frame]) -> Vintage:
    # det_20 names a frame after its video, whose key frame it is; in a video the names are numbered.
    if any(frame.videoName and frame.name.rpartition(".")[0] != frame.videoName for frame in frames):
        return Vintage.TRACKING
    first = next((label for frame in frames for label in frame.labels or ()), None)
    boxes = any(label.box2d is not None for frame in frames for label in frame.labels or ())
    if not boxes or first.score is not None or first.rle is not None:
        return Vintage.SCALABEL
    names = {label.category for frame in frames for label in frame.labels or ()}
    old, new = not names.isdisjoint(_NAMES_2018), not names.isdisjoint(_NAMES_2020)
    if not old and not new:
        lamps = {
            label.attributes.trafficLightColor for frame in frames for label in frame.labels or () if label.attributes
        }
        old, new = "none" in lamps, "NA" in lamps
    if old == new:
        return Vintage.SCALABEL
    return Vintage.LISTS_2018 if old else Vintage.DET_20


# The first release


class _Objects(msgspec.Struct):
    objects: list[Label] | None = None
    timestamp: int | None = None


class _FirstRelease(msgspec.Struct):
    name: str
    frames: tuple[_Objects]
    attributes: FrameAttributes | None = None


def _from_first_release(document: _FirstRelease) -> LabelSet:
    (only,) = document.frames
    frame = Frame(
        name=f"{document.name}.jpg",
        attributes=document.attributes,
        timestamp=only.timestamp,
        labels=only.objects,
    )
    return LabelSet([frame], Vintage.PER_IMAGE_2018)


# COCO


class _CocoImage(msgspec.Struct, gc=False):
    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None
    attributes: FrameAttributes | None = None


class _CocoAnnotation(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int
    id: int | str | None = None
    scalabel_id: int | str | None = None
    bbox: tuple[float, float, float, float] | None = None
    segmentation: RLE | None = None
    iscrowd: int = 0
    score: float | None = None


class _CocoCategory(msgspec.Struct, gc=False):
    id: int
    name: str


class _Coco(msgspec.Struct):
    images: list[_CocoImage]
    annotations: list[_CocoAnnotation]
    categories: list[_CocoCategory]


def _from_coco(document: _Coco, path: Path) -> LabelSet:
    categories = {category.id: category.name for category in document.categories}
    frames: dict[int | str, Frame] = {}
    for image in document.images:
        size = None if image.width is None or image.height is None else ImageSize(image.width, image.height)
        # The toolkit writes a frame's address, or its video before its name, where a frame has one.
        name = image.file_name.rpartition("/")[2]
        other = frames.setdefault(image.id, frame := Frame(name, attributes=image.attributes, size=size, labels=[]))
        if other is not frame:
            raise DataError(
                f"{path}: frames {other.name} and {name} have the same image id {image.id}; mend one of them."
            )
    for annotation in document.annotations:
        frame = frames.get(annotation.image_id)
        if frame is None:
            raise DataError(
                f"{path}: annotation {annotation.id} is of image id {annotation.image_id}, but no image has that id; "
                "add the image or remove the annotation."
            )
        category = categories.get(annotation.category_id)
        if category is None:
            raise DataError(
                f"{path}: frame {frame.name}, annotation {annotation.id}: no category has the id "
                f"{annotation.category_id}; there are {', '.join(f'{i} {name}' for i, name in categories.items())}."
            )
        box = None
        if annotation.bbox is not None:
            x, y, width, height = annotation.bbox
            box = Box2D(x, y, x + width - 1, y + height - 1)
        frame.labels.append(
            Label(
                id=annotation.id if annotation.scalabel_id is None else annotation.scalabel_id,
                category=category,
                score=annotation.score,
                attributes=LabelAttributes(crowd=True) if annotation.iscrowd else None,
                box2d=box,
                rle=annotation.segmentation,
            )
        )
    return LabelSet(list(frames.values()), Vintage.COCO)


# Naming what is wrong with a file that could not be decoded


def _parts(document: Any) -> list[Part] | None:  # noqa: ANN401, whatever a file holds
    if not isinstance(document, dict):
        return scalabel_parts(document)
    if "images" in document or "annotations" in document:
        images, annotations = document.get("images"), document.get("annotations")
        if not _are_objects(images) or not _are_objects(annotations):
            return None
        names = {str(image.get("id")): image.get("file_name") for image in images}
        return [Part(f"frame {image.get('file_name')}", image, _CocoImage) for image in images] + [
            Part(
                f"frame {names.get(str(annotation.get('image_id')))}, annotation {annotation.get('id')}",
                annotation,
                _CocoAnnotation,
            )
            for annotation in annotations
        ]
    if "name" in document:
        return [Part(f"frame {document['name']}.jpg", document, _FirstRelease)]
    return scalabel_parts(document)


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
