"""Detection labels: is every frame there, with an image, a known vintage, known attributes and sound boxes?"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError
from ...tasks import TASKS
from ..labels import Frame, check_file_name
from ..slices import FRAME_ATTRIBUTES
from ..vintages import Vintage, read_labels
from .boxes import BoxTable, box_table, check_boxes
from .finding import EXAMPLES, Findings, without_path
from .official import BOXES_2018, VAL_FRAMES


class DetLabels(NamedTuple):
    """What a detection label file holds.

    Attributes:
        path: the file, or the folder of files.
        vintage: told by what is in it.
        boxes: of all its frames.
    """

    path: Path
    vintage: Vintage
    boxes: BoxTable


def read_det(path: Path, findings: Findings, kind: str = "unusable label file") -> DetLabels | None:
    """Reads detection labels; None, and a finding of ``kind``, where they cannot be used."""
    try:
        frames, vintage = read_labels(path)
    except DataError as error:
        findings.add(kind, path, without_path(error, path))
        return None
    return DetLabels(path, vintage, box_table(frames))


def check_det(labels: DetLabels, split: str, findings: Findings) -> None:
    """Finds what is wrong with detection labels, apart from their images."""
    path, frames = labels.path, labels.boxes.frames
    if labels.vintage is not Vintage.DET_20:
        what = "no category tells" if labels.vintage is Vintage.SCALABEL else f"vintage {labels.vintage.value}"
        findings.add("not det_20", path, what)
    check_boxes(labels.boxes, path, findings)
    check_names(frames, path, findings)
    empty = [frame.name for frame in frames if not frame.labels]
    if empty:
        findings.add("frame without objects", path, *empty[:EXAMPLES], count=len(empty))
    _check_attributes(frames, path, findings)
    if len(frames) == TASKS["det"].counts[split].frames:
        _check_counts(labels, split, findings)


def check_names(frames: list[Frame], path: Path, findings: Findings) -> None:
    """Finds names that lead out of the folder of images."""
    for frame in frames:
        try:
            check_file_name(frame.name, "it")
        except DataError:
            findings.add("bad frame name", path, repr(frame.name))


def frame_attributes(frames: list[Frame]) -> dict[str, Counter[str]]:
    """How many frames have each value of each attribute."""
    counts: dict[str, Counter[str]] = {attribute: Counter() for attribute in FRAME_ATTRIBUTES}
    for frame in frames:
        for attribute, counter in counts.items():
            value = None if frame.attributes is None else getattr(frame.attributes, attribute)
            if value is not None:
                counter[value] += 1
    return counts


def _check_attributes(frames: list[Frame], path: Path, findings: Findings) -> None:
    without = [frame.name for frame in frames if frame.attributes is None]
    if without:
        findings.add("frame without attributes", path, *without[:EXAMPLES], count=len(without))
    for frame in frames:
        for attribute, values in FRAME_ATTRIBUTES.items():
            value = None if frame.attributes is None else getattr(frame.attributes, attribute)
            if value is not None and value not in values:
                findings.add("unknown attribute value", path, f"{frame.name}: {attribute} {value!r}")


def _check_counts(labels: DetLabels, split: str, findings: Findings) -> None:
    """Of a file with all frames of the release, compares what else is known of it."""
    if split == "val":
        for attribute, found in frame_attributes(labels.boxes.frames).items():
            _compare(f"{attribute} {{}}", found, VAL_FRAMES[attribute], labels.path, findings)
    if labels.vintage is Vintage.LISTS_2018 and split in BOXES_2018:
        found = Counter(label.category for label in labels.boxes.labels)
        _compare("boxes of {}", found, BOXES_2018[split], labels.path, findings)


def _compare(what: str, found: Mapping[str, int], official: Mapping[str, int], path: Path, findings: Findings) -> None:
    for value, count in official.items():
        if found.get(value, 0) != count:
            findings.add(
                "other counts than released", path, f"{what.format(value)}: {found.get(value, 0):,}, released {count:,}"
            )
