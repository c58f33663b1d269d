"""Random labels of every kind, and how to call the converter on them."""

from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.categories import ALIASES, IGNORED_CATEGORIES
from bdd100k_d2.data.convert.convert import Conversion, convert
from bdd100k_d2.data.convert.source_options import SourceOptions
from bdd100k_d2.data.labels import (
    RLE,
    Box2D,
    Frame,
    FrameAttributes,
    ImageSize,
    Label,
    LabelAttributes,
    write_frames,
)
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.tasks import TASKS

SIZE = ImageSize(1280, 720)
DET_NAMES = [*TASKS["det"].names, *ALIASES, *IGNORED_CATEGORIES]
INS_NAMES = [*TASKS["ins_seg"].names, *ALIASES, *IGNORED_CATEGORIES]


def run(source: Path, target: Path, to: str, **arguments: object) -> Conversion:
    """Converts; ``kind``, ``polygons`` and ``overwrite`` go to the converter, the rest are its options."""
    own = {key: arguments.pop(key) for key in ("kind", "polygons", "overwrite") if key in arguments}
    return convert(source, target, to, options=SourceOptions(**arguments), **own)


def through(source: Path, folder: Path, to: str, **arguments: object) -> list[Frame]:
    """The frames of what ``source`` becomes as ``to`` and then as Scalabel; ``arguments`` are of the way back."""
    middle = folder / (f"middle_{to}.json" if to in ("coco", "scalabel") else f"middle_{to}")
    done = run(source, middle, to, task=arguments.pop("task", None), polygons=arguments.pop("polygons", None))
    run(middle, folder / f"back_{to}.json", "scalabel", task=done.task, **arguments)
    return read_labels(folder / f"back_{to}.json").frames


def pick(rng: np.random.Generator, values: list) -> object:
    return values[int(rng.integers(len(values)))]


def random_box(rng: np.random.Generator) -> Box2D:
    """Within the image; some of one pixel, some at its edges."""
    x1, y1 = rng.uniform(0, 1270), rng.uniform(0, 710)
    if rng.random() < 0.2:
        x1, y1 = float(int(x1)), float(int(y1))
        return Box2D(x1, y1, x1, y1)
    return Box2D(x1, y1, min(x1 + rng.exponential(60), 1279.0), min(y1 + rng.exponential(60), 719.0))


def random_det_frames(rng: np.random.Generator, count: int = 12, scores: bool = False) -> list[Frame]:
    """Frames as the official detection files have them: every class name, attribute, and frames without labels."""
    frames, number = [], 0
    for i in range(count):
        labels = []
        for _ in range(int(rng.integers(0, 9))):
            number += 1
            attributes = None
            if rng.random() < 0.8:
                flags = (pick(rng, [True, False, None]) for _ in range(4))
                occluded, truncated, crowd, ignored = flags
                attributes = LabelAttributes(occluded, truncated, pick(rng, ["R", "NA", None]), crowd, ignored)
            box = random_box(rng) if rng.random() < 0.9 else None
            score = round(float(rng.random()), 7) if scores else None
            labels.append(Label(pick(rng, [str(number), number]), pick(rng, DET_NAMES), score, attributes, box))
        frames.append(
            Frame(
                name=f"{i:08x}-{rng.integers(1 << 16):08x}.jpg",
                attributes=pick(rng, [None, FrameAttributes(), FrameAttributes("clear", "highway", "night")]),
                timestamp=pick(rng, [None, 10000]),
                size=pick(rng, [None, SIZE]),
                labels=labels or pick(rng, [None, []]),
            )
        )
    # The first frame says what the file holds.
    frames[0].labels = [Label("0", "car", 0.5 if scores else None, None, Box2D(1, 2, 30, 40))]
    return frames


def random_regions(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """(H, W) int32 in 0..count: overlapping rectangles, with some pixels put astray, so that there are holes."""
    regions = np.zeros((height, width), np.int32)
    for i in range(1, count + 1):
        y, x = rng.integers(0, height), rng.integers(0, width)
        regions[y : y + rng.integers(1, height), x : x + rng.integers(1, width)] = i
    astray = rng.random((height, width)) < 0.05
    regions[astray] = rng.integers(0, count + 1, int(astray.sum()))
    return regions


def rle_of(mask: np.ndarray) -> RLE:
    packed = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return RLE(packed["counts"].decode(), mask.shape)


def random_bitmask(rng: np.random.Generator, task: str, height: int = 36, width: int = 64) -> Bitmask:
    """A bitmask as officially made: instances have any id and attribute, stuff of pan_seg has its category id."""
    regions = random_regions(rng, height, width, 9)
    present = np.unique(regions[regions > 0])
    place = np.zeros(10, np.int32)
    place[present] = np.arange(1, len(present) + 1)
    categories = rng.choice(TASKS[task].num_classes, len(present), replace=task == "ins_seg") + 1
    things = [TASKS[task].categories[k - 1].is_thing for k in categories]
    ids = np.where(things, rng.choice(np.arange(31, 65536), len(present), replace=False), categories)
    order = np.argsort(ids)
    rank = np.append(0, np.argsort(order) + 1)
    attributes = np.where(things, rng.integers(0, 16, len(present)), 0).astype(np.uint8)
    instances = rank[place[regions]].astype(np.int32)
    return Bitmask(instances, ids[order].astype(np.int32), categories[order].astype(np.int32), attributes[order])


def pixels_of(bitmask: Bitmask) -> np.ndarray:
    return encode_bitmask(bitmask)


def sized(*labels: Label, name: str = "a.jpg", size: ImageSize = SIZE) -> Frame:
    """A frame that states its size."""
    return Frame(name, size=size, labels=list(labels))


def write(folder: Path, frames: list[Frame], name: str = "det_val.json") -> Path:
    path = folder / name
    write_frames(frames, path)
    return path
