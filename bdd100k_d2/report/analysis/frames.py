"""The frames that an analysis is asked for: the arguments checked, the worst frames chosen, their images found."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...data.convert.image_sizes import ImagesBelow
from ...data.image_names import check_file_name, image_stem
from ...data.labels import FrameAttributes
from ...data.slices import FRAME_ATTRIBUTES
from ...errors import ConfigError, DataError

logger = logging.getLogger(__name__)


def check_arguments(truth: Path, predicted: Path, images: Path | None, **numbers: int) -> None:
    """Checks what an analysis is asked for, before anything is read.

    Raises:
        ConfigError: one of ``numbers`` is negative.
        DataError: ``truth`` or ``predicted`` does not exist, or ``images`` is no folder.
    """
    for name, number in numbers.items():
        if number < 0:
            raise ConfigError(f"{name} is {number}; give 0 or more.")
    for path in (truth, predicted):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; check the path.")
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such folder; give the folder of the images, as images/100k/val.")


def worst_of_each(order: np.ndarray, groups: Iterable[np.ndarray], overall: int, each: int) -> np.ndarray:
    """Chooses frames to show: the ``overall`` first of ``order``, and the ``each`` worst of each group.

    ``order`` (N,) has some of F frames, the worst first, and those which are chosen are returned in this order. A group
    says of all frames, (F,), how badly they do in it; 0 is not bad at all, and of equal ones ``order`` decides.
    """
    chosen = np.zeros(len(order), bool)
    chosen[:overall] = True
    for group in groups:
        badness = group[order]
        chosen[np.argsort(-badness, kind="stable")[: min(each, np.count_nonzero(badness))]] = True
    return order[chosen]


def most_changed(run: Mapping[str, float], baseline: Mapping[str, float], overall: int, each: int) -> list[str]:
    """Chooses the ``overall`` worst frames, and ``each`` of those that got most worse and that got most better.

    ``run`` and ``baseline`` say how bad each frame is by its name; 0 is not bad at all. ``run`` has the worst first,
    and the names that are returned have its order.
    """
    names = [name for name, badness in run.items() if badness or baseline[name]]
    change = np.array([run[name] - baseline[name] for name in names])
    groups = [change.clip(0), (-change).clip(0)]
    return [names[place] for place in worst_of_each(np.arange(len(names)), groups, overall, each).tolist()]


def attributes_by_place(
    names: Sequence[str], attributes: Mapping[str, FrameAttributes]
) -> list[FrameAttributes | None]:
    """The attributes of the frames ``names``, which may be stems; None where there are none."""
    by_stem = {image_stem(name): value for name, value in attributes.items()}
    return [attributes.get(name) or by_stem.get(image_stem(name)) for name in names]


def slice_masks(attributes: Sequence[FrameAttributes | None]) -> Iterable[np.ndarray]:
    """(F,) bool for each value of each attribute of the frames: which have it."""
    for name in FRAME_ATTRIBUTES:
        values = np.array([getattr(one, name, None) or "" for one in attributes], object)
        yield from (values == value for value in sorted(set(values.tolist()) - {""}))


def find_images(names: Sequence[str], images: Path | None, masks: Iterable[Path] = ()) -> list[Path | None]:
    """The images of frames in a folder or below it, as `ImagesBelow` finds them, which ``masks`` are none of.

    None where one is not there, which one warning counts.

    Raises:
        DataError: a name leads out of ``images``, or several images may be a frame's.
    """
    if images is None:
        return [None] * len(names)
    there: ImagesBelow | None = None
    found: list[Path | None] = []
    for name in names:
        check_file_name(name, images)
        path: Path | None = images / name
        if not (images / name).is_file():
            there = there or ImagesBelow(images, masks)
            path = there.find(name)
        found.append(path)
    if None in found:
        text = "%s: %d of %d images to be shown are not in this folder; the first is %s."
        logger.warning(text, images, found.count(None), len(names), names[found.index(None)])
    return found
