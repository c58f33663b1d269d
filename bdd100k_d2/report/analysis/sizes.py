"""Boxes of ground truth by size, and how many of each size are found."""

import numpy as np

from .detection_records import SizeHistogram
from .errors import Outcomes
from .matching import Matches

# COCO's limits, 32 and 96 pixels, are a factor of 3 apart: four bins lie between them.
_ANCHOR, _FACTOR = 32.0, 3 ** (1 / 4)


def size_histograms(
    matches: Matches, outcomes: Outcomes, names: tuple[str, ...], score_threshold: float
) -> tuple[SizeHistogram, ...]:
    """Of all classes together, then of each class; the edges are the same for all."""
    scored = ~matches.ignored
    box = matches.truth.box[scored]
    # A box without an area, which COCO can never find, goes to the smallest bin.
    size = np.sqrt(np.maximum(box[:, 2] * box[:, 3], 0))
    category = matches.truth.category[scored]
    found = outcomes.found_score[scored] >= score_threshold
    edges = _edges(size[size > 0])
    bins = np.clip(np.searchsorted(edges, size, "right") - 1, 0, len(edges) - 2)

    def histogram(name: str, chosen: np.ndarray) -> SizeHistogram:
        all_, hit = (np.bincount(bins[mask], minlength=len(edges) - 1) for mask in (chosen, chosen & found))
        return SizeHistogram(name, edges, all_, hit, all_ - hit)

    return (
        histogram("all classes", np.ones(len(size), bool)),
        *(histogram(name, category == k) for k, name in enumerate(names)),
    )


def _edges(sizes: np.ndarray) -> np.ndarray:
    """Edges around all ``sizes`` and both of COCO's limits."""
    steps = np.log(np.concatenate([sizes, [_ANCHOR, 3 * _ANCHOR]]) / _ANCHOR) / np.log(_FACTOR)
    # Rounded, or 96 itself would begin a bin or not by the last bit of a logarithm.
    first, last = int(np.floor(steps.min().round(9))), int(np.floor(steps.max().round(9))) + 1
    edges = _ANCHOR * _FACTOR ** np.arange(first, last + 1)
    edges[-first], edges[4 - first] = _ANCHOR, 3 * _ANCHOR
    return edges
