"""Where two releases of the labels speak of the same images, do they agree?"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from ..folders import holds
from ..vintages import Vintage
from .boxes import BoxTable, DetLabels, read_det
from .report import EXAMPLES, Findings

# Below bdd100k/; the first two are where the archives of 2018 put them.
_OTHERS = (
    "labels/bdd100k_labels_images_{split}.json",
    "labels/100k/{split}",
    "labels*/bdd100k_labels_images_{split}.json",
    "labels/*/bdd100k_labels_images_{split}.json",
    "labels*/100k/{split}",
    "labels/det_20/det_{split}.json",
)
_MATCHED = 0.5


def other_labels(base: Path, split: str, used: Path) -> list[Path]:
    """The other detection labels of a split below ``base``, which is ``<root>/bdd100k``."""
    found = {path: None for pattern in _OTHERS for path in sorted(base.glob(pattern.format(split=split)))}
    return [path for path in found if path != used and (path.is_file() or holds(path, ".json"))]


def compare_vintages(labels: DetLabels, others: list[Path], findings: Findings) -> None:
    """Finds the images that another release labels otherwise.

    Two boxes are the same object where they overlap by half of their union; each is matched once, the best first.
    """
    for path in others:
        other = read_det(path, findings, "unusable label file, not trained on")
        if other is not None:
            _compare(labels, other, findings)


def _compare(first: DetLabels, second: DetLabels, findings: Findings) -> None:
    places = [{frame.name: i for i, frame in enumerate(each.boxes.frames)} for each in (first, second)]
    common = sorted(places[0].keys() & places[1].keys())
    boxes = [_by_frame(each.boxes) for each in (first, second)]
    different, totals = [], np.zeros(4, np.int64)
    for name in common:
        frames = [each.boxes.frames[place[name]] for each, place in zip((first, second), places, strict=True)]
        rows = [each[place[name]] for each, place in zip(boxes, places, strict=True)]
        counts = np.array([*_differences(first.boxes, rows[0], second.boxes, rows[1]), 0])
        counts[3] = frames[0].attributes != frames[1].attributes
        if counts.any():
            totals += counts
            different.append(name)
    if different:
        only_first, only_second, other_class, attributes = totals.tolist()
        names = [_called(each) for each in (first, second)]
        findings.add(
            "vintages disagree",
            second.path,
            f"of {len(common):,} images in both: {only_first:,} boxes only in {names[0]}, {only_second:,} only in "
            f"{names[1]}, {other_class:,} of another class, {attributes:,} images with other attributes",
            *different[: EXAMPLES - 1],
            count=len(different),
        )


def _called(labels: DetLabels) -> str:
    return labels.path.name if labels.vintage is Vintage.SCALABEL else labels.vintage.value


def _by_frame(table: BoxTable) -> list[np.ndarray]:
    """The places of each frame's boxes, frame by frame."""
    edges = np.searchsorted(table.frame, np.arange(len(table.frames) + 1))
    return [np.arange(low, high) for low, high in pairwise(edges)]


def _differences(first: BoxTable, rows: np.ndarray, second: BoxTable, others: np.ndarray) -> tuple[int, int, int]:
    """How many boxes are only in the first, only in the second, and in both with other classes."""
    matched = other_class = 0
    if len(rows) and len(others):
        xywh = []
        for corners in (first.corners[rows], second.corners[others]):
            corners[:, 2:] += 1 - corners[:, :2]
            xywh.append(corners)
        overlaps = coco_mask.iou(*xywh, np.zeros(len(others), np.uint8))
        for row, column in _best_pairs(overlaps):
            matched += 1
            other_class += first.category[rows[row]] != second.category[others[column]]
    return len(rows) - matched, len(others) - matched, int(other_class)


def _best_pairs(overlaps: np.ndarray) -> Iterator[tuple[int, int]]:
    while True:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        if overlaps[row, column] < _MATCHED:
            return
        yield int(row), int(column)
        overlaps[row], overlaps[:, column] = 0, 0
