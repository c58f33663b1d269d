"""Which unlabelled images are worth labels next: those of which a model is unsure, that show what is rare, and differ.

All three are told by the model's detections alone, so that nothing is predicted again, or how images differ by features
of a model. Unsure is the variance of the number of objects, the sum of ``s (1 - s)`` over the scores s. Rare is the sum
of the scores, each over the square root of how many objects of that class all images show. How much two images differ
is told by what is predicted where, the number of objects of each class by size, and of all by place; or by what a
network sees in them. Images are taken one by one, each time the one whose mean rank in the first two, times its
distance to the nearest that is taken or labelled already, is highest (a weighted form of the k-center greedy choice of
Sener and Savarese, https://arxiv.org/abs/1708.00489).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..atomic import write_atomic
from ..data.labels import HEIGHT, WIDTH, without_collection
from ..data.other_classes import leave_out_others
from ..data.vintages import read_labels
from ..errors import ConfigError, DataError, OutputError
from ..evaluation.box_reader import reading_boxes
from ..evaluation.boxes import Boxes, ground_truth_columns, stated_sizes
from ..inside import lies_in, refuse_overwriting
from ..parallel import cores
from ..report.analysis.frames import find_images
from ..tasks import TASKS, Task
from .image_sizes import sizes_from

# Areas, as shares of the image, between small, medium and large objects.
_SIZES = (0.001, 0.02)
_GRID = (3, 6)


FeaturesOf = Callable[[Sequence[Path]], np.ndarray]
"""Gives the features (N, D) of images."""


class PickedImage(NamedTuple):
    """An image that is worth labels.

    Attributes:
        uncertainty: rank of 0 to 1 among the images.
        rarity: likewise.
        distance: to the nearest image that was taken before it or is labelled; 0 without one.
    """

    name: str
    uncertainty: float
    rarity: float
    distance: float


class _Contents(NamedTuple):
    """What F images show: their names, (F,) uncertainty, (F, K) expected numbers of objects, (F, D) features."""

    names: list[str]
    uncertainty: np.ndarray
    counts: np.ndarray
    features: np.ndarray


def pick_images(
    predicted: Path,
    number: int,
    labelled: Sequence[Path] = (),
    task: Task = TASKS["det"],
    image_ids: Path | None = None,
    workers: int | None = None,
    images: Path | None = None,
    features_of: FeaturesOf | None = None,
    labelled_images: Path | None = None,
) -> list[PickedImage]:
    """Picks ``number`` of the images that detections were predicted of, the most worth first.

    Images in the label files ``labelled`` are not picked, and what they show is not wanted again. Sizes
    that files do not state are those of the ``images``, a folder, else 1280x720. With ``features_of`` images differ by
    these; those of ``labelled`` are in the folder ``labelled_images``, else in ``images``.

    Raises:
        ConfigError: ``number`` is not positive, or features are asked for without ``images``.
        DataError: a file cannot be read, a prediction has no score, there are fewer images that are not labelled, or
            an image of which features are asked for is not there.
    """
    if number < 1:
        raise ConfigError(f"{number} images are none to pick; give 1 or more.")
    if features_of is not None and images is None:
        raise ConfigError("features of a model are of images; give their folder with --images.")
    with without_collection(), reading_boxes(predicted, workers or cores(), image_ids, task) as boxes:
        sizes = partial(_with_sizes, images=images, workers=workers or cores())
        known = [_contents(sizes(_of_labels(path, task)), task) for path in labelled]
        pool = _contents(sizes(boxes()), task)
    taken = {name for one in known for name in one.names}
    left = np.array([place for place, name in enumerate(pool.names) if name not in taken], np.int64)
    if len(left) < number:
        raise DataError(
            f"{predicted}: {len(left):,} of its {len(pool.names):,} images are not labelled, and {number:,} are to be "
            "picked; predict more images, or pick fewer."
        )
    totals = np.sum([one.counts.sum(axis=0) for one in (pool, *known)], axis=0)
    rarity = _ranks((pool.counts[left] / np.sqrt(np.maximum(totals, 1.0))).sum(axis=1))
    uncertainty = _ranks(pool.uncertainty[left])
    if features_of is None or images is None:
        features, others = pool.features[left], [one.features for one in known]
    else:
        features = features_of(_paths([pool.names[i] for i in left.tolist()], images))
        others = [features_of(_paths(one.names, labelled_images or images)) for one in known]
    return [
        PickedImage(pool.names[left[i]], float(uncertainty[i]), float(rarity[i]), distance)
        for i, distance in _spread((uncertainty + rarity) / 2, features, others, number)
    ]


def write_list(picked: Sequence[PickedImage], out: Path, images: Path | None, inputs: Sequence[Path] = ()) -> None:
    """Writes the images one per line, as ``tools/predict.py --input`` and the names of ``register_slice`` take them.

    They are paths as seen from the list's folder where a folder of ``images`` is given, else names.

    Raises:
        DataError: an image is not there.
        OutputError: ``out`` is there already, lies in what is read, or cannot be written.
    """
    check_new_files([out], [*inputs, *([] if images is None else [images])])
    names = [one.name for one in picked]
    if images is not None:
        folder = out.resolve().parent
        names = [os.path.relpath(path.resolve(), folder) for path in _paths(names, images)]
    write_atomic(out, "".join(f"{name}\n" for name in names))


def check_new_files(outs: Sequence[Path], inputs: Sequence[Path] = ()) -> None:
    """Checks that files can be written as new ones.

    Raises:
        OutputError: one is there already, lies in what is read, ``inputs``, or is to be two of them.
    """
    for place, out in enumerate(outs):
        refuse_overwriting(out, inputs)
        if os.path.lexists(out):
            raise OutputError(f"{out}: is there already; choose a new place.")
        if any(lies_in(out, other) for other in outs[:place]):
            raise OutputError(f"{out}: is to be two files, the list and why; choose another place for one of them.")


def _paths(names: Sequence[str], images: Path) -> list[Path]:
    """The images ``names`` in a folder, or below it; DataError where one is not there."""
    found = find_images(names, images)
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing:
        raise DataError(
            f"{images}: {len(missing):,} of {len(names):,} images are not there, the first is {missing[0]}; give the "
            "folder that has them."
        )
    return [path for path in found if path is not None]


def _with_sizes(boxes: Boxes, images: Path | None, workers: int) -> Boxes:
    unknown = [name for name in boxes.names if name not in boxes.sizes]
    return boxes._replace(sizes={**boxes.sizes, **sizes_from(unknown, images, workers)})


def _of_labels(path: Path, task: Task) -> Boxes:
    frames = read_labels(path).frames
    leave_out_others(frames, task)
    names = [frame.name for frame in frames]
    truth, _ = ground_truth_columns(frames, names, path, task)
    corners = truth.box.copy()
    corners[:, 2:] += corners[:, :2] - 1
    score = np.ones(len(truth.frame))
    return Boxes(names, truth.frame, truth.category, corners, score, sizes=stated_sizes(frames))


def _contents(boxes: Boxes, task: Task) -> _Contents:
    num_frames, num_classes = len(boxes.names), len(task.names)
    sizes = np.array([boxes.sizes.get(name, (HEIGHT, WIDTH)) for name in boxes.names], float).reshape(-1, 2)
    height, width = sizes[boxes.frame].T
    x1, y1, x2, y2 = boxes.corners.T
    area = np.maximum(x2 - x1 + 1, 0) * np.maximum(y2 - y1 + 1, 0) / (height * width)
    size = np.searchsorted(_SIZES, area)
    row = np.clip((y1 + y2) / 2 / height * _GRID[0], 0, _GRID[0] - 1).astype(np.int64)
    column = np.clip((x1 + x2) / 2 / width * _GRID[1], 0, _GRID[1] - 1).astype(np.int64)

    def per_frame(place: np.ndarray, count: int, weight: np.ndarray) -> np.ndarray:
        cells = boxes.frame * count + place
        return np.bincount(cells, weight, minlength=num_frames * count).reshape(num_frames, count)

    by_size = per_frame(boxes.category * (len(_SIZES) + 1) + size, num_classes * (len(_SIZES) + 1), boxes.score)
    by_place = per_frame(row * _GRID[1] + column, _GRID[0] * _GRID[1], boxes.score)
    variance = boxes.score * (1 - boxes.score)
    return _Contents(
        boxes.names,
        np.bincount(boxes.frame, variance, minlength=num_frames),
        per_frame(boxes.category, num_classes, boxes.score),
        # The roots, so that of many objects one more says little.
        np.sqrt(np.concatenate([by_size, by_place], axis=1)),
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    """(N,) the share of values that are as low or lower."""
    return np.searchsorted(np.sort(values), values, "right") / max(len(values), 1)


def _spread(
    value: np.ndarray, features: np.ndarray, others: Sequence[np.ndarray], number: int
) -> Iterator[tuple[int, float]]:
    """Yields the places of ``number`` images, each with its distance to the nearest one before it or of ``others``."""
    distance = np.full(len(value), np.inf)
    for one in chain.from_iterable(others):
        distance = np.minimum(distance, _distances(features, one))
    left = np.ones(len(value), bool)
    for _ in range(number):
        # Before any is taken, all are as far.
        worth = value * np.where(np.isinf(distance), 1.0, distance)
        best = int(np.argmax(np.where(left, worth, -1.0)))
        yield best, 0.0 if np.isinf(distance[best]) else float(distance[best])
        left[best] = False
        distance = np.minimum(distance, _distances(features, features[best]))


def _distances(features: np.ndarray, one: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(features - one).sum(axis=1))
