"""The mask of a COCO annotation, in whatever of COCO's three forms -> compressed run lengths."""

from collections.abc import Sequence

import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from ..errors import DataError
from .image_size import check_image_size
from .labels import RLE, Box2D, ImageSize
from .rle import CocoRLE, check_rle


class _RunLengths(msgspec.Struct, gc=False):
    counts: str | list[int]
    size: tuple[int, int]


Segmentation = _RunLengths | list[list[float]] | None
"""What stands in an annotation: run lengths, compressed or plain, polygons, or nothing."""

_decode_segmentation = msgspec.json.Decoder(Segmentation).decode


def segmentation_mask(raw: msgspec.Raw, size: ImageSize | None, where: str) -> RLE | None:
    """The mask of an unparsed ``segmentation`` in an image of ``size``, None for an empty one.

    Raises:
        DataError: damaged run lengths or polygons; the message begins with ``where``.
        msgspec.MsgspecError: it is neither.
    """
    segmentation = _decode_segmentation(raw)
    # Some tools write an empty list where there is a box alone.
    if not segmentation:
        return None
    if isinstance(segmentation, _RunLengths):
        if isinstance(segmentation.counts, str):
            return RLE(segmentation.counts, segmentation.size)
        return _compress(segmentation.counts, segmentation.size, where)
    if size is None:
        raise DataError(f"{where}: the image has no width and height, without which polygons have no mask; add them.")
    try:
        filled = polygons_to_rle(segmentation, (size.height, size.width))
    except DataError as error:
        raise DataError(f"{where}: {error}; mend or remove it.") from error
    return RLE(filled["counts"].decode(), (size.height, size.width))


def _compress(counts: list[int], size: tuple[int, int], where: str) -> RLE:
    height, width = size
    check_image_size(height, width, f"{where}: the mask")
    # As Python's numbers, which do not overflow; pycocotools counts in 32 bits.
    if min(counts, default=0) < 0 or max(counts, default=0) > height * width:
        raise DataError(
            f"{where}: the run lengths hold a length that no mask of {height}x{width} has; write the annotation again."
        )
    total = sum(counts)
    if total != height * width or total >= 2**31:
        raise DataError(
            f"{where}: the run lengths add up to {total:,} pixels, a mask of {height}x{width} has "
            f"{height * width:,}; write the annotation again."
        )
    packed = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return RLE(packed["counts"].decode(), size)


def box_around(mask: RLE, size: ImageSize | None, where: str) -> Box2D | None:
    """The box around a mask in an image of ``size``, None around one of nothing.

    Raises:
        DataError: the mask is damaged or of another size; the message begins with ``where``.
    """
    checked = check_rle(mask, mask.size if size is None else (size.height, size.width), where)
    x, y, width, height = coco_mask.toBbox([checked])[0].tolist()
    return Box2D(x, y, x + width - 1, y + height - 1) if width else None


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
