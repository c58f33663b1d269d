"""Errors in labels that are known, because they are planted: missing, made up, misnamed and badly placed boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from bdd100k_d2.data.labels import Box2D, Frame, Label
from bdd100k_d2.suspects.records import box_overlap

KINDS = ("missing label", "phantom", "class", "placement")

_TRIES = 200
_APART = 0.1
# The IoU of a badly placed box with the right one.
_BADLY = (0.3, 0.65)


class PlantedError(NamedTuple):
    """An error: the ``place`` of the wrong label in its frame, -1 where it is missing, and the right ``box`` if any."""

    kind: str
    frame: str
    place: int
    box: tuple[float, float, float, float] | None


class PlantedLabels(NamedTuple):
    """The frames with wrong labels, what is wrong, and how many labels were right before."""

    frames: list[Frame]
    errors: list[PlantedError]
    num_labels: int


def plant_errors(frames: Sequence[Frame], share: float, seed: int, size: tuple[int, int]) -> PlantedLabels:
    """Plants errors of each kind into copies of frames of sound labels: ``share`` of the labels for each.

    ``size`` is (width, height) of the images in pixels.
    """
    rng = np.random.default_rng(seed)
    frames = msgspec.json.decode(msgspec.json.encode(list(frames)), type=list[Frame])
    all_labels = [(i, label) for i, frame in enumerate(frames) for label in frame.labels or ()]
    count = round(share * len(all_labels))
    chosen = rng.permutation(len(all_labels))
    wrong = dict(
        zip(chosen[: 3 * count].tolist(), np.repeat(("missing label", "class", "placement"), count), strict=True)
    )
    classes = sorted({label.category for _, label in all_labels if label.category})
    planted: list[list[tuple[str, Label | None, Label]]] = [[] for _ in frames]
    for k, (i, label) in enumerate(all_labels):
        kind = str(wrong.get(k, ""))
        new: Label | None = msgspec.structs.replace(label)
        if kind == "missing label":
            new = None
        elif kind == "class" and new is not None:
            new.category = str(rng.choice([name for name in classes if name != label.category]))
        elif kind == "placement" and new is not None:
            new.box2d = _moved(rng, label.box2d, size)
        planted[i].append((kind, new, label))
    for _ in range(count):
        i, model = int(rng.integers(len(frames))), all_labels[int(rng.integers(len(all_labels)))][1]
        box = _somewhere(rng, model.box2d, [label.box2d for _, _, label in planted[i]], size)
        made = Label(f"planted{_}", model.category, attributes=model.attributes, box2d=box)
        planted[i].append(("phantom", made, made))
    errors = []
    for frame, entries in zip(frames, planted, strict=True):
        frame.labels = [new for _, new, _ in entries if new is not None]
        place = 0
        for kind, new, old in entries:
            if kind:
                right = None if kind == "phantom" else _corners(old.box2d)
                errors.append(PlantedError(kind, frame.name, -1 if new is None else place, right))
            place += new is not None
    return PlantedLabels(frames, errors, len(all_labels))


def _moved(rng: np.random.Generator, box: Box2D | None, size: tuple[int, int]) -> Box2D:
    old = np.array(_corners(box))
    extent = np.tile(old[2:] - old[:2] + 1, 2)
    for _ in range(_TRIES):
        new = np.clip(np.round(old + extent * rng.uniform(-0.45, 0.45, 4)), 0, np.tile(np.array(size) - 1, 2))
        if (new[2:] > new[:2]).all() and _BADLY[0] <= box_overlap(tuple(new), tuple(old)) <= _BADLY[1]:
            return Box2D(*new.tolist())
    # Too small for another one of whole pixels.
    return Box2D(*(old + np.array([extent[0] / 2, 0, extent[0] / 2, 0])).tolist())


def _somewhere(
    rng: np.random.Generator, model: Box2D | None, others: Sequence[Box2D | None], size: tuple[int, int]
) -> Box2D:
    x1, y1, x2, y2 = _corners(model)
    for _ in range(_TRIES):
        # At about the height where such an object was, as a person would err.
        x, y = rng.uniform(0, size[0] - 1 - (x2 - x1)), np.clip(y1 + rng.normal(0, 40), 0, size[1] - 1 - (y2 - y1))
        box = (round(x), round(y), round(x + x2 - x1), round(y + y2 - y1))
        if all(box_overlap(box, _corners(other)) < _APART for other in others):
            break
    return Box2D(*map(float, box))


def _corners(box: Box2D | None) -> tuple[float, float, float, float]:
    assert box is not None
    return box.x1, box.y1, box.x2, box.y2
