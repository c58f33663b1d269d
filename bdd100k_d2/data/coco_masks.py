"""The mask of a COCO annotation, in whatever of COCO's three forms -> compressed run lengths."""

import msgspec
from pycocotools import mask as coco_mask

from ..errors import DataError
from .image_size import check_image_size
from .labels import RLE, Box2D, ImageSize, Outline
from .rle import check_rle, fill_polygons


class _RunLengths(msgspec.Struct, gc=False):
    counts: str | list[int]
    size: tuple[int, int]


Segmentation = _RunLengths | list[list[float]] | None
"""What stands in an annotation: run lengths, compressed or plain, polygons, or nothing."""

_decode_segmentation = msgspec.json.Decoder(Segmentation).decode


def segmentation_mask(raw: msgspec.Raw, size: ImageSize | None, where: str) -> RLE | None:
    """The mask of an unparsed ``segmentation`` in an image of ``size``, None for an empty one.

    Polygons in an image of no size are an `Outline`.

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
        # Not the numbers, which take several times the memory of their text.
        return Outline("", (), raw.copy(), where)  # type: ignore[arg-type]  # no size, as it says
    filled = fill_polygons(segmentation, (size.height, size.width), where)
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
    if size is None and isinstance(mask, Outline):
        raise DataError(f"{where}: it has no bbox, and its image no width and height; add the one or the other.")
    checked = check_rle(mask, mask.size if size is None else (size.height, size.width), where)
    x, y, width, height = coco_mask.toBbox([checked])[0].tolist()
    return Box2D(x, y, x + width - 1, y + height - 1) if width else None
