"""The records of users' own data: labels matched with their images by name, wherever below the folder these lie.

An image may have another ending than the labels give it, if it is the only one of its stem, and has the size that they
state, else its own. Of several images of one name in different folders a frame is called by the folders too, as
`frame_names` has it.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..errors import DataError, shown
from ..tasks import Task
from .categories import LabelClass
from .convert.dropped import Dropped
from .convert.image_sizes import ImagesBelow
from .convert.yolo_parts import YoloFrame
from .convert.yolo_reader import YoloSizes, read_yolo
from .datasets import det_records, warn_of_left_out
from .image_files import image_size
from .image_names import frame_names, image_stem
from .instances import bitmask_records, default_find_class, run_length_records
from .labels import Frame, ImageSize, each_once
from .masks import list_masks
from .other_classes import counts_of_others, leave_out_others
from .own_class_names import label_facts
from .own_places import OwnPart
from .unchanged import KeptRecords, content_state
from .vintages import Vintage, read_labels

logger = logging.getLogger(__name__)

_LABELS = ("annotations", "segments_info")
# An evaluation in training loads its data set several times each time.
_kept = KeptRecords(most_bytes=256 << 20)


def load_part(part: OwnPart, task: Task, others_left_out: bool) -> list[dict[str, Any]]:
    """The records of a data set, with the classes of ``task``; others are left out and counted, or are a mistake.

    They are read again only where labels, or the folder of images, have changed.

    Raises:
        DataError: labels or images cannot be read, are missing or not told apart, or nothing is of the classes.
    """
    kind = label_facts(part, task).kind
    reads = [part.labels, *(part.yolo().reads if kind == "yolo" else ()), *filter(None, [part.images])]
    key = part, task.name, task.categories, others_left_out
    return _kept.get(key, content_state(reads), partial(_load, part, kind, task, others_left_out))


def _load(part: OwnPart, kind: str, task: Task, others_left_out: bool) -> list[dict[str, Any]]:
    if kind in ("masks", "bitmasks"):
        return _load_pngs(part, kind, task)
    if kind == "yolo":
        (frames, places), vintage = _read_yolo(part, task), None
    else:
        frames, vintage = read_labels(part.labels)
        for frame, name in zip(frames, frame_names(frame.name for frame in frames), strict=True):
            frame.name = name
        frames = [*each_once(frames, part.labels)]
        _check_stems(frames, part.labels)
        there = ImagesBelow(part.images or part.labels)
        places = _images_of([frame.name for frame in frames], part, there)
    total = sum(len(frame.labels or ()) for frame in frames)
    left_out = leave_out_others(frames, task, of_official=True) if others_left_out else {}
    head, find = partial(_head, places), partial(_find_class, task)
    if task.form == "boxes":
        _leave_out_flat(frames, part.labels)
        records = det_records(frames, part.labels, head, find, whole_pixels=kind == "scalabel")
    else:
        records = run_length_records(frames, part.labels, head, task, find, vintage is Vintage.COCO)
    if left_out:
        # A data set that has changed meanwhile is loaded again.
        _warn_once(f"{part.labels}: labels of other classes are left out: {counts_of_others(left_out)}.")
    if not total:
        _warn_once(f"{part.labels}: no frame has a label: {part.name} is a test set, which has no scores.")
        return [{key: one for key, one in record.items() if key not in _LABELS} for record in records]
    if not any(record["annotations"] or record.get("segments_info") for record in records):
        has = f"of {counts_of_others(left_out)}" if left_out else "of none that can be used"
        raise DataError(
            f"{part.labels}: has nothing of the classes {shown(', '.join(task.names), 1000)}: its {total:,} labels are "
            f"{has}; check the labels and the names of the classes, which are taken exactly."
        )
    logger.info("%s: %d frames of %s.", part.labels, len(records), part.name)
    return records


def _check_stems(frames: Iterable[Frame], labels: Path) -> None:
    """Raises DataError for two frames whose masks and results would have one name."""
    names: dict[str, str] = {}
    for frame in frames:
        other = names.setdefault(image_stem(frame.name), frame.name)
        if other != frame.name:
            raise DataError(
                f"{labels}: frames {shown(other)} and {shown(frame.name)} differ in their endings alone, which masks "
                "and results do not have; rename one of the two images."
            )


@cache
def _warn_once(message: str) -> None:
    logger.warning("%s", message)


def _find_class(task: Task, category: str | None, where: str) -> LabelClass | None:
    try:
        return default_find_class(task)(category, where)
    except DataError as error:
        raise DataError(f"{error} For classes of your own give register_dataset classes.") from None


def _read_yolo(part: OwnPart, task: Task) -> tuple[list[Frame], dict[str, Path]]:
    """The frames of labels of YOLO, and their images by name."""
    found = part.yolo()
    dropped = Dropped()
    frames = [*read_yolo(found.frames, part.yolo_classes(found) or [*task.names], _Sizes(None, None), dropped)]
    for what, count in dropped.counts().items():
        logger.warning("%s: %d %s.", part.labels, count, what)
    return frames, {frame.name: frame.image for frame in found.frames if frame.image is not None}


def _load_pngs(part: OwnPart, kind: str, task: Task) -> list[dict[str, Any]]:
    files = list_masks(part.labels, below=True)
    there = ImagesBelow(part.images or part.labels, files.values())
    remedy = (
        f"every PNG file below {part.labels} is taken for a mask, which has the name of its image, without _mask or "
        "other additions: check images, or name them alike"
    )
    images = _images_of([*files], part, there, remedy)
    unlabelled = len(there.paths) - len(files)
    warn_of_left_out(part.labels, {"images without a mask": unlabelled})
    # By the names of the images.
    names = {stem: f"{image_stem(stem)}{images[stem].suffix}" for stem in files}
    if len({*names.values()}) < len(names):
        twice = next(one for one, count in Counter(names.values()).items() if count > 1)
        first, second, *_ = (file for stem, file in files.items() if names[stem] == twice)
        raise DataError(f"{first} and {second} are masks of the same image {shown(twice)}; remove one of the two.")
    places = {names[stem]: image for stem, image in images.items()}
    files = {names[stem]: file for stem, file in files.items()}
    if kind == "bitmasks":
        return bitmask_records(files, places, part.labels, task)
    records = []
    for name, file in files.items():
        height, width = image_size(file)
        record = {"file_name": str(places[name]), "image_id": name, "height": height, "width": width}
        records.append(record | {"sem_seg_file_name": str(file)})
    return records


def _images_of(
    names: Sequence[str], part: OwnPart, there: ImagesBelow, remedy: str = "check images"
) -> dict[str, Path]:
    """The image of each frame; DataError where one is missing, or labels do not tell which it is."""
    found = {name: there.find(name) for name in names}
    missing = [name for name, image in found.items() if image is None]
    if missing:
        raise DataError(
            f"{part.images or part.labels}: {len(missing):,} of {len(names):,} images of the labels in {part.labels} "
            f"are missing, the first is {shown(missing[0])}; {remedy}."
        )
    return {name: image for name, image in found.items() if image is not None}


def _head(places: Mapping[str, Path], frame: Frame) -> dict[str, Any]:
    place = places[frame.name]
    if frame.size is not None:
        height, width = frame.size.height, frame.size.width
    else:
        stated = next((label.rle.size for label in frame.labels or () if label.rle is not None), None)
        height, width = stated or image_size(place)
    return {"file_name": str(place), "image_id": frame.name, "height": height, "width": width}


def _leave_out_flat(frames: Iterable[Frame], labels: Path) -> None:
    """Takes boxes without an area out, as the conversion does; of COCO the reader has."""
    count = 0
    for frame in frames:
        if frame.labels:
            kept = [one for one in frame.labels if one.box2d is None or not one.box2d.is_flat]
            count += len(frame.labels) - len(kept)
            frame.labels = kept
    warn_of_left_out(labels, {"boxes without an area": count})


class _Sizes(YoloSizes):
    """The sizes of images, of which each has to be there."""

    def find(self, frame: YoloFrame) -> ImageSize:
        """The size of a frame's image."""
        if frame.image is None:
            raise DataError(f"{frame.file}: no image of these labels is there; give register_dataset their images.")
        height, width = image_size(frame.image)
        return ImageSize(width, height)
