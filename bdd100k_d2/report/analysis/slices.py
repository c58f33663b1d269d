"""Scores by an attribute, as tables to be shown."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...data.labels import FrameAttributes
from ...data.slices import FRAME_ATTRIBUTES
from ...evaluation.files.detection import MatchedBoxes
from ...evaluation.files.matched_frames import MatchedFrames
from ...evaluation.files.slices import BOX_ATTRIBUTES, Slice, slices_of
from ...evaluation.metrics.coco import AREA_RANGES
from ...evaluation.toolkit_format import ToolkitScores, summary
from .matching import Matches
from .records import SliceRow, SliceTable


def frame_tables(
    matched: MatchedFrames, attributes: Mapping[str, FrameAttributes], source: Path, metrics: tuple[str, ...], main: str
) -> dict[str, SliceTable]:
    """Tables by weather, scene and time of day; an attribute that no frame has is left out.

    Args:
        matched: what is scored.
        attributes: of frames by name.
        source: their file.
        metrics: those of the summary that a row shows.
        main: the official metric that a row shows of each class.
    """
    known = [name for name in FRAME_ATTRIBUTES if any(getattr(one, name) for one in attributes.values())]
    return _tables(slices_of(matched, known, attributes, source), metrics, main)


def box_tables(matched: MatchedBoxes, source: Path, metrics: tuple[str, ...], main: str) -> dict[str, SliceTable]:
    """Tables by occlusion and truncation; an attribute that no box has is left out."""
    known = [name for name in BOX_ATTRIBUTES if (getattr(matched.flags, name) >= 0).any()]
    return _tables(slices_of(matched, known, {}, source), metrics, main)


def size_table(matches: Matches, official: ToolkitScores) -> SliceTable:
    """The table by size of the boxes, from the official scores of COCO's three ranges."""
    boxes = matches.truth.box[~matches.ignored]
    area = boxes[:, 2] * boxes[:, 3]
    ranges = dict(zip(("small", "medium", "large"), AREA_RANGES[1:].tolist(), strict=True))
    rows = [
        SliceRow(
            value=name,
            count=int(np.count_nonzero((area >= low) & (area <= high))),
            scores={metric: official[f"{metric}{name[0]}"][-1]["OVERALL"] for metric in ("AP", "AR")},
            classes=official[f"AP{name[0]}"][0],
        )
        for name, (low, high) in ranges.items()
    ]
    small, large = (math.isqrt(int(ranges[name][1])) for name in ("small", "medium"))
    return SliceTable(
        "size",
        "boxes",
        f"COCO's ranges of area: small up to {small}x{small} pixels, large from {large}x{large}, medium between; a box "
        "on a limit is in both. A row scores the boxes in its range; the others are neither found nor missed, and "
        "detections of another size on the background are not counted.",
        tuple(rows),
    )


def _tables(slices: Mapping[str, Slice], metrics: tuple[str, ...], main: str) -> dict[str, SliceTable]:
    tables = {}
    for name, one in slices.items():
        rows = [(row, summary(row.scores)) for row in one.rows]
        shown = (
            SliceRow(row.value, row.count, {metric: scores[metric] for metric in metrics}, row.scores[main][0])
            for row, scores in rows
        )
        tables[name] = SliceTable(one.attribute, one.counted, one.definition, tuple(shown))
    return tables
