"""The registered records of a data set as the ground truth of its evaluation.

A data set that users register, be it a part of BDD100K's or one of their own, is scored on what it holds. Only where
this package registers BDD100K's own splits and their slices, the label files count, with the frames that have no image.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog

from ...data.bitmasks import CROWD, IGNORED, REGION, Bitmask, read_bitmask
from ...data.coco_masks import segmentation_mask
from ...data.image_names import image_stem, last_part
from ...data.labels import RLE, ImageSize
from ...data.panoptic_png import read_panoptic_png
from ...data.register import all_splits
from ...data.rle import CocoRLE, areas, check_rle, fill_polygons, paint, union
from ...data.slices import is_registered_here
from ...data.stuff import crowds_beside, join_stuff, segments_of
from ...errors import DataError, shown
from ...tasks import Task
from ..metrics.detection import GroundTruth
from .record_objects import Record as Record
from .record_objects import Where, box_of, category_of, is_crowd, objects_of, stated_size, wrong_object
from .truth import of_size

_LABEL_KEYS = {"boxes": "annotations", "masks": "sem_seg_file_name", "bitmasks": "segments_info"}


def is_released(dataset_name: str) -> bool:
    """Whether a data set is a split of BDD100K, or a slice of one, as this package registers it."""
    if not is_registered_here(dataset_name):
        return False
    base = MetadataCatalog.get(dataset_name).get("slice_of", dataset_name)
    return is_registered_here(base) and base in {split.name for split in all_splits()}


def frame_name(record: Record) -> str:
    """What results call the frame of a record: its ``image_id``, or if that is no text the name of its image file.

    DataError where it has neither.
    """
    image_id, file = record.get("image_id"), record.get("file_name")
    if isinstance(image_id, str) and image_id:
        return image_id
    if not isinstance(file, str | os.PathLike) or not os.fspath(file):
        raise DataError(
            f"a record has the file_name {shown(repr(file))} and the image_id {shown(repr(image_id))}, which name no "
            "frame; give it the path of its image."
        )
    return last_part(os.fspath(file))


def named_records(dataset_name: str, task: Task) -> dict[str, Record]:
    """The registered records by `frame_name`, of results in PNG files by its stem.

    Raises:
        DataError: there is no record, two have one name, or one has none.
    """
    found: dict[str, Record] = {}
    for record in DatasetCatalog.get(dataset_name):
        try:
            name = frame_name(record) if task.form == "boxes" else frame_stem(frame_name(record))
        except DataError as error:
            raise DataError(f"{dataset_name}: {error}") from error
        if name in found:
            raise DataError(
                f"{dataset_name}: two records are called {shown(name)}, {shown(str(found[name].get('file_name')))} and "
                f"{shown(str(record.get('file_name')))}; give each record a text of its own as image_id."
            )
        found[name] = record
    if not found:
        raise DataError(f"{dataset_name}: there is no record in it, so nothing can be scored; register some.")
    return found


def frame_stem(name: str) -> str:
    """The name, without its ending, of the PNG file that the results of a frame go into."""
    return image_stem(last_part(name))


def has_labels(records: Mapping[str, Record], task: Task) -> bool:
    """Whether a record has labels of the task; those of a test set have none, which is more than no object."""
    key = "annotations" if task.has_scores else _LABEL_KEYS[task.form]
    return any(key in record for record in records.values())


def box_truth(records: Mapping[str, Record], dataset_name: str, task: Task) -> tuple[list[str], GroundTruth]:
    """The frames' names, sorted, and their boxes in columns, as :func:`.boxes.ground_truth_columns` has them.

    Raises:
        DataError: an annotation whose class, box or ``iscrowd`` is none.
    """
    names = sorted(records)
    place = {name: i for i, name in enumerate(names)}
    frames, categories, boxes, crowds = [], [], [], []
    for name, record in records.items():
        frame = f"{dataset_name}: frame {shown(name)}"
        size = stated_size(record, frame)
        for number, one in enumerate(objects_of(record, "annotations", frame)):
            where = (frame, "annotations", number)
            boxes.append(box_of(one, size, where))
            frames.append(place[name])
            categories.append(category_of(one, task.names, where))
            crowds.append(is_crowd(one, where))
    truth = GroundTruth(
        np.array(frames, np.int64),
        np.array(categories, np.int64),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(crowds, np.bool_),
    )
    return names, truth


class BitmaskRecords:
    """The ground truth of instance or panoptic segmentation in registered records, as a `BitmaskTruth`.

    Where masks overlap, the smaller one keeps the pixels. ``lost`` has the number of the objects that lost some, by the
    frames that were read.

    Raises:
        DataError: an object whose class or ``iscrowd`` is none.
    """

    def __init__(self, records: Mapping[str, Record], task: Task, dataset_name: str) -> None:
        self.path = f"the records of {dataset_name}"
        self.stems = sorted(records)
        self.lost: dict[str, int] = {}
        self._records, self._task = records, task
        self._key = "annotations" if task.has_scores else "segments_info"
        are_things = [category.is_thing for category in task.categories]
        self._things = [i for i, is_thing in enumerate(are_things) if is_thing]
        # Stuff 0 stands for all things.
        self._stuff = [-1, *(i for i, is_thing in enumerate(are_things) if not is_thing)]
        # What would be refused only at the first evaluation.
        for stem, record in records.items():
            self._classes(record, f"{self.path}: frame {shown(stem)}")

    def read(self, image_name: str, size: tuple[int, int] | None = None) -> Bitmask:
        """The objects of an image, as :meth:`.truth.BitmaskTruth.read` gives them.

        Raises:
            DataError: the record's masks are damaged or of another size, or it has a category that is no class.
        """
        stem = frame_stem(image_name)
        if stem not in self._records:
            raise DataError(f"{self.path}: no frame {shown(image_name)} among them; evaluate the registered data set.")
        record, where = self._records[stem], f"{self.path}: frame {shown(stem)}"
        if not self._task.has_scores and "bitmask_file_name" in record:
            found = self._segments(read_bitmask(record["bitmask_file_name"]), record, where)
        elif not self._task.has_scores and "pan_seg_file_name" in record:
            segments = self._segments(read_panoptic_png(record["pan_seg_file_name"]), record, where)
            found = join_stuff(segments, self._task)
        else:
            found = self._painted(record, stated_size(record, where) or size, where)
        return of_size(found, size, f"{self.path}: the ground truth of {shown(image_name)}")

    def _painted(self, record: Record, size: tuple[int, int] | None, where: str) -> Bitmask:
        """The masks of a record's objects, of stuff those of a class together; those that are small lie on top."""
        if size is None:
            raise DataError(f"{where}: neither it nor a prediction has a size; add its height and width.")
        objects, classes = objects_of(record, self._key, where), self._classes(record, where)
        parts = [_mask(one.get("segmentation"), size, f"{where}: {self._key}[{i}]") for i, one in enumerate(objects)]
        crowds = [bool(one.get("iscrowd", 0)) for one in objects]
        segments = segments_of(classes, crowds, self._task)
        masks, first = [union([parts[i] for i in each]) for each in segments], [each[0] for each in segments]
        area = areas(masks)
        low = np.isin(first, [*crowds_beside(classes, crowds, self._task)])
        order = np.lexsort((-area, ~low)).tolist()
        instances = paint(((masks[i], i + 1) for i in order), size, 0, np.int32)
        visible = np.bincount(instances.ravel(), minlength=len(masks) + 1)[1:]
        self.lost[where] = int(((visible < area) & ~low).sum())
        # An object that others cover wholly is none.
        kept = np.flatnonzero(visible)
        numbers = np.zeros(len(masks) + 1, np.int32)
        numbers[1 + kept] = np.arange(1, len(kept) + 1)
        return Bitmask(
            numbers[instances],
            (kept + 1).astype(np.int32),
            np.array([classes[first[i]] + 1 for i in kept.tolist()], np.int32),
            np.array([_bits(objects[first[i]]) for i in kept.tolist()], np.uint16),
        )

    def _segments(self, bitmask: Bitmask, record: Record, where: str) -> Bitmask:
        """The segments of a bitmask that ``segments_info`` has; others are unlabelled, as if they were not there."""
        objects = objects_of(record, self._key, where)
        infos = {one.get("id"): (one, k) for one, k in zip(objects, self._classes(record, where), strict=True)}
        if len(infos) < len(objects) or None in infos:
            raise DataError(f"{where}: two of its segments_info have one id, or one has none; mend them.")
        if lacking := infos.keys() - set(bitmask.ids.tolist()):
            raise DataError(
                f"{where}: the segment {min(map(str, lacking))} has no pixel in its file; mend segments_info."
            )
        # What the file itself calls "unlabeled" stays so: predictions there are wrong officially.
        kept = np.array([one in infos for one in bitmask.ids.tolist()], bool) | (bitmask.categories == 0)
        numbers = np.zeros(len(kept) + 1, np.int32)
        numbers[1 + np.flatnonzero(kept)] = np.arange(1, np.count_nonzero(kept) + 1)
        segments = [infos.get(one) for one in bitmask.ids[kept].tolist()]
        return Bitmask(
            numbers[bitmask.instances],
            bitmask.ids[kept],
            np.array([0 if one is None else one[1] + 1 for one in segments], np.int32),
            np.array([0 if one is None else _bits(one[0]) for one in segments], np.uint16),
        )

    def _classes(self, record: Record, where: str) -> list[int]:
        """The indices of the classes of a record's objects."""
        found = []
        for number, one in enumerate(objects_of(record, self._key, where)):
            at = (where, self._key, number)
            is_crowd(one, at)
            found.append(self._class(one, at))
        return found

    def _class(self, one: Record, where: Where) -> int:
        """The index of an object's class; of panoptic segmentation things and stuff have numbers of their own."""
        if self._task.has_scores:
            return category_of(one, self._task.names, where)
        places = self._things if one.get("isthing") else self._stuff
        names = [self._task.names[i] if i >= 0 else "things" for i in places]
        index = places[category_of(one, names, where)]
        if index < 0:
            raise wrong_object(where, "a segment of stuff has the category_id 0, which stands for all things; mend it.")
        return index


def _bits(one: Record) -> int:
    """The attributes of a bitmask: those that the record was made of, else COCO's crowd, which is never missed."""
    return int(one.get("bitmask_attributes", CROWD | IGNORED | REGION)) if one.get("iscrowd", 0) else 0


def _mask(segmentation: Any, size: tuple[int, int], where: str) -> CocoRLE:  # noqa: ANN401, whatever a record holds
    try:
        if isinstance(segmentation, list):
            return fill_polygons(segmentation, size, where)
        counts, (rows, columns) = segmentation["counts"], segmentation["size"]
        shape = int(rows), int(columns)
        if isinstance(counts, bytes | str):
            rle = RLE(counts.decode() if isinstance(counts, bytes) else counts, shape)
        else:
            plain = msgspec.json.encode({"counts": [*map(int, counts)], "size": shape})
            rle = segmentation_mask(msgspec.Raw(plain), ImageSize(size[1], size[0]), where)  # type: ignore[assignment]
    except (TypeError, KeyError, IndexError, ValueError, msgspec.MsgspecError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: a segmentation is neither run lengths nor polygons; mend or remove it.") from error
    return check_rle(rle, size, where)


def mask_files(records: Mapping[str, Record], dataset_name: str) -> dict[str, Path]:
    """The masks of the records that have one, by the stems of their frames; DataError where one is no path."""
    found = {}
    for stem, record in records.items():
        if "sem_seg_file_name" in record:
            file = record["sem_seg_file_name"]
            if not isinstance(file, str | os.PathLike):
                raise DataError(
                    f"{dataset_name}: frame {shown(stem)}: sem_seg_file_name is {shown(repr(file))}; write the path of "
                    "its mask, or leave the key out."
                )
            found[stem] = Path(file)
    return found
