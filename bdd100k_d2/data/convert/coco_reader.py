"""COCO JSON of any tool -> frames.

The bytes of the file stay in memory, the objects of one image at a time: a training set's annotations as Python
objects would take several times as much.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from ...errors import DataError
from ..labels import (
    RLE,
    Box2D,
    Frame,
    ImageSize,
    Label,
    LabelAttributes,
    Part,
    diagnose,
    read_content,
    without_collection,
)
from .coco_records import AnyAnnotation, AnyImage, AnyRLE, CocoCategory
from .polygons import polygons_to_rle

_ABSENT = msgspec.Raw()
# Bytes that tell a list from an object.
_BEGINNING = 1 << 10


class _Document(msgspec.Struct):
    images: msgspec.Raw = _ABSENT
    annotations: msgspec.Raw = _ABSENT
    categories: msgspec.Raw = _ABSENT


class _OfImage(msgspec.Struct, gc=False):
    image_id: int | str
    id: int | str | None = None


def is_coco(path: Path) -> bool:
    """Whether a JSON file is an object with ``images`` or ``annotations``; other files their own readers tell."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING).lstrip()
        if beginning[:1] != b"{" or beginning[1:].lstrip().startswith(b'"frames"'):
            return False
        document = msgspec.json.decode(read_content(path), type=_Document)
    except (OSError, msgspec.MsgspecError):
        # The reader says what is wrong.
        return False
    return document.images is not _ABSENT or document.annotations is not _ABSENT


def read_coco(path: Path) -> Iterator[Frame]:
    """Yields the frames of a COCO file in the order of its images, their labels in the order of its annotations.

    Boxes become inclusive corners. Polygons and plain run lengths become compressed run lengths. ``iscrowd`` becomes
    the attribute ``crowd``, ``ignore`` the attribute ``ignored``. A frame's name is the last part of ``file_name``.

    Raises:
        DataError: the file cannot be read or is no COCO, an image id stands twice, an annotation has no image or no
            category, or a mask is none.
    """
    content = read_content(path)
    try:
        document = msgspec.json.decode(content, type=_Document)
        if document.images is _ABSENT or document.annotations is _ABSENT:
            missing = "images" if document.images is _ABSENT else "annotations"
            raise DataError(
                f'{path}: no "{missing}"; a COCO file of labels has images, annotations and categories. A list of '
                "results alone does not name its images."
            )
        if document.categories is _ABSENT:
            raise DataError(f'{path}: no "categories"; add them, they name the classes.')
        images = msgspec.json.decode(document.images, type=list[AnyImage])
        categories = {one.id: one.name for one in msgspec.json.decode(document.categories, type=list[CocoCategory])}
        with without_collection():
            annotations = msgspec.json.decode(document.annotations, type=list[msgspec.Raw])
            order, ends = _by_image(images, document.annotations, path)
        decoder = msgspec.json.Decoder(AnyAnnotation)
        start = 0
        for image, end in zip(images, ends, strict=True):
            found = [decoder.decode(annotations[i]) for i in order[start:end].tolist()]
            start = end
            yield _frame(image, found, categories, path)
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: {diagnose(content, error, _parts)}") from error


def _by_image(images: list[AnyImage], annotations: msgspec.Raw, path: Path) -> tuple[np.ndarray, list[int]]:
    """The annotations' places in the order of the images, and where each image's end."""
    place: dict[int | str, int] = {}
    for i, image in enumerate(images):
        if place.setdefault(image.id, i) != i:
            other = images[place[image.id]].file_name
            raise DataError(
                f"{path}: frames {other} and {image.file_name} have the same image id {image.id}; mend one of them."
            )
    found = msgspec.json.decode(annotations, type=list[_OfImage])
    try:
        owners = np.fromiter((place[one.image_id] for one in found), np.int64, len(found))
    except KeyError as error:
        lost = next(one for one in found if one.image_id not in place)
        raise DataError(
            f"{path}: annotation {lost.id} is of image id {lost.image_id}, but no image has that id; add the image or "
            "remove the annotation."
        ) from error
    return np.argsort(owners, kind="stable"), np.bincount(owners, minlength=len(images)).cumsum().tolist()


def _frame(image: AnyImage, annotations: list[AnyAnnotation], categories: dict[int, str], path: Path) -> Frame:
    # The toolkit writes a frame's video before its name, others a folder.
    name = image.file_name.replace("\\", "/").rpartition("/")[2]
    size = None if image.width is None or image.height is None else ImageSize(image.width, image.height)
    labels = []
    for annotation in annotations:
        where = f"{path}: frame {name}, annotation {annotation.id}"
        category = categories.get(annotation.category_id)
        if category is None:
            raise DataError(
                f"{where}: no category has the id {annotation.category_id}; there are "
                f"{', '.join(f'{i} {known}' for i, known in categories.items())}."
            )
        box = None
        if annotation.bbox is not None:
            x, y, width, height = annotation.bbox
            box = Box2D(x, y, x + width - 1, y + height - 1)
        attributes = None
        if annotation.iscrowd or annotation.ignore:
            attributes = LabelAttributes(
                crowd=bool(annotation.iscrowd) or None, ignored=bool(annotation.ignore) or None
            )
        labels.append(
            Label(
                id=annotation.id if annotation.scalabel_id is None else annotation.scalabel_id,
                category=category,
                score=annotation.score,
                attributes=attributes,
                box2d=box,
                rle=_mask(annotation.segmentation, size, where),
            )
        )
    return Frame(name, attributes=image.attributes, size=size, labels=labels)


def _mask(segmentation: AnyRLE | list[list[float]] | None, size: ImageSize | None, where: str) -> RLE | None:
    # Some tools write an empty list where there is a box alone.
    if not segmentation:
        return None
    if isinstance(segmentation, AnyRLE):
        if isinstance(segmentation.counts, str):
            return RLE(segmentation.counts, segmentation.size)
        return _compress(segmentation, where)
    if size is None:
        raise DataError(f"{where}: the image has no width and height, without which polygons have no mask; add them.")
    try:
        filled = polygons_to_rle(segmentation, (size.height, size.width))
    except DataError as error:
        raise DataError(f"{where}: {error}; mend or remove it.") from error
    return RLE(filled["counts"].decode(), (size.height, size.width))


def _compress(plain: AnyRLE, where: str) -> RLE:
    height, width = plain.size
    lengths = np.asarray(plain.counts, np.int64)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise DataError(
            f"{where}: the run lengths add up to {int(lengths.sum()):,} pixels, a mask of {height}x{width} has "
            f"{height * width:,}; write the annotation again."
        )
    packed = coco_mask.frPyObjects({"size": [height, width], "counts": lengths.tolist()}, height, width)
    return RLE(packed["counts"].decode(), plain.size)


def _parts(document: Any) -> list[Part] | None:  # noqa: ANN401, whatever a file holds
    lists = [document.get(key) for key in ("images", "annotations", "categories")] if isinstance(document, dict) else []
    if not lists or not all(isinstance(one, list) and all(isinstance(item, dict) for item in one) for one in lists):
        return None
    images, annotations, categories = lists
    names = {str(image.get("id")): image.get("file_name") for image in images}
    return [
        *(Part(f"frame {image.get('file_name')}", image, AnyImage) for image in images),
        *(Part(f"category {category.get('name')}", category, CocoCategory) for category in categories),
        *(
            Part(f"frame {names.get(str(one.get('image_id')))}, annotation {one.get('id')}", one, AnyAnnotation)
            for one in annotations
        ),
    ]
