"""Files in which the readers find no label: what is in them instead of frames with ``labels``.

The challenge of 2018 took detections as one flat list of boxes, without frames (``name``, ``category``, ``bbox`` and
``score``; https://github.com/bdd100k/bdd100k, ``doc/evaluation.md`` of 2018). Others are lists of frames under whose
``labels`` nothing stands, because a tool calls them ``objects`` or the boxes ``bbox``; read as frames without labels,
they would score 0.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import DataError, shown
from .labels import Box2D, Frame, Label

logger = logging.getLogger(__name__)

# Keys of Scalabel's frames and labels (``scalabel/label/typing.py``), which say nothing of a box under another name.
_OF_FRAMES = {"name", "url", "videoName", "resources", "attributes", "timestamp", "frameIndex", "size", "labels"}
_OF_FRAMES |= {"sequence", "sensor", "intrinsics", "extrinsics", "groups", "index", "context"}
_OF_LABELS = {"id", "index", "category", "score", "attributes", "manualShape", "manualAttributes"}
# Under these keys a label of Scalabel says where its object is.
_SHAPES = frozenset(("box2d", "box3d", "poly2d", "rle", "graph"))

# Of an object, not of a frame: Scalabel's names, and those of other tools and of tables with a row per box.
_OF_OBJECTS = _SHAPES | {"category", "category_id", "class", "class_id", "label", "score", "confidence", "conf"}
_OF_OBJECTS |= {"bbox", "box", "bounding_box", "xmin", "x1", "xcenter", "left"}
# Of an object in a list, where a frame may have its place on earth.
_OF_LISTED = _OF_OBJECTS | {"coords", "coordinates", "objects"}
# Numbers of a box, in lists that are rows of a table.
_CORNERS = 4

# In so many bytes of a list its first item begins, however the file is indented.
_FIRST_ITEM = 1000


class _FlatBox(msgspec.Struct, gc=False):
    name: str
    category: str
    bbox: tuple[float, float, float, float]
    score: float | None = None
    id: str | int | float | None = None


def labelled_frames(frames: list[Frame], content: bytes | msgspec.Raw, path: Path) -> list[Frame]:
    """The frames of a label file, of which ``content`` is the JSON list and ``frames`` what was decoded of it.

    Where there is a label with a box or a mask they are returned at once, as are frames without labels. The boxes of
    a flat list are gathered in frames.

    Raises:
        DataError: there is no label, or none has a shape, and others stand under keys that are not Scalabel's; or that
            is so of some of the frames.
    """
    if not frames:
        return frames
    if any(label.box2d or label.rle for frame in frames for label in frame.labels or ()):
        check_unlabelled(frames, content, path)
        return frames
    if any(frame.labels for frame in frames):
        _check_shapes(content, path)
        return frames
    listed = msgspec.json.decode(content, type=list[dict[str, msgspec.Raw]])
    if all("bbox" in one and "category" in one for one in listed):
        return _flat_frames(content, path)
    _check_frames(listed, path)
    return frames


def has_labels_key(content: bytes | msgspec.Raw) -> bool:
    """Whether one of the frames in a JSON list has the key ``labels``."""
    return any("labels" in one for one in msgspec.json.decode(content, type=list[dict[str, msgspec.Raw]]))


def shapes_of(content: bytes | msgspec.Raw) -> set[str]:
    """Which of Scalabel's shapes (``box2d``, ``rle``, ``poly2d``, ...) labels of a JSON list of frames have."""
    return set(_shapes(content))


def _shapes(content: bytes | msgspec.Raw) -> Iterator[str]:
    """Yields the shapes of one label after the other, of which no more are decoded than are taken."""
    for frame in msgspec.json.decode(content, type=list[msgspec.Raw]):
        for label in msgspec.json.decode(frame, type=_RawLabels).labels or ():
            yield from (key for key, value in label.items() if key in _SHAPES and not _begins(value, b"n"))


def _flat_frames(content: bytes | msgspec.Raw, path: Path) -> list[Frame]:
    frames: dict[str, Frame] = {}
    boxes = msgspec.json.decode(content, type=list[_FlatBox])
    for number, one in enumerate(boxes):
        x1, y1, x2, y2 = one.bbox
        if x2 < x1 or y2 < y1:
            raise DataError(
                f"{path}: entry {number}, of frame {shown(one.name)}: a bbox of the flat list of 2018 is x1, y1, x2, "
                f"y2, this one has no width or height ({x1:g}, {y1:g}, {x2:g}, {y2:g}); if they are x, y, width and "
                'height, write frames with labels, {"name", "labels": [{"category", "box2d"}]}, or COCO.'
            )
        frame = frames.setdefault(one.name, Frame(one.name, labels=[]))
        assert frame.labels is not None
        label_id = number if one.id is None else one.id
        frame.labels.append(Label(label_id, one.category, one.score, box2d=Box2D(x1, y1, x2, y2)))
    logger.info(
        "%s: read as the flat list of the challenge of 2018, %d boxes (x1, y1, x2, y2) of %d frames; a frame without "
        "boxes is not in such a list.",
        path,
        len(boxes),
        len(frames),
    )
    return list(frames.values())


def check_objects(content: bytes | msgspec.Raw, path: Path) -> None:
    """Raises DataError if what should be the objects of a file of the first release stands under another key."""
    _check_frames(msgspec.json.decode(content, type=list[dict[str, msgspec.Raw]]), path, "objects")


def _check_frames(listed: Sequence[dict[str, msgspec.Raw]], path: Path, right: str = "labels") -> None:
    """Raises DataError if no frame has anything under ``right`` and objects stand under another key, or are frames."""
    if any(_may_be_labels(one[right]) for one in listed if right in one):
        return
    found: Counter[str] = Counter()
    if is_there := any(right in one for one in listed):
        for one in listed:
            found.update(key for key, value in one.items() if key not in _OF_FRAMES and _are_labels(value))
    else:
        for one in listed:
            found.update(
                key
                for key, value in one.items()
                if key in _OF_OBJECTS or (key not in _OF_FRAMES - {"labels"} and _may_be_labels(value))
            )
    if found:
        ((key, count),) = found.most_common(1)
        raise DataError(
            f'{path}: no frame has {"any " if is_there else ""}"{right}", and {count:,} of {len(listed):,} have '
            f'"{shown(key)}"; write frames as '
            '{"name", "labels": [{"category", "box2d": {"x1", "y1", "x2", "y2"}, "score"}]}, or COCO or YOLO, which '
            "tools/convert_labels.py reads."
        )


def check_unlabelled(frames: Sequence[Frame], content: bytes | msgspec.Raw, path: Path) -> None:
    """Raises DataError if objects of one of the frames without labels stand under another key."""
    if all(frame.labels for frame in frames):
        return
    for frame, raw in zip(frames, msgspec.json.decode(content, type=list[msgspec.Raw]), strict=True):
        if not frame.labels:
            for key, value in msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).items():
                if key not in _OF_FRAMES and _are_labels(value):
                    raise DataError(
                        f'{path}: frame {shown(frame.name)} has no "labels" but "{shown(key)}", where others have '
                        "labels; call them the same in all frames."
                    )


def _check_shapes(content: bytes | msgspec.Raw, path: Path) -> None:
    """Raises DataError if no label has a shape of Scalabel's, and some have a key that is not Scalabel's."""
    if next(_shapes(content), None):
        return
    found: Counter[str] = Counter()
    for frame in msgspec.json.decode(content, type=list[_RawLabels]):
        for label in frame.labels or ():
            found.update(key for key in label if key not in _OF_LABELS | _SHAPES)
    if found:
        ((key, count),) = found.most_common(1)
        raise DataError(
            f"{path}: no label has a box (box2d), a mask (rle) or a polygon (poly2d), and {count:,} have "
            f'"{shown(key)}"; a box is written as "box2d": {{"x1", "y1", "x2", "y2"}}, in pixels with inclusive '
            "corners."
        )


class _RawLabels(msgspec.Struct):
    labels: list[dict[str, msgspec.Raw]] | None = None


def _may_be_labels(value: msgspec.Raw) -> bool:
    """Whether unparsed JSON is a list of objects or of lists, and not one of words or numbers."""
    return _begins(value, b"[") and bytes(memoryview(value)[1:_FIRST_ITEM]).lstrip()[:1] in (b"{", b"[")


def _are_labels(value: msgspec.Raw) -> bool:
    """Whether unparsed JSON is a list with an object that has a field of a label's, or with a row of a box."""
    if not _may_be_labels(value):
        return False
    items = msgspec.json.decode(value, type=list[Any])
    return any(
        not _OF_LISTED.isdisjoint(item) if isinstance(item, dict) else isinstance(item, list) and len(item) >= _CORNERS
        for item in items
    )


def _begins(value: msgspec.Raw | None, first: bytes) -> bool:
    """Whether unparsed JSON begins with one of the bytes of ``first``; None does not."""
    return value is not None and memoryview(value)[0] in first
