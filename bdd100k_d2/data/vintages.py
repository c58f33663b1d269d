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

from ..errors import DataError, shown
from .coco import coco_frames, coco_parts, ids_by_name, is_coco, read_names
from .diagnosis import DocumentPart, diagnose, scalabel_parts
from .folders import label_files, warn_of_unread_label_files
from .image_names import frame_names, image_name, image_stem
from .json_file import JSON_ERRORS, read_json
from .label_document import open_document, read_categories, with_size
from .labels import (
    Frame,
    FrameAttributes,
    Label,
    OpenLabel,
    decode_frames,
    each_once,
    lower_attributes,
    without_collection,
)
from .unlabelled import check_objects, labelled_frames

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

    Understood are Scalabel (a list of frames, ``{"frames": [...]}`` or one frame: det_20, the 2018 lists, tracking, run
    lengths, predictions), the flat list of boxes of 2018 (:mod:`~bdd100k_d2.data.unlabelled`), the per-image files of
    the first release (``{"name", "frames": [{"objects"}]}``) and COCO of any tool (:mod:`~bdd100k_d2.data.coco`), saved
    in any way that :func:`~bdd100k_d2.data.json_file.read_json` knows. Category names stay;
    :attr:`~bdd100k_d2.tasks.Task.label_classes` maps them. "Occluded" and "Truncated" of some files become "occluded"
    and "truncated"; frames get the size that their file's config states. Boxes become corners in pixels, inclusive;
    those of a COCO file that have no area are left out with a warning.

    Raises:
        DataError: a file that does not exist, is empty, cut off or of another format, whose objects stand under other
            keys than Scalabel's, a field of the wrong type, a frame that stands twice, whose name or size no image has,
            a folder without label files, or files of two vintages.
    """
    path = Path(path)
    with without_collection():
        return _read_folder(path) if path.is_dir() else labels_in(read_json(path), path)


def stated_classes(path: Path) -> list[str] | None:
    """The classes that a label file states: COCO's categories by id, or those of Scalabel's config; None without any.

    Raises:
        DataError: the file cannot be read, or states them in another way.
    """
    if is_coco(path):
        return [*ids_by_name(read_names(path).categories)]
    content = read_json(path)
    try:
        return read_categories(content)
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error)}") from error


def _read_folder(folder: Path) -> LabelSet:
    frames: list[Frame] = []
    origins: dict[str, Path] = {}
    told: dict[Vintage, Path] = {}
    warn_of_unread_label_files(folder)
    read = [(file, _labels_in(read_json(file), file, by_paths=True)) for file in label_files(folder)]
    of_coco = [frame for _, found in read if found.vintage is Vintage.COCO for frame in found.frames]
    # Each file may have the folder of a video.
    for frame, name in zip(of_coco, frame_names(frame.name for frame in of_coco), strict=True):
        frame.name = name
    for file, found in read:
        for frame in each_once(found.frames, file):
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


def labels_in(content: bytes, path: Path) -> LabelSet:
    """The labels in the ``content`` of the label file ``path``, as `read_json` gives it; errors are `read_labels`'s."""
    found = _labels_in(content, path, by_paths=False)
    return found._replace(frames=list(each_once(found.frames, path)))


def file_frames(path: Path) -> list[Frame]:
    """The frames of one label file, whose names are not checked: videos may have frames of equal names."""
    return _labels_in(read_json(path), path, by_paths=False).frames


def _labels_in(content: bytes, path: Path, by_paths: bool) -> LabelSet:
    """The same, whose names are not checked; ``by_paths`` COCO's frames are called by the paths of their images."""
    try:
        document = open_document(content)
        if document.is_coco:
            found = LabelSet(_with_area(coco_frames(document, path, by_paths=by_paths), path), Vintage.COCO)
        elif document.is_first_release:
            found = LabelSet([_first_release(content, document.frames, path)], Vintage.PER_IMAGE_2018)
        else:
            frames = labelled_frames(decode_frames(document.frames), document.frames, path)
            with_size(frames, document.size)
            found = LabelSet(frames, _tell(frames))
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error, _parts)}") from error
    return found


def _first_release(content: bytes, objects: msgspec.Raw, path: Path) -> Frame:
    found = msgspec.json.decode(content, type=_FirstRelease)
    (only,) = found.frames
    if only.objects is None:
        check_objects(objects, path)
    labels: list[Label] | None = None if only.objects is None else [*only.objects]
    lower_attributes(labels or ())
    return Frame(image_name(found.name), None, found.attributes, only.timestamp, labels=labels)


_NAMES_2018 = {"bike", "motor", "person", "lane", "drivable area"}
_NAMES_2020 = {"bicycle", "motorcycle", "pedestrian", "other person", "other vehicle", "trailer"}


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
    objects: list[OpenLabel] | None = None
    timestamp: Any = None


class _FirstRelease(msgspec.Struct):
    name: str
    frames: tuple[_Objects]
    attributes: FrameAttributes | None = None


def _parts(document: Any) -> list[DocumentPart] | None:  # noqa: ANN401, whatever a file holds
    """The parts of any label file, to name what is wrong with one that could not be decoded."""
    if isinstance(document, dict) and ("images" in document or "annotations" in document):
        return coco_parts(document)
    if isinstance(document, dict) and "name" in document:
        if "frames" not in document:
            return scalabel_parts([document])
        return [DocumentPart(f"frame {image_name(shown(document['name']))}", document, _FirstRelease)]
    return scalabel_parts(document)


def _with_area(frames: Iterable[Frame], path: Path) -> list[Frame]:
    """The frames of a COCO file without its boxes of no area, as the converter has it; one warning counts them."""
    kept, dropped = [], 0
    for frame in frames:
        flat = [label for label in frame.labels or () if label.box2d is not None and label.box2d.is_flat]
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
