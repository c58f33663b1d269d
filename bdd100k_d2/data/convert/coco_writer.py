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
from ...tasks import TASKS
from ..labels import RLE, Frame, FrameAttributes, Label
from ..rle import CocoRLE, areas, check_rle
from . import dropped as lost
from .classes import TaskClass, TaskClasses
from .dropped import Dropped
from .polygons import mask_to_polygons


class CocoImage(msgspec.Struct, gc=False):
    """An image, to be written."""

    file_name: str
    height: int
    width: int
    id: int
    attributes: FrameAttributes | None


class CocoAnnotation(msgspec.Struct, gc=False):
    """An object, to be written. ``area`` is that of the box, or of the mask where there is one, in pixels."""

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


class CocoCategory(msgspec.Struct, gc=False):
    """A class."""

    id: int
    name: str


class CocoWriter:
    """Turns frames into the parts of a COCO document.

    Args:
        task: det takes boxes, the other tasks take masks.
        dropped: what COCO cannot hold is counted here.
        source: the file that the frames are from, for messages.
        polygons: write masks as polygons instead of run lengths.
        instance_ids: write labels' ids, which are numbers, as ``instance_id`` too, as the toolkit does of bitmasks.
    """

    def __init__(
        self, task: str, dropped: Dropped, source: Path, polygons: bool = False, instance_ids: bool = False
    ) -> None:
        self._task, self._dropped, self._source = task, dropped, source
        self._polygons, self._instance_ids = polygons, instance_ids
        self._classes = TaskClasses(task, dropped)
        self._images = self._annotations = 0

    def write(self, frames: Iterable[Frame], path: str | os.PathLike[str]) -> None:
        """Writes a document, whole or not at all.

        Raises:
            DataError: run lengths that do not fit the image.
            OutputError: ``path`` cannot be written.
        """
        encoder = msgspec.json.Encoder()
        head = {
            "type": "instance",
            "categories": [CocoCategory(i, name) for i, name in enumerate(TASKS[self._task].names, 1)],
        }
        # The images are small, so they wait for the annotations, which are written as they come.
        images: list[bytes] = []
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(encoder.encode(head)[:-1] + b',"annotations":[')
            separator = b""
            for frame in frames:
                images.append(encoder.encode(self.image(frame)))
                annotations = encoder.encode(list(self.annotations(frame)))[1:-1]
                if annotations:
                    file.write(separator + annotations)
                    separator = b",\n"
            file.write(b'],"images":[' + b",\n".join(images) + b"]}")

    def image(self, frame: Frame) -> CocoImage:
        """The next image."""
        self._images += 1
        lost.count_frame(frame, self._dropped, attributes=False)
        height, width = frame.height_width
        return CocoImage(frame.name, height, width, self._images, frame.attributes)

    def annotations(self, frame: Frame) -> Iterator[CocoAnnotation]:
        """The annotations of the image that was given last, whose frame this is."""
        return self._boxes(frame) if self._task == "det" else self._masks(frame)

    def _boxes(self, frame: Frame) -> Iterator[CocoAnnotation]:
        for label in frame.labels or ():
            box = label.box2d
            if box is None:
                self._dropped.add(lost.NO_BOX)
            elif (known := self._classes.find(label.category)) is not None:
                if label.rle is not None:
                    self._dropped.add(lost.MASKS)
                width, height = box.x2 - box.x1 + 1, box.y2 - box.y1 + 1
                yield self._annotation(label, known, (box.x1, box.y1, width, height), width * height)

    def _masks(self, frame: Frame) -> Iterator[CocoAnnotation]:
        labels: list[tuple[Label, TaskClass]] = []
        masks: list[CocoRLE] = []
        for label in frame.labels or ():
            if label.rle is None:
                self._dropped.add(lost.NO_MASK)
            elif (known := self._classes.find(label.category)) is not None:
                where = f"{self._source}: frame {frame.name}, label {label.id} ({label.category})"
                masks.append(check_rle(label.rle, frame.height_width, where))
                labels.append((label, known))
        if not masks:
            return
        boxes = coco_mask.toBbox(masks).tolist()
        for (label, known), mask, box, area in zip(labels, masks, boxes, areas(masks).tolist(), strict=True):
            own = label.box2d
            if own is not None and (own.x1, own.y1, own.x2 - own.x1 + 1, own.y2 - own.y1 + 1) != tuple(box):
                self._dropped.add(lost.BOXES)
            annotation = self._annotation(label, known, tuple(box), area)
            annotation.segmentation = self._segmentation(label.rle, mask)
            yield annotation

    def _segmentation(self, rle: RLE, mask: CocoRLE) -> RLE | list[list[float]]:
        # Polygons of nothing would be no mask to their reader.
        if self._polygons and areas([mask])[0]:
            return mask_to_polygons(np.asarray(coco_mask.decode(mask)))
        return rle

    def _annotation(
        self, label: Label, known: TaskClass, box: tuple[float, float, float, float], area: float
    ) -> CocoAnnotation:
        self._annotations += 1
        lost.count_attributes(label, self._dropped)
        lost.count_extras(label, self._dropped)
        if label.attributes is not None and label.attributes.ignored:
            self._dropped.add(lost.IGNORED_AS_CROWD)
        annotation = CocoAnnotation(
            id=self._annotations,
            image_id=self._images,
            category_id=known.index + 1,
            scalabel_id=None if label.id is None else str(label.id),
            iscrowd=int(known.ignored or label.is_crowd),
            bbox=box,
            area=area,
        )
        if label.score is not None:
            annotation.score = label.score
        if self._instance_ids:
            annotation.instance_id = int(label.id)
        return annotation
