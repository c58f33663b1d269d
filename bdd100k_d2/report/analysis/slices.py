"""Scores by an attribute; one that no frame or box has is left out."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...data.labels import FrameAttributes
from ...data.slices import FRAME_ATTRIBUTES
from ...evaluation.files.detection import MatchedBoxes
from ...evaluation.files.matched_frames import MatchedFrames
from ...evaluation.files.slices import BOX_ATTRIBUTES, Slice, SliceScores, slices_of
from ...evaluation.metrics.coco_scores import AREA_RANGES
from ...evaluation.toolkit_format import ToolkitScores
from .matching import Matches


def frame_slices(
    matched: MatchedFrames, attributes: Mapping[str, FrameAttributes], source: Path
) -> Mapping[str, Slice]:
    """By weather, scene and time of day, which ``source`` gives by the frames' names."""
    known = [name for name in FRAME_ATTRIBUTES if any(getattr(one, name) for one in attributes.values())]
    return slices_of(matched, known, attributes, source)


def box_slices(matched: MatchedBoxes, source: Path) -> Mapping[str, Slice]:
    """By occlusion and truncation."""
    known = [name for name in BOX_ATTRIBUTES if (getattr(matched.flags, name) >= 0).any()]
    return slices_of(matched, known, {}, source)


def size_slice(matches: Matches, official: ToolkitScores) -> Slice:
    """By size of the boxes, from the official scores of COCO's three ranges; its rows have "AP" and "AR"."""
    boxes = matches.truth.box[~matches.ignored]
    area = boxes[:, 2] * boxes[:, 3]
    ranges = dict(zip(("small", "medium", "large"), AREA_RANGES[1:].tolist(), strict=True))
    small, large = (math.isqrt(int(ranges[name][1])) for name in ("small", "medium"))
    return Slice(
        "size",
        "boxes",
        f"COCO's ranges of area: small up to {small}x{small} pixels, large from {large}x{large}, medium between; a box "
        "on a limit is in both. A row scores the boxes in its range; the others are neither found nor missed, and "
        "detections of another size on the background are not counted.",
        [
            SliceScores(
                name,
                int(np.count_nonzero((area >= low) & (area <= high))),
                {metric: official[f"{metric}{name[0]}"] for metric in ("AP", "AR")},
                {},
            )
            for name, (low, high) in ranges.items()
        ],
    )
