"""The JSON lists of a submission: boxes of det, and run lengths of pan_seg."""

from collections.abc import Collection
from pathlib import PurePosixPath

import numpy as np

from ...data.categories import DET_CLASSES
from ...data.labels import RLE, Box2D
from ...data.rle import check_rle, overlap
from ...errors import DataError, shown
from ...tasks import TASKS
from .members import Defect, Members, extra_files
from .official_types import OfficialLabel
from .records import read_records

# In pixels; boxes are often computed in float32.
_SLACK = 1e-2


class _Detection(OfficialLabel, kw_only=True, gc=False):
    category: str
    score: float
    box2d: Box2D  # type: ignore[assignment]  # with numbers as numbers


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
            where = f"{wrong.sum()} of {len(labels)} labels, first {shown(first.id)} ({shown(first.category)})"
            defects.append(Defect(kind, file, frame, f"{where}: {text}"))
    return defects


class _Segment(OfficialLabel, kw_only=True, gc=False):
    category: str
    rle: RLE  # type: ignore[assignment]  # as above


def check_panoptic_list(members: Members, frames: Collection[str], size: tuple[int, int]) -> list[Defect]:
    """Checks the list of segments; arguments as of ``CHECKS``."""
    file = one_json(members, "pan_seg.json")
    defects = extra_files(members, [file])
    known = {*TASKS["pan_seg"].names}
    for frame, labels in read_records(members, file, frames, _Segment, defects):
        masks = []
        for label in labels:
            where = f"label {shown(label.id)} ({shown(label.category)})"
            try:
                int(str(label.id))
            except ValueError:
                defects.append(Defect("id", file, frame, f"{where}: the official tool takes whole numbers for ids"))
            if any((label.attributes or {}).get(mark) for mark in ("crowd", "ignored")):
                text = f"{where}: is marked as crowd or ignored, and would not be scored"
                defects.append(Defect("segment", file, frame, text))
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
