"""Scores by an attribute of the frames or of the boxes, one row a value."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.categories import SCENE, TIME_OF_DAY, WEATHER
from ...data.labels import FrameAttributes
from ..official import Official
from .detection import DetectionProblem
from .problem import Problem

FRAME_ATTRIBUTES = {"weather": WEATHER, "scene": SCENE, "timeofday": TIME_OF_DAY}
BOX_ATTRIBUTES = ("occluded", "truncated")

UNLABELLED = "unlabelled"
"""The row of what has no such attribute. "undefined" is another row: the annotators' own word for some frames."""


class Row(NamedTuple):
    """The scores of one value of an attribute; ``count`` is of frames or, for box attributes, of boxes."""

    value: str
    count: int
    scores: Official


class Slice(NamedTuple):
    """All rows of an attribute, and what they mean."""

    attribute: str
    counted: str
    definition: str
    rows: list[Row]

    def to_json(self) -> dict:
        """The slice as ``--out`` holds it."""
        return {
            "definition": self.definition,
            "rows": {row.value: {self.counted: row.count, "scores": row.scores} for row in self.rows},
        }


def slice_by_frame(problem: Problem, attribute: str, attributes: Mapping[str, FrameAttributes], source: Path) -> Slice:
    """Scores the frames of each value of ``weather``, ``scene`` or ``timeofday`` on their own.

    Args:
        problem: what is scored.
        attribute: a key of `FRAME_ATTRIBUTES`.
        attributes: of frames by name; a frame of the problem that is not among them is unlabelled.
        source: their file, for the definition.
    """
    values = {Path(name).stem: getattr(one, attribute) or UNLABELLED for name, one in attributes.items()}
    stems = [Path(name).stem for name in problem.names]
    of_frame = np.array([values.get(stem, UNLABELLED) for stem in stems], object)
    return Slice(
        attribute,
        "frames",
        f"A row scores the frames whose attribute {attribute} has that value, and nothing else; {UNLABELLED!r} are the "
        f"frames without it. Attributes are those in {source}.",
        _rows(of_frame, FRAME_ATTRIBUTES[attribute], problem.official),
    )


def slice_by_box(problem: DetectionProblem, attribute: str) -> Slice:
    """Scores the boxes that are ``occluded`` or ``truncated`` apart from those that are not."""
    words = {1: "true", 0: "false", -1: UNLABELLED}
    of_box = np.array([words[flag] for flag in getattr(problem.flags, attribute).tolist()], object)
    return Slice(
        attribute,
        "boxes",
        f"A row scores, in all frames, the boxes of ground truth whose attribute {attribute} has that value; "
        f"{UNLABELLED!r} are the boxes without it. The other boxes count as crowds: a detection on them is neither "
        "right nor wrong. A detection on the background is a false positive in every row.",
        _rows(of_box, ("true", "false"), lambda boxes: problem.official(boxes=boxes)),
    )


def _rows(values: np.ndarray, order: Sequence[str], score: Callable[[np.ndarray], Official]) -> list[Row]:
    """A row a value that occurs: in the official order, then others by name, then the unlabelled."""
    found = set(values.tolist())
    known = [value for value in order if value in found]
    others = sorted(found - {*order, UNLABELLED})
    rows = []
    for value in [*known, *others, *({UNLABELLED} & found)]:
        chosen = values == value
        rows.append(Row(value, int(chosen.sum()), score(chosen)))
    return rows


def slices_of(
    problem: Problem, chosen: Sequence[str], attributes: Mapping[str, FrameAttributes], source: Path
) -> Mapping[str, Slice]:
    """The slices by each ``chosen`` attribute; arguments as of :func:`slice_by_frame`."""
    return {
        attribute: slice_by_box(problem, attribute)
        if attribute in BOX_ATTRIBUTES
        else slice_by_frame(problem, attribute, attributes, source)
        for attribute in chosen
    }
