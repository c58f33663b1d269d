"""Random bitmasks and label files with run lengths, and the official toolkit's answers to them."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from bdd100k_d2.data.bitmasks import CROWD, IGNORED, OCCLUDED, TRUNCATED, Bitmask, decode_bitmask, encode_bitmask
from bdd100k_d2.data.labels import RLE, ImageSize

SIZE = (48, 64)


def random_bitmask(rng: np.random.Generator, num_classes: int, size: tuple[int, int] = SIZE, most: int = 10) -> Bitmask:
    """Up to ``most`` rectangles of classes 1 to ``num_classes``, one over the other."""
    count = int(rng.integers(0, most + 1))
    instances = np.zeros(size, np.int32)
    # At the limits of the ranges of areas, 32 and 96 pixels squared.
    sides = [3, 8, 15, 31, 32, 33] if min(size) < 100 else [8, 32, 33, 95, 96, 97, 130]
    for i in range(count):
        side = rng.choice(sides, 2)
        corner = rng.integers(0, size)
        instances[tuple(slice(c, c + s) for c, s in zip(corner, side, strict=True))] = i + 1
    return _seen(
        Bitmask(
            instances,
            np.sort(rng.choice(np.arange(1, 65536), count, replace=False)),
            rng.integers(1, num_classes + 1, count),
            rng.choice([0, OCCLUDED, TRUNCATED, CROWD, IGNORED, CROWD | IGNORED], count, p=[0.5, *[0.1] * 5]),
        )
    )


def shaken(rng: np.random.Generator, truth: Bitmask, num_classes: int) -> Bitmask:
    """Predictions: the instances moved a little, some lost, some of another class, and some that are nothing."""
    noise = random_bitmask(rng, num_classes, truth.instances.shape, most=4)
    instances = np.roll(truth.instances, rng.integers(-2, 3, 2) * (rng.random() < 0.7), (0, 1))
    instances[np.isin(instances, np.flatnonzero(rng.random(len(truth.ids) + 1) < 0.15))] = 0
    instances = np.where((noise.instances > 0) & (rng.random() < 0.5), noise.instances + len(truth.ids), instances)
    categories = np.concatenate([truth.categories, noise.categories])
    changed = rng.random(len(categories)) < 0.15
    return _seen(
        Bitmask(
            instances,
            np.sort(rng.choice(np.arange(1, 65536), len(categories), replace=False)),
            np.where(changed, rng.integers(1, num_classes + 1, len(categories)), categories),
            rng.choice([0, CROWD, IGNORED], len(categories), p=[0.9, 0.05, 0.05]),
        )
    )


def _seen(bitmask: Bitmask) -> Bitmask:
    """Without the instances that have no pixel. The first pixel is background: the toolkit fails without any."""
    bitmask.instances[0, 0] = 0
    return decode_bitmask(encode_bitmask(bitmask), "random")


def write_bitmask(bitmask: Bitmask, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(encode_bitmask(bitmask)).save(path)


def run_lengths(mask: np.ndarray) -> RLE:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return RLE(counts=rle["counts"].decode(), size=tuple(rle["size"]))


def image_size(bitmask: Bitmask) -> ImageSize:
    height, width = bitmask.instances.shape
    return ImageSize(width=width, height=height)


def toolkit_frames(path: Path, task: str) -> tuple[list[Any], Any]:
    """A label file as the toolkit's command line reads it, and the task's config."""
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_scalabel import bdd100k_to_scalabel
    from scalabel.label.io import load

    config = load_bdd100k_config(task)
    return bdd100k_to_scalabel(load(str(path), nprocs=1).frames, config), config.scalabel
