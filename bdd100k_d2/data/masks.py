"""Semantic masks: PNG files and Scalabel run lengths -> arrays of class ids."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from ..errors import DataError, UnreadableError
from .categories import IGNORE_LABEL
from .labels import Frame
from .png import GREY, HEADER_BYTES, PALETTE, png_header
from .rle import check_rle

_SUFFIX_2018 = "_train_id"
_DRIVABLE_2018 = "_drivable_id"


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


def check_mask(mask: np.ndarray, num_classes: int, name: str | os.PathLike[str]) -> np.ndarray:
    """Returns ``mask`` (H, W) unchanged when all its values are in 0..num_classes-1 or 255.

    Raises:
        DataError: another value; the message names the file ``name`` and the values.
    """
    wrong = (mask >= num_classes) & (mask != IGNORE_LABEL)
    if wrong.any():
        ids = np.unique(mask[wrong]).tolist()
        raise DataError(
            f"{name}: the mask holds the ids {ids}; 0 to {num_classes - 1} and {IGNORE_LABEL} are allowed. "
            "Is it a mask of another task, or a colour map?"
        )
    return mask


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a single-channel 8-bit PNG of class ids, grey or with a palette.

    Returns:
        uint8 array of shape (H, W).

    Raises:
        DataError: the file is missing, unreadable, or has colours or 16 bits instead of 8-bit ids.
    """
    with _open_mask(Path(path)) as image:
        return np.asarray(image)


@contextmanager
def _open_mask(path: Path) -> Iterator[Image.Image]:
    try:
        with path.open("rb") as file:
            header = png_header(file.read(HEADER_BYTES))
            # As officially, the class ids of a palette image are its indices, whatever its colours.
            if header is not None and (header.bits != 8 or header.color_type not in (GREY, PALETTE)):
                raise DataError(
                    f"{path}: a mask has one channel of 8-bit class ids, this image is {header.kind}; "
                    + (
                        "save it with 8 bits."
                        if header.color_type in (GREY, PALETTE)
                        else "give the folder masks/, not colormaps/ or bitmasks/."
                    )
                )
            file.seek(0)
            with Image.open(file) as image:
                yield image
    except (OSError, SyntaxError) as error:  # Pillow calls a broken PNG chunk a SyntaxError
        reason = "it is an empty file" if path.is_file() and not path.stat().st_size else error
        raise UnreadableError(f"{path}: the mask cannot be read ({reason}); download or write it again.") from error


def frame_to_mask(
    frame: Frame, class_ids: Mapping[str, int], height: int, width: int, unpainted: int = IGNORE_LABEL
) -> np.ndarray:
    """Paints the run lengths of a frame's labels in their order, later ones over earlier ones.

    Labels without run lengths or of a class that is not in ``class_ids`` are left out, as the official toolkit does.

    Returns:
        uint8 array of shape (height, width); pixels of no label are ``unpainted``.

    Raises:
        DataError: run lengths of another size, or that are none.
    """
    # Run lengths go down the columns; with pixels in that order an object is painted several times as fast.
    mask = np.full((height, width), unpainted, np.uint8, order="F")
    for label in frame.labels or ():
        if label.rle is None or label.category not in class_ids:
            continue
        rle = check_rle(label.rle, (height, width), f"frame {frame.name}, label {label.id} ({label.category})")
        np.copyto(mask, class_ids[label.category], where=coco_mask.decode(rle).view(bool))
    return np.ascontiguousarray(mask)
