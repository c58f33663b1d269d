"""Boxes against the semantic masks of the same frames: a car's box without a pixel of a car, cars without a box."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..data.categories import ALIASES
from ..data.labels import HEIGHT, WIDTH
from ..data.masks import check_mask, read_mask
from ..errors import DataError, shown
from ..evaluation.files.detection import MatchedBoxes
from ..parallel import map_frames
from ..tasks import TASKS
from .boxes import corners, in_percent
from .label_places import LabelledBoxes
from .rates import rate_of, suspicion
from .records import MASK, SAME_PLACE, Corners, LabelChange, Suspect, box_area, box_intersection, box_overlap, likeliest

# A box smaller than that, in pixels of its side, may lie beside its object's pixels.
_LEAST_SIDE = 12.0
# A region of fewer pixels is no object that anybody would have boxed.
_LEAST_AREA = 400
_SHARES = (0.02, 0.1)
_FILLED = 0.3


class FrameCover(NamedTuple):
    """What a mask says of the boxes of its frame.

    Attributes:
        filled: (N, K) float64, of each box the share of its pixels that are of each class of boxes.
        regions: of each region of a class of boxes the class, the box (x, y, width, height) and the share that boxes of
            the class cover.
    """

    filled: np.ndarray
    regions: list[tuple[int, np.ndarray, float]]


def mask_suspects(
    matched: MatchedBoxes,
    labels: LabelledBoxes,
    masks: Mapping[str, Path],
    sizes: Mapping[str, tuple[int, int]],
    prior: float,
    most: int,
    workers: int,
) -> list[Suspect]:
    """The boxes in which the mask has no such object, and the objects of a mask that no box is around.

    ``masks`` are of sem_seg, by the names of frames; boxes of classes that masks do not have, and of frames without a
    mask, are not compared. ``sizes`` are the height and width of frames; of others it is BDD100K's.

    Raises:
        DataError: a mask cannot be read, has ids that are no classes, or another size than its frame.
    """
    ids = mask_ids(matched.task.names)
    truth = matched.truth
    has_mask = np.array([name in masks for name in matched.names])
    usable = (
        np.flatnonzero(has_mask[truth.frame] & (ids[truth.category] >= 0)) if len(has_mask) else np.zeros(0, np.int64)
    )
    by_frame: dict[int, list[int]] = {int(place): [] for place in np.flatnonzero(has_mask)}
    for i in usable.tolist():
        by_frame[int(truth.frame[i])].append(i)
    jobs = [
        _Job(name, masks[name], sizes.get(name, (HEIGHT, WIDTH)), truth.box[own], truth.category[own])
        for name, own in ((matched.names[frame], own) for frame, own in by_frame.items())
    ]
    covers = list(map_frames(partial(_cover, ids=ids), jobs, workers, "reading masks", threads=True))
    filled = np.zeros((len(truth.frame), len(ids)))
    for own, cover in zip(by_frame.values(), covers, strict=True):
        filled[own] = cover.filled
    return [
        *_empty_boxes(matched, labels, filled, usable, prior, most),
        *_bare_regions(matched, labels, [*by_frame], covers, filled, prior, most),
    ]


def mask_ids(classes: Sequence[str]) -> np.ndarray:
    """(K,) int64, the id in masks of sem_seg of each class of boxes; -1 for one that they do not have."""
    known = {ALIASES.get(name, name): place for place, name in enumerate(TASKS["sem_seg"].names)}
    return np.array([known.get(ALIASES.get(name, name), -1) for name in classes], np.int64)


class _Job(NamedTuple):
    """A frame's name, mask, height and width, and boxes with their classes."""

    name: str
    mask: Path
    size: tuple[int, int]
    boxes: np.ndarray
    categories: np.ndarray


def _cover(job: _Job, ids: np.ndarray) -> FrameCover:
    _, path, (height, width), boxes, categories = job
    mask = check_mask(read_mask(path), TASKS["sem_seg"].num_classes, path)
    if mask.shape != (height, width):
        raise DataError(
            f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, and its frame {shown(job.name)} is {width}x{height};"
            " give masks of the same images, or the images (--images) where the labels state no size."
        )
    edges = np.round(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)).astype(np.int64)
    edges = np.clip(edges, 0, (width, height, width, height))
    filled = np.zeros((len(boxes), len(ids)))
    regions = []
    present = np.bincount(mask.ravel(), minlength=256)
    for category, class_id in enumerate(ids.tolist()):
        if class_id < 0 or not present[class_id]:
            continue
        of_class = (mask == class_id).view(np.uint8)
        for i, (x1, y1, x2, y2) in enumerate(edges.tolist()):
            part = of_class[y1:y2, x1:x2]
            filled[i, category] = part.mean() if part.size else 0.0
        if present[class_id] >= _LEAST_AREA:
            covered = np.zeros_like(of_class)
            for x1, y1, x2, y2 in edges[categories == category].tolist():
                covered[y1:y2, x1:x2] = 1
            count, places, stats, _ = cv2.connectedComponentsWithStats(of_class, connectivity=8)
            inside = np.bincount(places[covered > 0], minlength=count)
            for k in range(1, count):
                if stats[k, cv2.CC_STAT_AREA] >= _LEAST_AREA:
                    share = inside[k] / stats[k, cv2.CC_STAT_AREA]
                    regions.append((category, stats[k, :4].astype(float), float(share)))
    return FrameCover(filled, regions)


def _rates(share: np.ndarray, category: np.ndarray) -> np.ndarray:
    """(N,) how often the share of comparable ones is as low; NaN where it is not low."""
    place = np.searchsorted(_SHARES, share, "right")
    rate = rate_of(place[:, None] <= np.arange(len(_SHARES)), [category])
    low = place < len(_SHARES)
    return np.where(low, rate[np.arange(len(share)), np.minimum(place, len(_SHARES) - 1)], np.nan)


def _empty_boxes(
    matched: MatchedBoxes, labels: LabelledBoxes, filled: np.ndarray, usable: np.ndarray, prior: float, most: int
) -> list[Suspect]:
    truth = matched.truth
    large = usable[(truth.box[usable, 2:] >= _LEAST_SIDE).all(axis=1) & ~truth.crowd[usable]]
    rate = _rates(filled[large, truth.category[large]], truth.category[large])
    score = suspicion(rate, prior)
    suspects = []
    for k in likeliest(score, most):
        if not score[k]:
            break
        i = int(large[k])
        category, name = truth.category[i], labels.class_names[truth.category[i]]
        of_name = rate_text(name, float(rate[k]))
        other = int(filled[i].argmax())
        evidence = f"{in_percent(filled[i, category])} of the pixels of this {name} are one in the mask{of_name}"
        change = LabelChange("remove", labels.frames[i], labels.places[i])
        if filled[i, other] >= _FILLED:
            evidence += f" {in_percent(filled[i, other])} are {labels.class_names[other]}."
            change = LabelChange("rename", labels.frames[i], labels.places[i], category=labels.class_names[other])
        suspects.append(Suspect(MASK, float(score[k]), evidence, change, corners(truth.box[i])))
    return suspects


def rate_text(name: str, rate: float) -> str:
    """How rare it is, at the end of a sentence."""
    return f"; of all of class {name} it is so of {in_percent(rate)}."


def _bare_regions(
    matched: MatchedBoxes,
    labels: LabelledBoxes,
    frames: Sequence[int],
    covers: Sequence[FrameCover],
    filled: np.ndarray,
    prior: float,
    most: int,
) -> list[Suspect]:
    found = [(frame, *region) for frame, cover in zip(frames, covers, strict=True) for region in cover.regions]
    if not found:
        return []
    category = np.array([one[1] for one in found])
    rate = _rates(np.array([one[3] for one in found]), category)
    score = suspicion(rate, prior)
    boxes: dict[int, list[int]] = {frame: [] for frame in frames}
    for i in np.flatnonzero(np.isin(matched.truth.frame, frames)).tolist():
        boxes[int(matched.truth.frame[i])].append(i)
    suspects: list[Suspect] = []
    for k in likeliest(score, len(score)):
        if not score[k] or len(suspects) == most:
            break
        frame, _, box, share = found[k]
        name, around = labels.class_names[category[k]], corners(box)
        if any(_is_of_label(matched, filled, i, category[k], around) for i in boxes[frame]):
            continue
        evidence = (
            f"The mask has a {name} here, of which boxes cover {in_percent(share)}{rate_text(name, float(rate[k]))}"
        )
        change = LabelChange("add", matched.names[frame], category=name, box=around)
        suspects.append(Suspect(MASK, float(score[k]), evidence, change, model_box=around))
    return suspects


def _is_of_label(matched: MatchedBoxes, filled: np.ndarray, i: int, category: int, region: Corners) -> bool:
    """Whether a region is the object of label ``i``, which is at its place, or of which `_empty_boxes` says its class.

    To add it would label the object twice.
    """
    truth, box = matched.truth, corners(matched.truth.box[i])
    if box_overlap(box, region) >= SAME_PLACE:
        return True
    is_renamed = filled[i, truth.category[i]] < _SHARES[-1] and filled[i, category] >= _FILLED
    return bool(is_renamed) and box_intersection(box, region) >= SAME_PLACE * min(box_area(box), box_area(region))
