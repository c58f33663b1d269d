"""COCO JSON of any tool -> frames.

A ``bbox`` is x, y, width and height in pixels; Scalabel's corners are inclusive, so a width is ``x2 - x1 + 1``.
Sources: https://cocodataset.org/#format-data, and ``scalabel/label/to_coco.py`` for the fields beyond COCO
(``scalabel_id``, and the ``attributes`` of an image).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from ..errors import DataError
from .labels import (
    RLE,
    Box2D,
    DocumentPart,
    Frame,
    FrameAttributes,
    ImageSize,
    Label,
    LabelAttributes,
    are_objects,
    diagnose,
    read_content,
    without_collection,
)
from .rle import CocoRLE

ABSENT = msgspec.Raw()
# Bytes that tell a list from an object.
_BEGINNING = 1 << 10


class CocoDocument(msgspec.Struct):
    """The lists of a COCO file, unparsed; `ABSENT` for one that it does not have."""

    images: msgspec.Raw = ABSENT
    annotations: msgspec.Raw = ABSENT
    categories: msgspec.Raw = ABSENT

    @property
    def is_coco(self) -> bool:
        """Whether the file is meant to be COCO."""
        return self.images is not ABSENT or self.annotations is not ABSENT


class _Image(msgspec.Struct, gc=False):
    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None
    attributes: FrameAttributes | None = None


class _RunLengths(msgspec.Struct, gc=False):
    counts: str | list[int]
    size: tuple[int, int]


_Segmentation = _RunLengths | list[list[float]] | None


class _Annotation(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int
    id: int | str | None = None
    scalabel_id: int | str | None = None
    bbox: tuple[float, float, float, float] | None = None
    # Parsed one by one: the polygons of a training set would take several times the memory of their text.
    segmentation: msgspec.Raw = ABSENT
    iscrowd: int | bool = 0
    ignore: int | bool = 0
    score: float | None = None


class _WholeAnnotation(_Annotation, gc=False):
    segmentation: _Segmentation = None  # type: ignore[assignment]  # what the unparsed one has to be


class _Category(msgspec.Struct, gc=False):
    id: int
    name: str


_decode_segmentation = msgspec.json.Decoder(_Segmentation).decode


def is_coco(path: Path) -> bool:
    """Whether a JSON file is an object with ``images`` or ``annotations``; other files their own readers tell."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING).lstrip()
        if beginning[:1] != b"{" or beginning[1:].lstrip().startswith(b'"frames"'):
            return False
        return msgspec.json.decode(read_content(path), type=CocoDocument).is_coco
    except (OSError, msgspec.MsgspecError):
        # The reader says what is wrong.
        return False


def read_coco(path: Path) -> Iterator[Frame]:
    """Yields the frames of a COCO file, as :func:`coco_frames`; raises DataError as that does."""
    content = read_content(path)
    try:
        yield from coco_frames(msgspec.json.decode(content, type=CocoDocument), path)
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: {diagnose(content, error, coco_parts)}") from error


def coco_frames(document: CocoDocument, path: Path) -> Iterator[Frame]:
    """Yields the frames of a COCO document in the order of its images, their labels in the order of its annotations.

    Boxes become inclusive corners. Polygons and plain run lengths become compressed run lengths. ``iscrowd`` becomes
    the attribute ``crowd``, ``ignore`` the attribute ``ignored``. A frame's name is the last part of ``file_name``.

    Raises:
        DataError: a list is missing, an id stands twice, an annotation has no image or no category, or run lengths or
            polygons that are damaged.
        msgspec.MsgspecError: a field is of the wrong type; :func:`coco_parts` are for `diagnose`, which names it.
    """
    if document.images is ABSENT or document.annotations is ABSENT:
        missing = "images" if document.images is ABSENT else "annotations"
        raise DataError(
            f'{path}: no "{missing}"; a COCO file of labels has images, annotations and categories. A list of results '
            "alone does not name its images."
        )
    if document.categories is ABSENT:
        raise DataError(f'{path}: no "categories"; add them, they name the classes.')
    images = msgspec.json.decode(document.images, type=list[_Image])
    with without_collection():
        categories = _category_names(msgspec.json.decode(document.categories, type=list[_Category]), path)
        found = _by_image(images, msgspec.json.decode(document.annotations, type=list[_Annotation]), path)
    for image in images:
        yield _frame(image, found.pop(image.id), categories, path)


def _category_names(categories: list[_Category], path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for one in categories:
        other = names.setdefault(one.id, one.name)
        if other != one.name:
            raise DataError(f"{path}: categories {other} and {one.name} have the same id {one.id}; mend one of them.")
    return names


def _by_image(images: list[_Image], annotations: list[_Annotation], path: Path) -> dict[int | str, list[_Annotation]]:
    names: dict[int | str, str] = {}
    for image in images:
        if image.id in names:
            raise DataError(
                f"{path}: frames {names[image.id]} and {image.file_name} have the same image id {image.id}; mend one "
                "of them."
            )
        names[image.id] = image.file_name
    found: dict[int | str, list[_Annotation]] = {key: [] for key in names}
    for annotation in annotations:
        if annotation.image_id not in found:
            raise DataError(
                f"{path}: annotation {annotation.id} is of image id {annotation.image_id}, but no image has that id; "
                "add the image or remove the annotation."
            )
        found[annotation.image_id].append(annotation)
    return found


def _frame(image: _Image, annotations: list[_Annotation], categories: dict[int, str], path: Path) -> Frame:
    # The toolkit writes a frame's address, or its video before its name, others a folder.
    name = image.file_name.replace("\\", "/").rpartition("/")[2]
    size = None if image.width is None or image.height is None else ImageSize(image.width, image.height)
    labels = []
    for annotation in annotations:
        category = categories.get(annotation.category_id)
        if category is None:
            raise DataError(
                f"{path}: frame {name}, annotation {annotation.id}: no category has the id {annotation.category_id}; "
                f"there are {', '.join(f'{i} {known}' for i, known in categories.items())}."
            )
        box = attributes = mask = None
        if annotation.bbox is not None:
            x, y, width, height = annotation.bbox
            box = Box2D(x, y, x + width - 1, y + height - 1)
        if annotation.iscrowd or annotation.ignore:
            crowd, ignored = bool(annotation.iscrowd) or None, bool(annotation.ignore) or None
            attributes = LabelAttributes(crowd=crowd, ignored=ignored)
        if annotation.segmentation is not ABSENT:
            where = f"{path}: frame {name}, annotation {annotation.id}"
            mask = _mask(_decode_segmentation(annotation.segmentation), size, where)
        label_id = annotation.id if annotation.scalabel_id is None else annotation.scalabel_id
        labels.append(Label(label_id, category, annotation.score, attributes, box, mask))
    return Frame(name, attributes=image.attributes, size=size, labels=labels)


def _mask(segmentation: _Segmentation, size: ImageSize | None, where: str) -> RLE | None:
    # Some tools write an empty list where there is a box alone.
    if not segmentation:
        return None
    if isinstance(segmentation, _RunLengths):
        if isinstance(segmentation.counts, str):
            return RLE(segmentation.counts, segmentation.size)
        return _compress(segmentation.counts, segmentation.size, where)
    if size is None:
        raise DataError(f"{where}: the image has no width and height, without which polygons have no mask; add them.")
    try:
        filled = polygons_to_rle(segmentation, (size.height, size.width))
    except DataError as error:
        raise DataError(f"{where}: {error}; mend or remove it.") from error
    return RLE(filled["counts"].decode(), (size.height, size.width))


def _compress(counts: list[int], size: tuple[int, int], where: str) -> RLE:
    height, width = size
    # As Python's numbers, which do not overflow; pycocotools counts in 32 bits.
    total = sum(counts)
    if min(counts, default=0) < 0 or min(height, width) < 0 or total != height * width or total >= 2**31:
        raise DataError(
            f"{where}: the run lengths add up to {total:,} pixels, a mask of {height}x{width} has "
            f"{height * width:,}; write the annotation again."
        )
    packed = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return RLE(packed["counts"].decode(), size)


def polygons_to_rle(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> CocoRLE:
    """Fills polygons, as pycocotools does, and unites them.

    A polygon is x and y of each corner in turn, in pixels; ``size`` is the image's (height, width).

    Raises:
        DataError: there is no polygon, or one has less than three corners, half a corner, or a corner further outside
            of the image than that is large; the caller adds where.
    """
    height, width = size
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise DataError(f"a polygon has an x and a y for each of three corners or more, not {len(polygon)} numbers")
        corners = np.asarray(polygon).reshape(-1, 2)
        # pycocotools takes memory for every step along the outline.
        if not (np.abs(corners) <= 2 * np.array([width, height])).all():
            raise DataError(f"a polygon leads far out of the image of {width}x{height} pixels")
    if not polygons:
        raise DataError("there is no polygon")
    merged = coco_mask.merge(coco_mask.frPyObjects([list(polygon) for polygon in polygons], height, width))
    return {"size": [int(height), int(width)], "counts": merged["counts"]}


def coco_parts(document: Any) -> list[DocumentPart] | None:  # noqa: ANN401, whatever a file holds
    """The images, categories and annotations of a parsed COCO file; None if it has another form."""
    if not isinstance(document, dict):
        return None
    images, annotations, categories = (document.get(key) for key in ("images", "annotations", "categories"))
    if not (are_objects(images) and are_objects(annotations) and are_objects(categories)):
        return None
    names = {str(image.get("id")): image.get("file_name") for image in images}
    parts = [DocumentPart(f"frame {one.get('file_name')}", one, _Image) for one in images]
    parts += [DocumentPart(f"category {one.get('name')}", one, _Category) for one in categories]
    for one in annotations:
        where = f"frame {names.get(str(one.get('image_id')))}, annotation {one.get('id')}"
        parts.append(DocumentPart(where, one, _WholeAnnotation))
    return parts
