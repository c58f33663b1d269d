"""Which frames are shown: the worst of all, and the worst of each class, error type and slice."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...data.labels import FrameAttributes, check_file_name, image_stem
from ...data.slices import FRAME_ATTRIBUTES
from ...errors import DataError

logger = logging.getLogger(__name__)


def worst_of_each(order: np.ndarray, groups: Iterable[np.ndarray], overall: int, each: int) -> np.ndarray:
    """Chooses frames to show.

    Args:
        order: (N,) some of F frames, the worst first.
        groups: for each group (F,) how badly the frames do in it; 0 is not bad at all. Of equal ones ``order`` decides.
        overall: so many of the first of ``order`` are taken.
        each: and so many of each group.

    Returns:
        The frames, each once, in the order of ``order``.
    """
    chosen = np.zeros(len(order), bool)
    chosen[:overall] = True
    for group in groups:
        badness = group[order]
        chosen[np.argsort(-badness, kind="stable")[: min(each, np.count_nonzero(badness))]] = True
    return order[chosen]


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


def find_images(names: Sequence[str], images: Path | None) -> list[Path | None]:
    """The images of frames in a folder; None where one is not there, which one warning counts.

    Raises:
        DataError: no such folder, or a name that leads out of it.
    """
    if images is None:
        return [None] * len(names)
    if not images.is_dir():
        raise DataError(f"{images}: no such folder; give the folder of the images, as images/100k/val.")
    found: list[Path | None] = []
    for name in names:
        check_file_name(name, images)
        path = images / name
        found.append(path if path.is_file() else None)
    if None in found:
        logger.warning(
            "%s: %d of %d images to be shown are not in this folder; the first is %s.",
            images,
            found.count(None),
            len(names),
            names[found.index(None)],
        )
    return found
