"""Scores by an attribute of the frames or of the boxes, one row per value."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...data.image_names import image_stem
from ...data.labels import FrameAttributes
from ...data.slices import FRAME_ATTRIBUTES
from ..toolkit_format import ToolkitScores
from .detection import MatchedBoxes
from .matched_frames import MatchedFrames

BOX_ATTRIBUTES = ("occluded", "truncated")

UNLABELLED = "unlabelled"
"""The row of what has no such attribute. "undefined" is another row: the annotators' own word for some frames."""


class SliceScores(NamedTuple):
    """The scores of one value of an attribute; ``count`` is of frames or, for box attributes, of scored boxes.

    ``extra_metrics`` are the scores that the official tool does not have.
    """

    value: str
    count: int  # type: ignore[assignment]  # in place of a tuple's own `count`, which nobody calls
    scores: ToolkitScores
    extra_metrics: ToolkitScores


class Slice(NamedTuple):
    """All rows of an attribute, and what they mean."""

    attribute: str
    counted: str
    definition: str
    rows: list[SliceScores]

    def to_json(self) -> dict[str, Any]:
        """The slice as ``--out`` holds it."""
        rows: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            rows[row.value] = {self.counted: row.count, "scores": row.scores}
            if row.extra_metrics:
                rows[row.value]["further"] = row.extra_metrics
        return {"definition": self.definition, "rows": rows}


def slice_by_frame(
    matched: MatchedFrames, attribute: str, attributes: Mapping[str, FrameAttributes], source: Path
) -> Slice:
    """Scores the frames of each value of ``weather``, ``scene`` or ``timeofday`` on their own.

    A matched frame whose name is not among the ``attributes``, which are read from ``source``, is unlabelled.
    """
    of_frame = frame_values(matched.names, attribute, attributes)
    return Slice(
        attribute,
        "frames",
        f"A row scores the frames whose attribute {attribute} has that value, and nothing else; {UNLABELLED!r} are the "
        f"frames without it. Attributes are those in {source}.",
        [
            SliceScores(value, int(chosen.sum()), matched.toolkit_scores(chosen), matched.extra_metrics(chosen))
            for value, chosen in choices(of_frame, FRAME_ATTRIBUTES[attribute])
        ],
    )


def frame_values(names: Sequence[str], attribute: str, attributes: Mapping[str, FrameAttributes]) -> np.ndarray:
    """(F,) object, the value of an attribute that each of the frames ``names`` has, or `UNLABELLED`."""
    values = {name: getattr(one, attribute) or UNLABELLED for name, one in attributes.items()}
    # Masks are named by the stems of their frames, or end in .png. What a scored frame has is of no other.
    own = set(names)
    by_stem = {image_stem(name): value for name, value in values.items() if name not in own}
    return np.array([values.get(name) or by_stem.get(image_stem(name), UNLABELLED) for name in names], object)


def slice_by_box(matched: MatchedBoxes, attribute: str) -> Slice:
    """Scores the boxes that are ``occluded`` or ``truncated`` apart from those that are not."""
    words = {1: "true", 0: "false", -1: UNLABELLED}
    of_box = np.array([words[flag] for flag in getattr(matched.flags, attribute).tolist()], object)
    return Slice(
        attribute,
        "boxes",
        f"A row scores, in all frames, the boxes of ground truth whose attribute {attribute} has that value; "
        f"{UNLABELLED!r} are the boxes without it. The other boxes count as crowds: a detection on them is neither "
        "right nor wrong. A detection on the background is a false positive in every row. Crowds and ignored boxes are "
        "not counted.",
        [
            SliceScores(value, int((chosen & ~matched.flags.crowd).sum()), matched.toolkit_scores(boxes=chosen), {})
            for value, chosen in choices(of_box, ("true", "false"))
        ],
    )


def choices(values: np.ndarray, order: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Each value that occurs and where: in the official order, then others by name, then the unlabelled."""
    found = set(values.tolist())
    others = sorted(found - {*order, UNLABELLED})
    for value in (*order, *others, UNLABELLED):
        if value in found:
            yield value, values == value


def slices_of(
    matched: MatchedFrames, chosen: Sequence[str], attributes: Mapping[str, FrameAttributes], source: Path
) -> Mapping[str, Slice]:
    """The slices by each ``chosen`` attribute; arguments as of :func:`slice_by_frame`."""
    return {
        attribute: slice_by_box(matched, attribute)
        if attribute in BOX_ATTRIBUTES and isinstance(matched, MatchedBoxes)
        else slice_by_frame(matched, attribute, attributes, source)
        for attribute in chosen
    }
