"""The parts of a COCO JSON document, as the official toolkit's ``to_coco`` writes them and as other tools do.

A ``bbox`` is x, y, width and height in pixels; Scalabel's corners are inclusive, so a width is ``x2 - x1 + 1``.
Sources: https://cocodataset.org/#format-data, and ``scalabel/label/to_coco.py`` for the fields beyond COCO
(``scalabel_id``, ``instance_id``, and the ``attributes`` of an image).
"""

import msgspec

from ..labels import RLE, FrameAttributes


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


class AnyRLE(msgspec.Struct, gc=False):
    """Run lengths, compressed to a text or as plain numbers; ``size`` is (height, width) in pixels."""

    counts: str | list[int]
    size: tuple[int, int]


class AnyImage(msgspec.Struct, gc=False):
    """An image, as any tool may write it."""

    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None
    attributes: FrameAttributes | None = None


class AnyAnnotation(msgspec.Struct, gc=False):
    """An object, as any tool may write it."""

    image_id: int | str
    category_id: int
    id: int | str | None = None
    scalabel_id: int | str | None = None
    bbox: tuple[float, float, float, float] | None = None
    segmentation: AnyRLE | list[list[float]] | None = None
    iscrowd: int | bool = 0
    ignore: int | bool = 0
    score: float | None = None
