"""The objects of label files of one's own: what is wrong with them, and how many each class has."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ...errors import shown
from ...tasks import Task
from ..categories import LabelClass
from ..datasets import FindClass
from ..labels import Frame, Label
from .boxes import BoxTable, box_table, check_attributes, check_boxes
from .masks import check_rles
from .own_labels import OwnLabels, OwnSource
from .report import EXAMPLES, Findings


def check_own_objects(source: OwnSource, labels: OwnLabels, findings: Findings) -> None:
    """Finds what is wrong with the labels of the frames, and takes out of these what training leaves out."""
    task, path, frames = source.task, source.labels, labels.frames
    total = sum(len(frame.labels or ()) for frame in frames)
    _leave_out_others(frames, source, findings)
    if task.form == "boxes":
        _leave_out_without_box(frames, source, findings)
        # Of a frame whose size nobody knows no box can be told to be outside.
        known = [frame for frame in frames if frame.size is not None]
        check_boxes(table_of(known, task), path, findings, 1 if labels.whole_pixels else math.ulp(0))
    else:
        check_rles(frames, task.num_classes, path, _known_of(task), findings)
        _find_repeated_masks(frames, source, findings)
    if total:
        # Where no frame has any, that is said of the whole.
        findings.add("frame without objects", path, *(frame.name for frame in frames if not frame.labels))
    if any(frame.attributes is not None for frame in frames):
        check_attributes(frames, path, findings)


def table_of(frames: Sequence[Frame], task: Task) -> BoxTable:
    """The boxes of frames, with the classes of ``task``."""
    return box_table(frames, {name: known.index for name, known in task.label_classes.items()})


def objects_by_class(frames: Sequence[Frame], task: Task) -> np.ndarray:
    """(K,) int64 objects of each class, after :func:`check_own_objects`."""
    found = [task.label_classes[label.category or ""].index for frame in frames for label in frame.labels or ()]
    return np.bincount(np.array(found, np.int64), minlength=task.num_classes)


def _known_of(task: Task) -> FindClass:
    def find(category: str | None, where: str) -> LabelClass | None:
        return task.label_classes.get(category or "")

    return find


def _name(frame: Frame, label: Label) -> str:
    return f"{frame.name}, label {shown(label.id)} ({shown(label.category)})"


def _keep(frames: Sequence[Frame], others: list[tuple[Frame, Label]]) -> None:
    """Takes labels out of their frames."""
    gone = {id(label) for _, label in others}
    for frame in frames:
        if frame.labels and gone:
            frame.labels = [label for label in frame.labels if id(label) not in gone]


def _leave_out_others(frames: Sequence[Frame], source: OwnSource, findings: Findings) -> None:
    known = source.task.label_classes
    others = [(frame, label) for frame in frames for label in frame.labels or () if label.category not in known]
    nameless = [one for one in others if not one[1].category]
    findings.add("label without a category", source.labels, *(_name(*one) for one in nameless))
    counts = Counter(label.category for _, label in others if label.category)
    by_name = [f"{shown(name)}: {count:,}" for name, count in counts.most_common()]
    findings.add("label of another class", source.labels, *by_name[:EXAMPLES], count=counts.total())
    _keep(frames, others)


def _leave_out_without_box(frames: Sequence[Frame], source: OwnSource, findings: Findings) -> None:
    labelled = [(frame, label) for frame in frames for label in frame.labels or ()]
    boxless = [(frame, label) for frame, label in labelled if label.box2d is None]
    findings.add("label without a box", source.labels, *(_name(*one) for one in boxless[:EXAMPLES]), count=len(boxless))
    flat = [(frame, label) for frame, label in labelled if label.box2d is not None and label.box2d.is_flat]
    findings.add("box without an area", source.labels, *(_name(*one) for one in flat[:EXAMPLES]), count=len(flat))
    _keep(frames, boxless + flat)


def _find_repeated_masks(frames: Sequence[Frame], source: OwnSource, findings: Findings) -> None:
    repeated = []
    for frame in frames:
        places: defaultdict[tuple[str | None, str], list[Label]] = defaultdict(list)
        for label in frame.labels or ():
            if label.rle is not None:
                places[label.category, label.rle.counts].append(label)
        repeated += [_name(frame, label) for same in places.values() for label in same[1:]]
    findings.add("duplicate mask", source.labels, *repeated[:EXAMPLES], count=len(repeated))
