"""COCO's compressed run lengths, checked before pycocotools sees them: it trusts them and reads past its memory.

A mask is a row of run lengths, column by column, background first. From the fourth run on, the difference to the last
but one is stored, in digits of five bits, the lowest first, each a character from "0" (48) on; its bit 32 says that
another digit follows, bit 16 of the last digit that the number is negative. Source: ``rleFrString`` of pycocotools.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from ..errors import DataError, shown
from .image_size import check_image_size
from .labels import RLE, Outline

if TYPE_CHECKING:
    # To import it takes a quarter of the time of NumPy.
    from numpy.typing import DTypeLike

_MAX_DIGITS = 7  # 35 bits, many times the largest image
_MOST_AREAS = 255


class CocoRLE(TypedDict):
    """A mask as ``pycocotools.mask`` and hotcoco take it; ``size`` is [height, width] in pixels."""

    size: list[int]
    counts: bytes


def run_lengths(counts: str) -> np.ndarray:
    """Decodes compressed run lengths: (M,) int64 pixels, of background and of mask in turn, column by column.

    Raises:
        DataError: a character that is none of the format's, an end within a number, or a negative length; the caller
            adds where.
    """
    if not counts:
        return np.zeros(0, np.int64)
    # What is below "0" wraps to a large number.
    digits = np.frombuffer(counts.encode(errors="surrogatepass"), np.uint8) - np.uint8(48)
    if digits.max() > 63:
        raise DataError("the run lengths hold a character that COCO's compressed run lengths do not have")
    if digits[-1] >= 32:
        raise DataError("the run lengths end within a number; the text is cut off")
    last = np.flatnonzero(digits < 32)
    first = np.append(0, last[:-1] + 1)
    num_digits = last - first + 1
    if num_digits.max() > _MAX_DIGITS:
        raise DataError("the run lengths hold a number that is larger than any image")
    places = np.arange(len(digits)) - first.repeat(num_digits)
    lengths = np.add.reduceat((digits & 31).astype(np.int64) << 5 * places, first)
    lengths -= (digits[last] & 16).astype(np.int64) << 5 * num_digits - 4
    lengths[1::2] = lengths[1::2].cumsum()
    lengths[2::2] = lengths[2::2].cumsum()
    if lengths.min() < 0:
        raise DataError("the run lengths hold a negative length")
    return lengths


def check_rle(rle: RLE, size: tuple[int, int], where: str) -> CocoRLE:
    """A mask for pycocotools; DataError unless its run lengths fill an image of ``size``, (height, width) in pixels.

    The polygons of an `Outline` are filled.
    """
    if isinstance(rle, Outline):
        return fill_polygons(msgspec.json.decode(rle.polygons, type=list[list[float]]), size, rle.where)
    if tuple(rle.size) != tuple(size):
        raise DataError(
            f"{where}: the mask has {shown(rle.size[0])}x{shown(rle.size[1])} pixels, the image {size[0]}x{size[1]} "
            "(height x width); write masks in the image's size."
        )
    check_image_size(size[0], size[1], f"{where}: the mask")
    pixels = size[0] * size[1]
    try:
        lengths = run_lengths(rle.counts)
    except DataError as error:
        raise DataError(f"{where}: {error}; write the label again.") from error
    # The sum of longer ones may not fit into 64 bits, nor each into the 32 bits of pycocotools.
    if lengths.max(initial=0) > pixels:
        raise DataError(
            f"{where}: the run lengths hold one of {lengths.max():,} pixels, a mask of {size[0]}x{size[1]} has "
            f"{pixels:,}; write the label again."
        )
    total = int(lengths.sum())
    if total != pixels:
        raise DataError(
            f"{where}: the run lengths add up to {total:,} pixels, a mask of {size[0]}x{size[1]} has {pixels:,}; write "
            "the label again."
        )
    return {"size": [int(size[0]), int(size[1])], "counts": rle.counts.encode()}


def polygons_to_rle(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> CocoRLE:
    """Fills polygons, as pycocotools does, and unites them.

    A polygon is x and y of each corner in turn, in pixels; ``size`` is the image's (height, width).

    Raises:
        DataError: there is no polygon, or one has less than three corners, half a corner, or a corner further outside
            of the image than that is large; the caller adds where.
    """
    height, width = size
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise DataError(f"a polygon has an x and a y for each of three corners or more, not {len(polygon)} numbers")
        corners = np.asarray(polygon).reshape(-1, 2)
        # pycocotools takes memory for every step along the outline.
        if not (np.abs(corners) <= 2 * np.array([width, height])).all():
            raise DataError(f"a polygon leads far out of the image of {width}x{height} pixels")
    if not polygons:
        raise DataError("there is no polygon")
    merged = coco_mask.merge(coco_mask.frPyObjects([list(polygon) for polygon in polygons], height, width))
    return {"size": [int(height), int(width)], "counts": merged["counts"]}


def fill_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int], where: str) -> CocoRLE:
    """As :func:`polygons_to_rle`, whose DataError begins with ``where``."""
    try:
        return polygons_to_rle(polygons, size)
    except DataError as error:
        raise DataError(f"{where}: {error}; mend or remove it.") from error


def paint(
    masks: Iterable[tuple[CocoRLE, int]], size: tuple[int, int], unpainted: int, dtype: "DTypeLike"
) -> np.ndarray:
    """Paints masks, each with its value, in their order into a (height, width) array; the rest is ``unpainted``."""
    # Run lengths go down the columns; with pixels in that order an object is painted several times as fast.
    pixels = np.full(size, unpainted, dtype, order="F")
    for mask, value in masks:
        np.copyto(pixels, value, where=coco_mask.decode(mask).view(bool))
    return np.ascontiguousarray(pixels)


def areas(masks: Sequence[CocoRLE]) -> np.ndarray:
    """The pixels of N masks, (N,) int64."""
    # Of a list, pycocotools' area fails from 256 masks on: under NumPy 2 it cannot make an array of their number.
    parts = [coco_mask.area(list(masks[i : i + _MOST_AREAS])) for i in range(0, len(masks), _MOST_AREAS)]
    return np.concatenate(parts, dtype=np.int64, casting="unsafe") if parts else np.zeros(0, np.int64)


def union(masks: Sequence[CocoRLE]) -> CocoRLE:
    """One mask of what is in any of the masks, of which there is one or more, all of one size."""
    return masks[0] if len(masks) == 1 else coco_mask.merge(list(masks))


def overlap(masks: Sequence[CocoRLE]) -> bool:
    """Whether two of the masks, all of one size, share a pixel."""
    return len(masks) > 1 and int(areas(masks).sum()) > int(coco_mask.area(coco_mask.merge(list(masks))))
