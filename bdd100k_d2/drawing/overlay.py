"""Objects and classes of pixels on an image, by names and colours of a task or a data set.

It is the one way in which predictions, ground truth and training samples are drawn. Images, colours, what is returned
and what is raised are as in :mod:`.draw`. Of Detectron2 it knows the metadata of a data set, and imports nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import cv2
import numpy as np

from ..data.dataset_task import categories_of
from ..tasks import Task
from .draw import Box, Color, box_areas, draw_boxes, luminance, overlay_mask

if TYPE_CHECKING:
    from detectron2.data import Metadata

IGNORED_COLOR: Color = (200, 200, 200)
"""Of objects that are neither trained on nor scored."""

MIN_SCORE = 0.3
"""Predicted objects below this score are not drawn unless the user says so."""

_NOTHING = 255
# Relative luminance, 0 to 1, that the outline of a mask has at least. Several official colours are near to black.
_EDGE_LUMINANCE = 0.35
_NEIGHBOURS = np.ones((3, 3), np.uint8)


class Classes(NamedTuple):
    """Names and colours of the classes that ids stand for; the colour of a class that is not painted is None."""

    names: tuple[str, ...]
    colors: tuple[Color | None, ...]

    @property
    def painted(self) -> list[tuple[str, Color]]:
        """Name and colour of the classes that are painted."""
        return [(name, color) for name, color in zip(self.names, self.colors, strict=True) if color is not None]


class Objects(NamedTuple):
    """N objects of an image of H x W pixels.

    Attributes:
        corners: (N, 4) float x1, y1, x2, y2 in pixels, inclusive.
        classes: (N,) int ids.
        scores: (N,) float, 0 to 1; None for ground truth.
        owners: (H, W) int, whose mask each pixel is of: i + 1 for object i, 0 for none. None for boxes alone.
        ignored: (N,) bool, objects that do not count; None if all do.
    """

    corners: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    owners: np.ndarray | None = None
    ignored: np.ndarray | None = None


def visible_classes(names: Sequence[str], colors: Sequence[Color]) -> Classes:
    """These classes; "background" is not painted, because a colour over it would only darken the image."""
    kept = (None if name == "background" else _rgb(color) for name, color in zip(names, colors, strict=True))
    return Classes(tuple(names), tuple(kept))


def classes_of_task(task: Task) -> Classes:
    """The classes of a task, BDD100K's or own ones."""
    return visible_classes(task.names, task.colors)


def stack_masks(masks: np.ndarray, corners: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
    """Whose mask each pixel is of, (H, W) uint16, as the ``owners`` of `Objects`.

    The highest score lies on top, without scores the smallest box. ``masks`` (N, H, W) bool lie inside of their boxes,
    whose ``corners`` and ``scores`` are as in `Objects`.
    """
    owners = np.zeros(masks.shape[1:], np.uint16)
    for index in np.argsort(-box_areas(corners) if scores is None else scores, kind="stable").tolist():
        part = _part(corners[index], owners.shape)
        owners[part][masks[index][part]] = index + 1
    return owners


def draw_objects(image: np.ndarray, objects: Objects, classes: Classes) -> np.ndarray:
    """Draws boxes with class and score, and under them masks of half opacity with an outline.

    Ignored objects are dashed boxes without a text, and their masks are left out.
    """
    count = len(objects.classes)
    ignored = np.zeros(count, bool) if objects.ignored is None else objects.ignored
    if objects.owners is not None:
        # A byte has no place for more classes; of the others the box is drawn alone.
        unpainted = ignored | (objects.classes >= _NOTHING)
        table = np.append(_NOTHING, np.where(unpainted, _NOTHING, objects.classes)).astype(np.uint8)
        image = draw_classes(image, _look_up(table, objects.owners), classes, objects.owners)
    scores = [None] * count if objects.scores is None else objects.scores.tolist()
    boxes = [
        Box(tuple(corners), IGNORED_COLOR, dashed=True)
        if off
        else Box(tuple(corners), classes.colors[k] or IGNORED_COLOR, _text(classes.names[k], score), score)
        for corners, k, score, off in zip(
            objects.corners.tolist(), objects.classes.tolist(), scores, ignored.tolist(), strict=True
        )
    ]
    return draw_boxes(image, boxes)


def draw_classes(image: np.ndarray, ids: np.ndarray, classes: Classes, regions: np.ndarray | None = None) -> np.ndarray:
    """Lays the classes of pixels over an image in half opacity, with an outline around each region.

    Pixels whose ``ids`` (H, W) uint8 are not of ``classes`` stay as they are. ``regions`` (H, W) int below 65,536 tell
    objects of one class apart; without them the ids are the regions.
    """
    painted = overlay_mask(image, ids, classes.colors)
    _outline(painted, ids if regions is None else regions.astype(np.uint16, copy=False), ids, classes)
    return painted


def draw_segments(
    image: np.ndarray, segments: np.ndarray, class_of: Mapping[int, int], classes: Classes
) -> tuple[np.ndarray, list[int]]:
    """Lays panoptic segments over an image, as :func:`draw_classes` does, and returns the ids of their classes too.

    ``segments`` (H, W) int, 0 to 65,535, says which segment each pixel is of. ``class_of`` has their class ids; pixels
    of other segments stay as they are.
    """
    table = np.full(1 + max(int(segments.max(initial=0)), *class_of, 0), _NOTHING, np.uint8)
    table[list(class_of)] = list(class_of.values())
    ids = _look_up(table, segments)
    return draw_classes(image, ids, classes, segments), present_classes(ids)


def present_classes(ids: np.ndarray) -> list[int]:
    """The ids that a mask, (H, W) uint8, holds, in a third of the time of NumPy's unique."""
    return np.flatnonzero(cv2.calcHist([ids], [0], None, [256], [0, 256])).tolist()


@lru_cache(maxsize=256)
def edge_color(color: Color) -> Color:
    """``color``, mixed with as much white as lets an outline of it be seen on a night image."""
    mixed = (_rgb([round(v + (255 - v) * share / 20) for v in color]) for share in range(21))
    return next(one for one in mixed if luminance(one) >= _EDGE_LUMINANCE)


def _rgb(values: Sequence[int]) -> Color:
    red, green, blue = values
    return red, green, blue


def _text(name: str, score: float | None) -> str:
    return name if score is None else f"{name} {score:.2f}"


def _look_up(table: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """``table[owners]``, where there are few owners in a twentieth of the time."""
    if len(table) > 256:
        return table[owners]
    return cv2.LUT(owners.astype(np.uint8), np.pad(table, (0, 256 - len(table))))


def _part(corners: np.ndarray, shape: Sequence[int]) -> tuple[slice, slice]:
    """The pixels of a box and two around it; a mask lies inside of its box, and a whole image takes 30 times as long.

    A box that is not finite stands for the whole image.
    """
    if not np.isfinite(corners).all():
        return slice(None), slice(None)
    x1, y1, x2, y2 = corners
    rows, columns = (
        slice(max(0, int(low) - 2), max(0, min(size, int(high) + 3)))
        for low, high, size in ((y1, y2, shape[0]), (x1, x2, shape[1]))
    )
    return rows, columns


def _outline(painted: np.ndarray, regions: np.ndarray, ids: np.ndarray, classes: Classes) -> None:
    """Draws, in place, the border of each of the ``regions`` (H, W) in the colour of its class."""
    gradient = cv2.morphologyEx(regions, cv2.MORPH_GRADIENT, _NEIGHBOURS)
    # Five times as fast as NumPy's; None where there is no edge.
    edges = cv2.findNonZero(gradient)
    if edges is None:
        return
    columns, rows = edges.reshape(-1, 2).T
    table = np.zeros((256, 3), np.uint8)
    known = np.zeros(256, bool)
    for k, color in enumerate(classes.colors[:_NOTHING]):
        if color is not None:
            table[k], known[k] = edge_color(color), True
    of_edge = ids[rows, columns]
    kept = known[of_edge]
    painted[rows[kept], columns[kept]] = table[of_edge[kept]]


def thing_classes(metadata: "Metadata") -> Classes:
    """The classes of objects; a data set without ``thing_colors`` has those of `own_categories`."""
    return _classes_of(metadata, "thing")


def stuff_classes(metadata: "Metadata") -> Classes:
    """The classes of pixels; a data set without ``stuff_colors`` has those of `own_categories`."""
    return _classes_of(metadata, "stuff")


def _classes_of(metadata: "Metadata", kind: Literal["thing", "stuff"]) -> Classes:
    categories = categories_of(metadata, kind)
    return visible_classes([one.name for one in categories], [one.color for one in categories])


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
