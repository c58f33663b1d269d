"""What a suspect is: a label that may be wrong, how likely that is and why, and the change that would mend it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from ..data.categories import ALIASES
from ..data.labels import RLE

Corners = tuple[float, float, float, float]
"""x1, y1, x2, y2 of a box in pixels, inclusive."""

MISSING, PHANTOM, CLASS, PLACEMENT = "missing label", "phantom", "class", "placement"
MASK, TIME_OF_DAY_TAG, MASK_REGION = "mask against box", "time of day", "region"
SUSPECT_KINDS = (MISSING, PHANTOM, CLASS, PLACEMENT, MASK, TIME_OF_DAY_TAG, MASK_REGION)
"""What may be wrong; the last is of masks, all others are of boxes and their frames."""


SAME_PLACE = 0.5
"""The IoU from which two boxes are of one object."""


def box_area(box: Corners) -> float:
    """The area of a box in pixels."""
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)


def box_intersection(one: Corners, other: Corners) -> float:
    """The area that two boxes have in common."""
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    return max(width, 0.0) * max(height, 0.0)


def box_overlap(one: Corners, other: Corners) -> float:
    """The IoU of two boxes."""
    common = box_intersection(one, other)
    return common / (box_area(one) + box_area(other) - common) if common else 0.0


class LabelPlace(msgspec.Struct, frozen=True):
    """Which label of a frame: its place in the frame's list, and the id and category that it has there.

    The id is a text; decisions that were saved earlier may have a number.
    """

    place: int
    id: str | int | float | None
    category: str | None


class LabelChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person may accept: one change of one frame, which says all that it takes.

    Attributes:
        action: "add" a box, "remove" a label, "rename" its class, "move" its box, "set_time" of the frame's attributes,
            or "repaint" a region of a mask.
        frame: its name, of a mask without its ending.
        label: of what is removed, renamed or moved.
        category: of what is added, renamed or repainted, as the label file calls the class.
        box: of what is added or moved.
        timeofday: the frame's new attribute.
        old: the frame's attribute, or the class of the region, that is to be replaced.
        region: the pixels to be repainted.
    """

    action: Literal["add", "remove", "rename", "move", "set_time", "repaint"]
    frame: str
    label: LabelPlace | None = None
    category: str | None = None
    box: Corners | None = None
    timeofday: str | None = None
    old: str | None = None
    region: RLE | None = None


class Suspect(NamedTuple):
    """A label that may be wrong.

    Attributes:
        kind: one of `SUSPECT_KINDS`.
        score: how likely it is wrong, 0 to 1; see :mod:`.rates`.
        evidence: why, in a sentence.
        change: what would mend it.
        label_box: the box that is labelled; None for none.
        model_box: the box that a model predicts; None for none.
    """

    kind: str
    score: float
    evidence: str
    change: LabelChange
    label_box: Corners | None = None
    model_box: Corners | None = None


def one_name(category: str) -> str:
    """The name of a class that has several."""
    return ALIASES.get(category, category)


def without_repeats(suspects: Sequence[Suspect]) -> list[Suspect]:
    """The likeliest of several suspects about one label, and of those after which an object would be labelled twice.

    That is so where two changes leave boxes of one class at one place, or one adds a box there.
    """
    kept: list[Suspect] = []
    labels: set[tuple[str, int]] = set()
    results: dict[str, list[Suspect]] = {}
    for one in sorted(suspects, key=lambda one: -one.score):
        change = one.change
        if change.label is not None and (change.frame, change.label.place) in labels:
            continue
        if _result(one) is not None:
            others = results.setdefault(change.frame, [])
            if any(_label_twice(one, other) for other in others):
                continue
            others.append(one)
        if change.label is not None:
            labels.add((change.frame, change.label.place))
        kept.append(one)
    return kept


def _result(suspect: Suspect) -> tuple[str | None, Corners] | None:
    """The class and the box that an accepted change leaves; None where it leaves no box."""
    change = suspect.change
    box = change.box or (suspect.label_box if change.action == "rename" else None)
    if box is None:
        return None
    name = change.category or (change.label.category if change.label is not None else None)
    return None if name is None else one_name(name), box


def _label_twice(one: Suspect, other: Suspect) -> bool:
    first, second = _result(one), _result(other)
    if first is None or second is None:
        return False
    is_added = "add" in (one.change.action, other.change.action)
    return (is_added or first[0] == second[0]) and box_overlap(first[1], second[1]) >= SAME_PLACE


def first_suspects(suspects: Sequence[Suspect], most: int) -> list[Suspect]:
    """The ``most`` likely ones, the likeliest first; of equal ones the frame's name decides."""
    return sorted(suspects, key=lambda one: (-one.score, one.change.frame))[:most]


def likeliest(scores: np.ndarray, most: int) -> np.ndarray:
    """The places of the ``most`` highest of ``scores`` (N,), highest first, so that records are made of few."""
    return np.argsort(-scores, kind="stable")[:most]
