"""Semantic masks: folders of PNG files, and Scalabel run lengths -> arrays of class ids."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ..errors import DataError
from .categories import IGNORE_LABEL
from .folders import files_below, visible_files
from .image_names import frame_names
from .labels import Frame
from .png import GREY, PALETTE, PngForm, read_png

_SUFFIX_2018 = "_train_id"
_DRIVABLE_2018 = "_drivable_id"

_KIND = "a mask has one channel of 8-bit class ids, this image is {kind}; "
# As officially, the class ids of a palette image are its indices, whatever its colours.
_MASK = PngForm(
    (GREY, PALETTE),
    other=f"{_KIND}give the folder masks/, not colormaps/ or bitmasks/.",
    other_bits=f"{_KIND}save it with 8 bits, the values 0, 1, ... as they are.",
    damaged="the mask cannot be read ({error}); download or write it again.",
    empty="the mask cannot be read (it is an empty file); download or write it again.",
    no_png="the mask cannot be read (it is {kind}); masks are PNG files, download or write it again.",
)


def mask_stem(path: str | os.PathLike[str]) -> str:
    """The name, without its ending, of the frame that a mask file belongs to.

    The masks of 2018 are called ``<frame>_train_id.png``; they hold the same class ids as the later ones.

    Raises:
        DataError: a drivable map of 2018, whose ids mean other classes than those of today's masks.
    """
    stem = Path(path).stem
    if stem.endswith(_DRIVABLE_2018):
        raise DataError(
            f"{path}: a drivable map of 2018 has other ids (0 background, 1 direct, 2 alternative) than the masks of "
            "today (0 direct, 1 alternative, 2 background); take labels/drivable/masks of the release."
        )
    return stem.removesuffix(_SUFFIX_2018)


def list_masks(folder: Path, below: bool = False) -> dict[str, Path]:
    """The masks or bitmasks of a folder, or also ``below`` it, by the stems of their frames, sorted by path.

    Of several of one stem in different folders these are as `frame_names` makes them: ``a__0`` for ``a/0.png``.

    Raises:
        DataError: two files are masks of one frame, or one is a drivable map of 2018.
        OSError: there is no such folder, if ``below`` is false; else it has no masks.
    """
    if below:
        paths = files_below(folder, ".png")
    else:
        paths = [Path(path) for path in sorted(entry.path for entry in visible_files(folder, ".png"))]
    files: dict[str, Path] = {}
    for path, stem in stems_below(folder, {path: mask_stem(path) for path in paths}).items():
        other = files.setdefault(stem, path)
        if other is not path:
            first, second = (one.relative_to(folder) for one in (other, path))
            raise DataError(f"{folder}: {first} and {second} are masks of the same frame; remove one of the two.")
    return files


def stems_below(folder: str | os.PathLike[str], stems: Mapping[Path, str]) -> dict[Path, str]:
    """The ``stems`` of mask files below a folder; of several of one these are as `frame_names` makes them."""
    # What follows the folders is a mask's stem, in which a dot is part of the name.
    places = (f"{path.parent.relative_to(folder).as_posix()}/{stem}.png" for path, stem in stems.items())
    return {path: name.removesuffix(".png") for path, name in zip(stems, frame_names(places), strict=True)}


def check_mask(mask: np.ndarray, num_classes: int, name: str | os.PathLike[str]) -> np.ndarray:
    """Returns ``mask`` (H, W) uint8, of the file ``name``; DataError unless its ids are in 0..num_classes-1 or 255."""
    # One pass where all is well: 255 and 1 are 0.
    if (mask + np.uint8(1)).max(initial=0) > num_classes:
        wrong = (mask >= num_classes) & (mask != IGNORE_LABEL)
        raise DataError(f"{name}: {wrong_ids(np.unique(mask[wrong]), [*range(num_classes), IGNORE_LABEL])}")
    return mask


def wrong_ids(found: Iterable[int], allowed: Iterable[int]) -> str:
    """What to say of a mask that holds the ids ``found``, which are not ``allowed``; both ascending."""
    runs: list[list[int]] = []
    for value in allowed:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    *first, last = (f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
    known = f"{', '.join(first)} and {last}" if first else last
    ids = [int(value) for value in found]
    return f"the mask holds the ids {ids}; {known} are allowed. Is it a mask of another task, or a colour map?"


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a single-channel PNG of class ids, of 8 bits or with a palette: (H, W) uint8.

    Raises:
        UnreadableError: the file is missing, empty or damaged.
        DataError: it has colours or 16 bits instead of 8-bit ids.
    """
    return read_png(path, _MASK)


def frame_to_mask(
    frame: Frame, class_ids: Mapping[str, int], height: int, width: int, unpainted: int = IGNORE_LABEL
) -> np.ndarray:
    """Paints the run lengths of a frame's labels in their order, later ones over earlier ones: (height, width) uint8.

    Pixels of no label are ``unpainted``. Labels without run lengths or of a class that is not in ``class_ids`` are left
    out, as the official toolkit does.

    Raises:
        DataError: run lengths that are damaged, or of another size.
    """
    # It needs pycocotools, which a light installation, where masks are read, has not.
    from .rle import check_rle, paint

    size = height, width
    masks = (
        (check_rle(label.rle, size, f"frame {frame.name}, label {label.id} ({label.category})"), class_id)
        for label in frame.labels or ()
        if label.rle is not None and (class_id := class_ids.get(label.category or "")) is not None
    )
    return paint(masks, size, unpainted, np.uint8)
