"""COCO JSON of any tool -> frames.

A ``bbox`` is x, y, width and height in pixels; Scalabel's corners are inclusive, so a width is ``x2 - x1 + 1``.
Sources: https://cocodataset.org/#format-data, and ``scalabel/label/to_coco.py`` for the fields beyond COCO
(``scalabel_id``, and the ``attributes`` of an image).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import DataError, shown
from .coco_attributes import has_others, with_attributes
from .coco_masks import Segmentation, box_around, segmentation_mask
from .diagnosis import DocumentPart, are_objects, diagnose
from .image_names import frame_names
from .image_size import check_image_size
from .json_file import JSON_ERRORS, read_beginning, read_json
from .labels import Box2D, Frame, FrameAttributes, ImageSize, Label, LabelAttributes, without_collection

logger = logging.getLogger(__name__)

MORE_ATTRIBUTES = (
    "annotations with attributes beyond occluded, truncated, crowd, ignored and trafficLightColor that are not kept"
)
TRACKS = "annotations whose track_id or instance_id is not kept"
"""What is counted where an annotation says more of its object."""

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


Id = int | str
"""Of an image or a category: a number, which some tools write as text; `id_number` makes one of both."""


class _Image(msgspec.Struct, gc=False):
    id: Id
    file_name: str
    width: int | None = None
    height: int | None = None
    attributes: FrameAttributes | None = None
    # Of its frame; never what the file has under this key.
    name: Any = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: Id
    category_id: Id
    id: int | str | float | None = None
    scalabel_id: int | str | float | None = None
    bbox: tuple[float, float, float, float] | None = None
    # Parsed one by one: the polygons of a training set would take several times the memory of their text.
    segmentation: msgspec.Raw = ABSENT
    iscrowd: int | bool | None = None
    ignore: int | bool | None = None
    score: float | None = None
    # CVAT writes an object of anything in it; the rest is looked for where somebody counts it.
    attributes: msgspec.Raw = ABSENT
    track_id: msgspec.Raw = ABSENT
    instance_id: msgspec.Raw = ABSENT


class _WholeAnnotation(_Annotation, gc=False):
    segmentation: Segmentation = None  # type: ignore[assignment]  # what the unparsed one has to be


class _Category(msgspec.Struct, gc=False):
    id: Id
    name: str


def id_number(value: Id) -> Id:
    """The number that an id is, also where it is written as text; another text as it is."""
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit() and str(int(value)) == value:
        return int(value)
    return value


def is_coco(path: Path) -> bool:
    """Whether a JSON file is an object with ``images`` or ``annotations``; other files their own readers tell."""
    beginning = read_beginning(path, _BEGINNING).lstrip()
    if beginning[:1] != b"{" or beginning[1:].lstrip().startswith(b'"frames"'):
        return False
    try:
        return msgspec.json.decode(read_json(path), type=CocoDocument).is_coco
    except (*JSON_ERRORS, DataError):
        # The reader says what is wrong.
        return False


def read_coco(path: Path, count: Callable[[str], None] | None = None) -> Iterator[Frame]:
    """Yields the frames of a COCO file, as :func:`coco_frames`; raises DataError as that does."""
    content = read_json(path)
    try:
        yield from coco_frames(msgspec.json.decode(content, type=CocoDocument), path, count)
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error, coco_parts)}") from error


def coco_frames(document: CocoDocument, path: Path, count: Callable[[str], None] | None = None) -> Iterator[Frame]:
    """Yields the frames of a COCO document in the order of its images, their labels in the order of its annotations.

    Boxes become inclusive corners. Polygons and plain run lengths become compressed run lengths. ``iscrowd`` becomes
    the attributes ``crowd`` and ``ignored``, ``ignore`` the latter; CVAT's ``attributes`` occluded, truncated and
    trafficLightColor are the label's. An annotation without a box gets that around its mask, one without an id a number
    that counts all labels. A frame's name is the last part of ``file_name``,
    or more of it where several have that (:func:`~.image_names.frame_names`). ``count`` is called with
    :data:`MORE_ATTRIBUTES` and :data:`TRACKS`, of each annotation of which that is true.

    Raises:
        DataError: a list is missing, an id or a name stands twice, an annotation has no image or no category, or run
            lengths or polygons that are damaged.
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
    with without_collection():
        images = _images(document, path)
        categories = _category_names(document, path)
        found = _by_image(images, msgspec.json.decode(document.annotations, type=list[_Annotation]), path)
    number = 0
    for key, image in images.items():
        annotations = found.pop(key)
        if count is not None:
            for annotation in annotations:
                _count_lost(annotation, count)
        yield _frame(image, annotations, categories, path, number)
        number += len(annotations)


class CocoNames(NamedTuple):
    """What the ids of a COCO file stand for: frames without labels by the ids of their images, and class names."""

    frames: dict[Id, Frame]
    categories: dict[Id, str]


def read_names(path: Path) -> CocoNames:
    """Reads what the ids of a COCO file stand for, whose annotations may be missing; ids are `id_number`s.

    Raises:
        DataError: the file cannot be read, has no images or categories, or an id stands twice.
    """
    content = read_json(path)
    try:
        document = msgspec.json.decode(content, type=CocoDocument)
        if document.images is ABSENT or document.categories is ABSENT:
            missing = "images" if document.images is ABSENT else "categories"
            raise DataError(f'{path}: no "{missing}"; give a COCO file of the images, with their ids and categories.')
        images, categories = _images(document, path), _category_names(document, path)
        frames = {key: _frame(image, [], categories, path) for key, image in images.items()}
        return CocoNames(frames, categories)
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error, coco_parts)}") from error


def ids_by_name(categories: Mapping[Id, str]) -> dict[str, Id]:
    """The id of each name of a category, in the order of the ids; of several of one name the first."""
    ids: dict[str, Id] = {}
    for key, name in sorted(categories.items(), key=lambda one: (isinstance(one[0], str), one[0])):
        ids.setdefault(name, key)
    return ids


def _images(document: CocoDocument, path: Path) -> dict[Id, _Image]:
    images: dict[Id, _Image] = {}
    for image in msgspec.json.decode(document.images, type=list[_Image]):
        other = images.setdefault(id_number(image.id), image)
        if other is not image:
            raise DataError(
                f"{path}: frames {shown(other.file_name)} and {shown(image.file_name)} have the same image id "
                f"{shown(image.id)}; mend one of them."
            )
    # The toolkit writes a frame's address, or its video before its name, others a folder.
    for image, name in zip(images.values(), frame_names(image.file_name for image in images.values()), strict=True):
        image.name = name
    return images


def _category_names(document: CocoDocument, path: Path) -> dict[Id, str]:
    names: dict[Id, str] = {}
    for one in msgspec.json.decode(document.categories, type=list[_Category]):
        other = names.setdefault(id_number(one.id), one.name)
        if other != one.name:
            raise DataError(
                f"{path}: categories {shown(other)} and {shown(one.name)} have the same id {shown(one.id)}; mend one "
                "of them."
            )
    return names


def _by_image(images: Iterable[Id], annotations: list[_Annotation], path: Path) -> dict[Id, list[_Annotation]]:
    found: dict[Id, list[_Annotation]] = {key: [] for key in images}
    for annotation in annotations:
        mine = found.get(annotation.image_id)
        if mine is None:
            mine = found.get(id_number(annotation.image_id))
        if mine is None:
            raise DataError(
                f"{path}: annotation {shown(annotation.id)} is of image id {shown(annotation.image_id)}, but no image "
                "has that id; add the image or remove the annotation."
            )
        mine.append(annotation)
    _warn_of_repeated(annotations, path)
    return found


def _warn_of_repeated(annotations: list[_Annotation], path: Path) -> None:
    """Warns of annotations that stand in the file again, as where it was joined with itself."""
    # Ids alone tell nothing: tools write 0 for all.
    if len({annotation.id for annotation in annotations}) == len(annotations):
        return
    found = {(one.id, one.image_id, one.category_id, one.bbox, bytes(one.segmentation)) for one in annotations}
    if len(found) < len(annotations):
        logger.warning(
            "%s: %d annotations stand in it twice, with their ids, and count twice; remove one of each.",
            path,
            len(annotations) - len(found),
        )


def category_name(category_id: Id, categories: dict[Id, str], where: str) -> str:
    """The name of the category of an id; DataError, which begins with ``where``, if none has it."""
    name = categories.get(category_id)
    if name is None:
        name = categories.get(id_number(category_id))
    if name is None:
        known = shown(", ".join(f"{i} {name}" for i, name in categories.items()), 1000)
        raise DataError(f"{where}: no category has the id {shown(category_id)}; there are {known}.")
    return name


def _frame(
    image: _Image, annotations: list[_Annotation], categories: dict[Id, str], path: Path, number: int = 0
) -> Frame:
    """The frame of an image; ``number`` counts the labels of the frames before it."""
    name: str = image.name
    size = None
    # Tools that did not look into an image write null, or 0x0.
    if image.width is not None and image.height is not None and (image.width or image.height):
        size = ImageSize(image.width, image.height)
        check_image_size(size.height, size.width, f"{path}: frame {shown(name)}")
    labels = []
    for place, annotation in enumerate(annotations, number):
        category = categories.get(annotation.category_id)
        if category is None:
            where = f"{path}: frame {shown(name)}, annotation {shown(annotation.id)}"
            category = category_name(annotation.category_id, categories, where)
        box = attributes = mask = None
        if annotation.bbox is not None:
            box = Box2D.of_size(*annotation.bbox)
        if annotation.iscrowd or annotation.ignore:
            # COCO's crowd is never missed, which of BDD100K's two marks ignored is.
            attributes = LabelAttributes(crowd=bool(annotation.iscrowd) or None, ignored=True)
        if annotation.attributes is not ABSENT:
            attributes = with_attributes(attributes, annotation.attributes)
        if annotation.segmentation is not ABSENT:
            where = f"{path}: frame {shown(name)}, annotation {shown(annotation.id)}"
            mask = segmentation_mask(annotation.segmentation, size, where)
            if box is None and mask is not None:
                box = box_around(mask, size, where)
        label_id = annotation.id if annotation.scalabel_id is None else annotation.scalabel_id
        if label_id is None:
            label_id = str(place)
        labels.append(Label(label_id, category, annotation.score, attributes, box, mask))
    return Frame(name, attributes=image.attributes, size=size, labels=labels)


def _count_lost(annotation: _Annotation, count: Callable[[str], None]) -> None:
    if annotation.attributes is not ABSENT and has_others(annotation.attributes):
        count(MORE_ATTRIBUTES)
    # The writer of this package writes the ids of bitmasks' instances as both.
    own = str(annotation.scalabel_id).encode()
    ids = (bytes(one).strip(b'"') for one in (annotation.track_id, annotation.instance_id))
    if any(one not in (b"", b"null", own) for one in ids):
        count(TRACKS)


def coco_parts(document: Any) -> list[DocumentPart] | None:  # noqa: ANN401, whatever a file holds
    """The images, categories and annotations of a parsed COCO file; None if it has another form."""
    if not isinstance(document, dict):
        return None
    images, annotations, categories = (document.get(key) for key in ("images", "annotations", "categories"))
    if not (are_objects(images) and are_objects(annotations) and are_objects(categories)):
        return None
    names = {shown(image.get("id")): image.get("file_name") for image in images}
    parts = [DocumentPart(f"frame {shown(one.get('file_name'))}", one, _Image) for one in images]
    parts += [DocumentPart(f"category {shown(one.get('name'))}", one, _Category) for one in categories]
    for one in annotations:
        where = f"frame {shown(names.get(shown(one.get('image_id'))))}, annotation {shown(one.get('id'))}"
        parts.append(DocumentPart(where, one, _WholeAnnotation))
    return parts
