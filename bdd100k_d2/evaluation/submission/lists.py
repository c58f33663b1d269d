"""JSON lists of frames in a submission, each frame read on its own, so that one bad label hides no other.

Boxes of det and run lengths of pan_seg are such a list.
"""

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePath, PurePosixPath
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from ...data.categories import DET_CLASSES
from ...data.image_names import image_stem
from ...data.labels import RLE, Box2D, diagnose
from ...data.rle import check_rle, overlap
from ...errors import DataError
from ...tasks import TASKS
from .members import Defect, Members, extra_files

_Label = TypeVar("_Label")


class _Frame(msgspec.Struct, Generic[_Label]):
    name: str
    labels: list[_Label] | None = None


class _Named(msgspec.Struct):
    id: Any = None
    index: Any = None
    category: Any = None


def read_records(
    members: Members, file: str, frames: Collection[str], label: type, defects: list[Defect], by_stem: bool = False
) -> Iterator[tuple[str, list[Any]]]:
    """Reads the JSON list of frames ``file``, whose labels are of the type ``label``.

    What is wrong is appended to ``defects``, also the missing, extra and repeated frames when the reading ends.
    ``by_stem``: a frame may be named with another suffix than the image's.

    Yields:
        The frames of the split by the names of their images, a repeated one again, and their labels of the type.
    """
    key: Callable[[str], str] = (lambda name: image_stem(PurePath(name).name)) if by_stem else str
    try:
        content = members.read(file)
    except DataError as error:
        defects.append(Defect("file", file, None, str(error)))
        return
    known = {key(name): name for name in frames}
    seen: set[str] = set()
    for place, item in enumerate(_items(content, file, defects)):
        try:
            frame = _convert(item, _Frame[msgspec.Raw] if isinstance(item, msgspec.Raw) else _Frame[Any])
        except msgspec.ValidationError as error:
            defects.append(Defect("frame", file, None, f"number {place} of the list is no frame: {error}"))
            continue
        name = known.get(key(frame.name))
        if name is None:
            defects.append(Defect("extra frame", file, frame.name, "is no image of the split"))
            continue
        if name in seen:
            defects.append(Defect("frame twice", file, name, "stands in the list again"))
        seen.add(name)
        labels, errors = [], []
        for one in frame.labels or ():
            try:
                labels.append(_convert(one, label))
            except msgspec.ValidationError as error:
                errors.append(f"{_label_name(one)}: {error}")
        if errors:
            defects.append(Defect("label", file, name, f"{len(errors)} of {len(frame.labels)} labels; {errors[0]}"))
        yield name, labels
    for name in sorted({*frames} - seen):
        defects.append(Defect("missing frame", file, name, "is not in the list"))


def _items(content: bytes, file: str, defects: list[Defect]) -> list[Any]:
    """The items of the list: unparsed, or parsed where the file holds NaN, which is no JSON but often written."""
    try:
        return msgspec.json.decode(content, type=list[msgspec.Raw])
    except msgspec.MsgspecError as error:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            defects.append(Defect("file", file, None, diagnose(content, error)))
            return []
    if isinstance(document, dict) and isinstance(document.get("frames"), list):
        defects.append(Defect("file", file, None, 'holds {"frames": [...]}; the server takes the list itself'))
        document = document["frames"]
    if isinstance(document, list):
        return document
    defects.append(Defect("file", file, None, "holds no list of frames"))
    return []


def _convert(item: Any, kind: type) -> Any:  # noqa: ANN401, whatever a file holds
    return msgspec.json.decode(item, type=kind) if isinstance(item, msgspec.Raw) else msgspec.convert(item, kind)


def _label_name(label: Any) -> str:  # noqa: ANN401, whatever a file holds
    try:
        named = _convert(label, _Named)
    except msgspec.ValidationError:
        return "a label that is no object"
    return f"label {named.id if named.index is None else named.index} ({named.category})"


# In pixels; boxes are often computed in float32.
_SLACK = 1e-2


class _Detection(msgspec.Struct, gc=False):
    category: str
    score: float
    box2d: Box2D
    id: str | int | None = None


def check_detections(
    members: Members, frames: Collection[str], size: tuple[int, int], processes: int = 1
) -> list[Defect]:
    """Checks the list of detections; arguments as of ``CHECKS``."""
    file = one_json(members, "det.json")
    defects = extra_files(members, [file])
    for name, labels in read_records(members, file, frames, _Detection, defects):
        defects += _check_frame(file, name, labels, size)
    return defects


def one_json(members: Members, usual: str) -> str:
    """The JSON file of a submission: the only one, or of several the one with the usual name.

    Raises:
        DataError: there is no such file, or several of which any may be meant.
    """
    files = members.visible(".json")
    if len(files) > 1:
        files = [name for name in files if PurePosixPath(name).name == usual]
    if len(files) != 1:
        raise DataError(f"{members.path}: one JSON file is expected, {usual}, alone or in a folder or zip.")
    return files[0]


def _check_frame(file: str, frame: str, labels: list[_Detection], size: tuple[int, int]) -> list[Defect]:
    if not labels:
        return []
    height, width = size
    x1, y1, x2, y2 = np.array([(b.x1, b.y1, b.x2, b.y2) for b in (label.box2d for label in labels)]).T
    score = np.array([label.score for label in labels])
    known = np.array([label.category in DET_CLASSES for label in labels])
    finite = np.isfinite([x1, y1, x2, y2]).all(axis=0)
    # A box that is narrower than a pixel has its right corner left of the left one, because corners are inclusive.
    reversed_ = finite & ((x2 < x1 - 1 - _SLACK) | (y2 < y1 - 1 - _SLACK))
    outside = finite & ((x1 < -_SLACK) | (y1 < -_SLACK) | (x2 > width - 1 + _SLACK) | (y2 > height - 1 + _SLACK))
    checks = (
        ("category", ~known, f"unknown category; there are {', '.join(TASKS['det'].names)}"),
        ("score", ~np.isfinite(score), "score is not finite"),
        ("box", ~finite, "corner is not finite"),
        ("box", reversed_, "x2 or y2 lies before x1 or y1"),
        (
            "box",
            outside,
            f"box reaches out of 0 to {width - 1} by 0 to {height - 1}; corners are inclusive, so x2 is an exclusive "
            "right edge less 1",
        ),
    )
    defects = []
    for kind, wrong, text in checks:
        if wrong.any():
            first = labels[int(wrong.argmax())]
            where = f"{wrong.sum()} of {len(labels)} labels, first {first.id} ({first.category})"
            defects.append(Defect(kind, file, frame, f"{where}: {text}"))
    return defects


class _Segment(msgspec.Struct, gc=False):
    category: str
    rle: RLE
    id: str | int | None = None


def check_panoptic_list(members: Members, frames: Collection[str], size: tuple[int, int]) -> list[Defect]:
    """Checks the list of segments; arguments as of ``CHECKS``."""
    file = one_json(members, "pan_seg.json")
    defects = extra_files(members, [file])
    known = {*TASKS["pan_seg"].names}
    for frame, labels in read_records(members, file, frames, _Segment, defects):
        masks = []
        for label in labels:
            where = f"label {label.id} ({label.category})"
            if label.category not in known:
                defects.append(Defect("category", file, frame, f"{where}: no class of pan_seg"))
            try:
                masks.append(check_rle(label.rle, size, where))
            except DataError as error:
                defects.append(Defect("run lengths", file, frame, str(error)))
        if overlap(masks):
            text = "segments overlap, for which the official tool scores none of the frame"
            defects.append(Defect("overlap", file, frame, text))
    return defects
