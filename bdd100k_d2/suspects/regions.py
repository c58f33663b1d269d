"""Suspects among masks: regions that are labelled as one class, and lie deep inside a predicted one of another.

Along the borders of predicted segments a model often disagrees with the labels, deep inside of them seldom; how often,
of each pair of classes and each depth, is counted in the masks at hand (see :mod:`.rates`). Several models are one that
knows what all of them say, and nothing where they disagree.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from ..data.categories import IGNORE_LABEL
from ..data.labels import RLE
from ..errors import DataError
from ..evaluation.files.segmentation import Mask
from ..parallel import map_frames
from ..tasks import Task
from .boxes import in_percent
from .rates import suspicion
from .records import MASK_REGION, Corners, LabelChange, Suspect, likeliest

_STEP = 4
"""Each how many pixels of rows and columns are looked at."""

# In pixels that are looked at: the depths below which a border is near, and the least of a region.
_DEPTHS = (1.5, 3.0, 5.0, 8.0, 12.0, 20.0)
_LEAST_AREA = 30

MaskPair = tuple[Mask, Sequence[Mask]]
"""The labelled mask of a frame and the predicted ones."""


class Region(NamedTuple):
    """A region of a frame: its classes, its depth as a place in the depths, a pixel of it and its number of pixels."""

    frame: int
    labelled: int
    predicted: int
    depth: int
    seed: tuple[int, int]
    area: int


class _Found(NamedTuple):
    """Of a frame: the number of predicted segments by class and depth, (K, D) int64, and its regions."""

    segments: np.ndarray
    regions: list[Region]


def region_suspects(
    task: Task, names: Sequence[str], pairs: Sequence[MaskPair | None], prior: float, most: int, workers: int
) -> list[Suspect]:
    """The ``most`` likely wrong regions of masks by those that one or more models predict.

    ``pairs`` are of the frames ``names``, as of `mask_pairs`; those without a prediction have no suspects.

    Raises:
        DataError: a mask cannot be read, has ids that are no classes, or another size.
    """
    jobs = [(place, pair) for place, pair in enumerate(pairs) if pair is not None]
    find = partial(_regions, num_classes=task.num_classes)
    segments, regions = np.zeros((task.num_classes, len(_DEPTHS) + 1), np.int64), list[Region]()
    for found in map_frames(find, jobs, workers, "comparing masks", threads=True):
        segments += found.segments
        regions += found.regions
    if not regions:
        return []
    rate = _rates(segments, regions)
    score = suspicion(rate, prior)
    chosen = likeliest(score, most)
    return [
        _suspect(task, names[regions[i].frame], pairs[regions[i].frame], regions[i], float(score[i]), float(rate[i]))
        for i in chosen.tolist()
    ]


def mask_pairs(runs: Sequence[Sequence[tuple[Mask, Mask | None]]]) -> list[MaskPair | None]:
    """The masks of each frame by all models; None where one of them has none."""
    pairs: list[MaskPair | None] = []
    for of_runs in zip(*runs, strict=True):
        predicted = [mask for _, mask in of_runs if mask is not None]
        pairs.append((of_runs[0][0], predicted) if len(predicted) == len(of_runs) else None)
    return pairs


def agreed(pair: MaskPair, num_classes: int, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The labelled ids and those that all models predict, (H, W) uint8; 255 where they differ, or predict no class.

    With a ``step``, of the middle pixel of each so many rows and columns.
    """
    truth, found = pair[0].read(), [mask.read() for mask in pair[1]]
    for mask, one in zip(found, pair[1], strict=True):
        if mask.shape != truth.shape:
            raise DataError(f"{one}: has another size than the labelled mask {pair[0]}; predict the same images.")
    truth, *found = (mask[step // 2 :: step, step // 2 :: step] for mask in (truth, *found))
    same = np.where(found[0] < num_classes, found[0], np.uint8(IGNORE_LABEL))
    for mask in found[1:]:
        same[mask != same] = IGNORE_LABEL
    return truth, same


def _regions(job: tuple[int, MaskPair], num_classes: int) -> _Found:
    frame, pair = job
    truth, found = agreed(pair, num_classes, _STEP)
    depth = _depth(found)
    wrong = (truth < num_classes) & (found < num_classes) & (truth != found)
    codes = np.where(wrong, truth.astype(np.int16) * num_classes + found, np.int16(-1))
    places, count = _equal_parts(codes)
    # Part 0 is what is no region; the pixels of the others stand together.
    pixels = np.flatnonzero(places)
    pixels = pixels[np.argsort(places.ravel()[pixels], kind="stable")]
    areas = np.bincount(places.ravel(), minlength=count)[1:]
    ends = np.cumsum(areas)
    regions = []
    for k in np.flatnonzero(areas >= _LEAST_AREA).tolist():
        own = pixels[ends[k] - areas[k] : ends[k]]
        # A pixel as deep as a part of the region that is large enough.
        middle = int(own[np.argsort(depth.ravel()[own])[-_LEAST_AREA]])
        row, column = divmod(middle, depth.shape[1])
        seed = row * _STEP + _STEP // 2, column * _STEP + _STEP // 2
        area = int(areas[k]) * _STEP**2
        classes = int(truth[row, column]), int(found[row, column])
        regions.append(Region(frame, *classes, int(_places(depth[row, column])), seed, area))
    return _Found(_segments(found, depth, num_classes), regions)


def _segments(found: np.ndarray, depth: np.ndarray, num_classes: int) -> np.ndarray:
    """(K, D) int64, the number of segments of each class by the place of their depth."""
    places, count = _equal_parts(np.where(found < num_classes, found.astype(np.int16), np.int16(-1)))
    deepest, category = np.zeros(count, np.float32), np.zeros(count, np.int64)
    np.maximum.at(deepest, places.ravel(), depth.ravel())
    category[places.ravel()] = found.ravel()
    areas = np.bincount(places.ravel(), minlength=count)
    areas[0] = 0
    large = areas >= _LEAST_AREA
    cells = category[large] * (len(_DEPTHS) + 1) + _places(deepest[large])
    return np.bincount(cells, minlength=num_classes * (len(_DEPTHS) + 1)).reshape(num_classes, -1)


def _places(depth: np.ndarray) -> np.ndarray:
    """The places of depths in the depths."""
    return np.searchsorted(_DEPTHS, depth, "right")


def _equal_parts(codes: np.ndarray) -> tuple[np.ndarray, int]:
    """The connected parts of equal codes, (H, W) int32 places from 1 on, and their number; 0 where the code is -1."""
    height, width = codes.shape
    # Between two pixels stands a further one, which joins them where they are equal.
    joined = np.zeros((2 * height - 1, 2 * width - 1), np.uint8)
    joined[::2, ::2] = codes >= 0
    joined[::2, 1::2] = (codes[:, 1:] == codes[:, :-1]) & (codes[:, 1:] >= 0)
    joined[1::2, ::2] = (codes[1:] == codes[:-1]) & (codes[1:] >= 0)
    count, places = cv2.connectedComponents(joined, connectivity=4)
    return places[::2, ::2], count


def _depth(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32, how far each pixel is from the border of its segment; the border of the image is none."""
    inner = np.ones(mask.shape, np.uint8)
    across, down = (mask[:, 1:] == mask[:, :-1]).view(np.uint8), (mask[1:] == mask[:-1]).view(np.uint8)
    for side, same in ((inner[:, 1:], across), (inner[:, :-1], across), (inner[1:], down), (inner[:-1], down)):
        side &= same
    distance: np.ndarray = cv2.distanceTransform(inner, cv2.DIST_L2, 3)
    return distance


def _rates(segments: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """(R,) how often regions are so: those of the two classes as deep, over the predicted segments as deep.

    Wrong labels may be of any other class alike, so that each takes its part of them.
    """
    num_classes, num_depths = segments.shape
    labelled, predicted, depth = (np.array(one) for one in zip(*(one[1:4] for one in regions), strict=True))
    cells = (labelled * num_classes + predicted) * num_depths + depth
    pairs = np.bincount(cells, minlength=num_classes**2 * num_depths).reshape(num_classes, num_classes, num_depths)
    deeper, of_class = (np.flip(np.cumsum(np.flip(one, -1), axis=-1), -1) for one in (pairs, segments))
    rate = (deeper + 0.5) / (of_class + 0.5) * (num_classes - 1)
    lowest: np.ndarray = np.minimum.accumulate(rate, axis=-1)[labelled, predicted, depth]
    return lowest


def _suspect(task: Task, name: str, pair: MaskPair | None, region: Region, score: float, rate: float) -> Suspect:
    from pycocotools import mask as coco_mask

    assert pair is not None
    truth, found = agreed(pair, task.num_classes)
    wrong = ((truth == region.labelled) & (found == region.predicted)).view(np.uint8)
    _, places, stats, _ = cv2.connectedComponentsWithStats(wrong, connectivity=4)
    place = places[region.seed]
    x, y, width, height = stats[place, :4].tolist()
    counts = coco_mask.encode(np.asfortranarray(places == place).view(np.uint8))["counts"].decode()
    old, new = task.names[region.labelled], task.names[region.predicted]
    evidence = (
        f"{stats[place, cv2.CC_STAT_AREA]:,} pixels are labelled {old} and predicted {new}; of the predicted segments "
        f"of {new} that are as large, {in_percent(rate / (task.num_classes - 1))} are labelled {old} as deep inside."
    )
    box: Corners = (x, y, x + width - 1, y + height - 1)
    change = LabelChange("repaint", name, category=new, old=old, region=RLE(counts, truth.shape))
    return Suspect(MASK_REGION, score, evidence, change, box)
