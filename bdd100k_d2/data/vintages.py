"""Label files of every vintage -> frames; the vintage is told by what a file holds, never by its name.

BDD100K's boxes were published several times, with other names, other corrections and in other formats, so scores on two
vintages are not comparable. Sources: https://doc.bdd100k.com/format.html for Scalabel, and the released files for the
rest.
"""

import logging
import os
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import DataError
from .coco import ABSENT, CocoDocument, coco_frames, coco_parts
from .folders import label_files
from .image_names import image_name, image_stem
from .labels import (
    Box2D,
    DocumentPart,
    Frame,
    FrameAttributes,
    Label,
    diagnose,
    each_once,
    read_content,
    scalabel_parts,
    without_collection,
)

logger = logging.getLogger(__name__)


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
    """Reads a label file, or every file of a folder that :func:`~bdd100k_d2.data.folders.label_files` finds.

    Understood are Scalabel (a list of frames or ``{"frames": [...]}``: det_20, the 2018 lists, tracking, run lengths,
    predictions), the per-image files of the first release (``{"name", "frames": [{"objects"}]}``) and COCO of any tool
    (:mod:`~bdd100k_d2.data.coco`). Category names stay; :func:`~bdd100k_d2.data.categories.det_class` maps them. The
    tracking files' "Occluded" and "Truncated" become "occluded" and "truncated". Boxes become corners in pixels,
    inclusive; those of a COCO file that have no area are left out with a warning.

    Raises:
        DataError: a file that does not exist, is empty, cut off or of another format, a field of the wrong type, a
            frame that stands twice, a folder without label files, or files of two vintages.
    """
    path = Path(path)
    with without_collection():
        return _read_folder(path) if path.is_dir() else _read_file(path)


def lower_attributes(content: bytes) -> bytes:
    """Labels with the two attributes in small letters that some tracking files write with a capital."""
    return content.replace(b'"Occluded"', b'"occluded"').replace(b'"Truncated"', b'"truncated"')


def _read_folder(folder: Path) -> LabelSet:
    frames: list[Frame] = []
    origins: dict[str, Path] = {}
    told: dict[Vintage, Path] = {}
    for file in label_files(folder):
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


class _Document(CocoDocument):
    """The keys that tell one document from another. What they hold is skipped, and decoded once its type is known."""

    name: msgspec.Raw = ABSENT
    frames: msgspec.Raw = ABSENT


def _read_file(path: Path) -> LabelSet:
    content = read_content(path)
    try:
        if content.lstrip()[:1] != b"{":
            found = _from_scalabel(content)
        else:
            document = msgspec.json.decode(content, type=_Document)
            if document.is_coco:
                found = LabelSet(_with_area(coco_frames(document, path), path), Vintage.COCO)
            elif document.name is not ABSENT:
                first = msgspec.json.decode(content, type=_FirstRelease)
                (only,) = first.frames
                frame = Frame(image_name(first.name), None, first.attributes, only.timestamp, labels=only.objects)
                found = LabelSet([frame], Vintage.PER_IMAGE_2018)
            else:
                found = _from_scalabel(document.frames)
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: {diagnose(content, error, _parts)}") from error
    return found._replace(frames=list(each_once(found.frames, path)))


_NAMES_2018 = {"bike", "motor", "person", "lane", "drivable area"}
_NAMES_2020 = {"bicycle", "motorcycle", "pedestrian", "other person", "other vehicle", "trailer"}


def _from_scalabel(content: bytes | msgspec.Raw) -> LabelSet:
    frames = msgspec.json.decode(content, type=list[Frame])
    vintage = _tell(frames)
    # No other files have capitals, so no others are searched for them.
    if vintage is Vintage.TRACKING and (lowered := lower_attributes(bytes(content))) != bytes(content):
        frames = msgspec.json.decode(lowered, type=list[Frame])
    return LabelSet(frames, vintage)


def _tell(frames: list[Frame]) -> Vintage:
    # det_20 names a frame after its video, whose key frame it is; in a video the names are numbered.
    if any(frame.videoName and image_stem(frame.name) != frame.videoName for frame in frames):
        return Vintage.TRACKING
    labels = [label for frame in frames for label in frame.labels or ()]
    boxes = any(label.box2d is not None for label in labels)
    if not boxes or labels[0].score is not None or labels[0].rle is not None:
        return Vintage.SCALABEL
    names = {label.category for label in labels}
    old, new = not names.isdisjoint(_NAMES_2018), not names.isdisjoint(_NAMES_2020)
    if not old and not new:
        lamps = {label.attributes.trafficLightColor for label in labels if label.attributes}
        old, new = "none" in lamps, "NA" in lamps
    if old == new:
        return Vintage.SCALABEL
    return Vintage.LISTS_2018 if old else Vintage.DET_20


class _Objects(msgspec.Struct):
    objects: list[Label] | None = None
    timestamp: int | None = None


class _FirstRelease(msgspec.Struct):
    name: str
    frames: tuple[_Objects]
    attributes: FrameAttributes | None = None


def _parts(document: Any) -> list[DocumentPart] | None:  # noqa: ANN401, whatever a file holds
    """The parts of any label file, to name what is wrong with one that could not be decoded."""
    if isinstance(document, dict) and ("images" in document or "annotations" in document):
        return coco_parts(document)
    if isinstance(document, dict) and "name" in document:
        return [DocumentPart(f"frame {image_name(str(document['name']))}", document, _FirstRelease)]
    return scalabel_parts(document)


def _with_area(frames: Iterable[Frame], path: Path) -> list[Frame]:
    """The frames of a COCO file without its boxes of no area, as the converter has it; one warning counts them."""
    kept, dropped = [], 0
    for frame in frames:
        flat = [label for label in frame.labels or () if label.box2d is not None and _is_flat(label.box2d)]
        for label in flat:
            label.box2d = None
        # COCO has a box of zeros for a mask of nothing, which is no loss.
        lost = [label for label in flat if label.rle is None]
        if lost:
            dropped += len(lost)
            frame.labels = [label for label in frame.labels or () if not any(label is one for one in lost)]
        kept.append(frame)
    if dropped:
        logger.warning("%s: %d boxes without an area are left out.", path, dropped)
    return kept


def _is_flat(box: Box2D) -> bool:
    return box.x2 - box.x1 + 1 <= 0 or box.y2 - box.y1 + 1 <= 0
