"""The classes of a data set of Detectron2, from its metadata, as :mod:`.overlay` draws them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .overlay import Classes, visible_classes

if TYPE_CHECKING:
    from detectron2.data import Metadata


def thing_classes(metadata: "Metadata") -> Classes:
    """The classes of objects."""
    return visible_classes(metadata.thing_classes, metadata.thing_colors)


def stuff_classes(metadata: "Metadata") -> Classes:
    """The classes of pixels."""
    return visible_classes(metadata.stuff_classes, metadata.stuff_colors)


def panoptic_classes(metadata: "Metadata") -> Classes:
    """The things, and after them the stuff."""
    things, stuff = thing_classes(metadata), stuff_classes(metadata)
    # The stuff that Detectron2 calls "things" stands for all of them and is no class.
    stuff_colors = (None if name == "things" else color for name, color in zip(*stuff, strict=True))
    return Classes(things.names + stuff.names, (*things.colors, *stuff_colors))


def classes_of_segments(infos: Iterable[dict[str, Any]], metadata: "Metadata") -> dict[int, int]:
    """The ids of panoptic segments -> their classes, as :func:`panoptic_classes` numbers them."""
    things = len(metadata.thing_classes)
    return {info["id"]: info["category_id"] + (0 if info["isthing"] else things) for info in infos}
