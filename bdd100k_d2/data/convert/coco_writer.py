"""Frames -> COCO JSON, the document that the official toolkit's ``to_coco`` makes of the same labels.

Images and annotations count from 1 in the order of the file, categories are the task's classes from 1. Boxes are x, y,
width and height with the +1 of inclusive corners, not clipped; their area is width times height. A mask gives box and
area, and labels without one are left out. ``iscrowd`` is 1 for crowds, ignored labels and ignored classes; ``ignore``
is 0 always. One thing differs: the toolkit writes 720x1280 for every image, here a frame's own size comes first.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from ...atomic import atomic_path
from ...errors import DataError, shown
from ...tasks import TASKS
from ..labels import RLE, Frame, FrameAttributes, Label
from ..rle import CocoRLE, areas, check_rle
from . import dropped as lost
from .classes import TaskClass, TaskClasses
from .dropped import Dropped
from .polygons import mask_to_polygons


class _Image(msgspec.Struct, gc=False):
    file_name: str
    height: int
    width: int
    id: int
    attributes: FrameAttributes | None


class _Annotation(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int
    scalabel_id: str | None
    iscrowd: int
    bbox: tuple[float, float, float, float]
    area: float
    ignore: int = 0
    instance_id: int | msgspec.UnsetType = msgspec.UNSET
    score: float | msgspec.UnsetType = msgspec.UNSET
    segmentation: RLE | list[list[float]] | msgspec.UnsetType = msgspec.UNSET


class CocoWriter:
    """Turns frames of the file ``source`` into a COCO document, of their boxes in a task of boxes, else of their masks.

    With ``instance_ids`` labels' ids, which are numbers, are ``instance_id`` too, as the toolkit does of bitmasks.
    """

    def __init__(
        self, task: str, dropped: Dropped, source: Path, polygons: bool = False, instance_ids: bool = False
    ) -> None:
        self._task, self._dropped, self._source = TASKS[task], dropped, source
        self._polygons, self._instance_ids = polygons, instance_ids
        self._classes = TaskClasses(task, dropped)
        self._images = self._annotations = 0

    def write(self, frames: Iterable[Frame], path: str | os.PathLike[str]) -> None:
        """Writes a document, whole or not at all.

        Raises:
            DataError: run lengths do not fit the image, or two frames are called alike but for their folders.
            OutputError: ``path`` cannot be written.
        """
        encoder = msgspec.json.Encoder()
        categories = [{"id": i, "name": name} for i, name in enumerate(self._task.names, 1)]
        head = {"type": "instance", "categories": categories}
        # The images are small, so they wait for the annotations, which are written as they come.
        images: list[bytes] = []
        names: dict[str, str] = {}
        annotations = self._boxes if self._task.form == "boxes" else self._masks
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(encoder.encode(head)[:-1] + b',"annotations":[')
            separator = b""
            for frame in frames:
                self._images += 1
                other = names.setdefault(frame.name.replace("\\", "/").rpartition("/")[2], frame.name)
                if other != frame.name:
                    raise DataError(
                        f"{self._source}: frames {other} and {frame.name} have one name in different folders, by which "
                        "results and masks could not tell them apart; give each frame a name of its own."
                    )
                self._dropped.add_frame(frame, attributes=False)
                image = _Image(frame.name, *frame.height_width, self._images, frame.attributes)
                images.append(encoder.encode(image))
                text = encoder.encode(list(annotations(frame)))[1:-1]
                if text:
                    file.write(separator + text)
                    separator = b",\n"
            file.write(b'],"images":[' + b",\n".join(images) + b"]}")

    def _boxes(self, frame: Frame) -> Iterator[_Annotation]:
        for label in frame.labels or ():
            box = label.box2d
            if box is None:
                self._dropped.add(lost.NO_BOX)
            elif (known := self._classes.find(label.category)) is not None:
                if label.rle is not None:
                    self._dropped.add(lost.MASKS)
                width, height = box.x2 - box.x1 + 1, box.y2 - box.y1 + 1
                yield self._annotation(label, known, (box.x1, box.y1, width, height), width * height)

    def _masks(self, frame: Frame) -> Iterator[_Annotation]:
        labels: list[tuple[Label, TaskClass, RLE]] = []
        masks: list[CocoRLE] = []
        for label in frame.labels or ():
            if label.rle is None:
                self._dropped.add(lost.NO_MASK)
            elif (known := self._classes.find(label.category)) is not None:
                where = f"{self._source}: frame {frame.name}, label {shown(label.id)} ({shown(label.category)})"
                masks.append(check_rle(label.rle, frame.height_width, where))
                labels.append((label, known, label.rle))
        if not masks:
            return
        boxes = coco_mask.toBbox(masks).tolist()
        for (label, known, rle), mask, box, area in zip(labels, masks, boxes, areas(masks).tolist(), strict=True):
            own = label.box2d
            if own is not None and [own.x1, own.y1, own.x2 - own.x1 + 1, own.y2 - own.y1 + 1] != box:
                self._dropped.add(lost.BOXES)
            annotation = self._annotation(label, known, tuple(box), area)
            # Polygons of nothing would be no mask to their reader.
            with_polygons = self._polygons and area
            annotation.segmentation = mask_to_polygons(np.asarray(coco_mask.decode(mask))) if with_polygons else rle
            yield annotation

    def _annotation(
        self, label: Label, known: TaskClass, box: tuple[float, float, float, float], area: float
    ) -> _Annotation:
        self._annotations += 1
        self._dropped.add_attributes(label)
        self._dropped.add_polygon(label)
        if label.attributes is not None and label.attributes.ignored and not label.attributes.crowd:
            self._dropped.add(lost.IGNORED_AS_CROWD)
        annotation = _Annotation(
            id=self._annotations,
            image_id=self._images,
            category_id=known.id + 1,
            scalabel_id=None if label.id is None else str(label.id),
            iscrowd=int(known.ignored or label.is_crowd),
            bbox=box,
            area=area,
        )
        if label.score is not None:
            annotation.score = label.score
        if self._instance_ids and label.id is not None:
            annotation.instance_id = int(label.id)
        return annotation
