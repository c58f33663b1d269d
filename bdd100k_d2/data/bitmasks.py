"""Bitmasks, the RGBA PNG files of ins_seg and pan_seg, <-> arrays of instances.

R is the category id, counted from 1; G holds the attributes; ``B << 8 | A`` is the annotation id, 0 for background.
Source: https://doc.bdd100k.com/format.html#bitmask.
"""

import os
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .png import RGBA, PngForm, read_png

# Bits of the attributes.
IGNORED, CROWD, OCCLUDED, TRUNCATED = 1, 2, 4, 8
ATTRIBUTE_BITS = {"ignored": IGNORED, "crowd": CROWD, "occluded": OCCLUDED, "truncated": TRUNCATED}
"""The bits by the names that label files have for them."""

REGION = 1 << 8
"""Beside `CROWD` and `IGNORED`, of COCO's crowds, which no file of bitmasks holds: what lies in one is found in it."""

_NUM_IDS = 1 << 16

_KIND = (
    "a bitmask has four channels (RGBA) of 8 bits, this image is {kind}; give the folder bitmasks/, not masks/ or "
    "colormaps/."
)
_BITMASK = PngForm(
    (RGBA,),
    other=_KIND,
    other_bits=_KIND,
    damaged="the bitmask cannot be read ({error}); download or write it again.",
    empty="the bitmask is an empty file; download or write it again.",
    no_png="the bitmask cannot be read (it is {kind}); bitmasks are PNG files with four channels (RGBA).",
)


class Bitmask(NamedTuple):
    """The N instances of a frame, in ascending order of their annotation ids.

    Attributes:
        instances: (H, W) int32, 0 for background, else 1 to N.
        ids: (N,) int32 annotation ids, 1 to 65,535.
        categories: (N,) int32 category ids, counted from 1; 0 is "unlabeled".
        attributes: (N,) uint8 sums of `IGNORED`, `CROWD`, `OCCLUDED` and `TRUNCATED`; uint16 with `REGION`.
    """

    instances: np.ndarray
    ids: np.ndarray
    categories: np.ndarray
    attributes: np.ndarray


def read_bitmask(path: str | os.PathLike[str]) -> Bitmask:
    """Reads a bitmask; DataError where the file cannot be read or is none."""
    return decode_bitmask(read_png(path, _BITMASK), path)


def decode_bitmask(pixels: np.ndarray, name: str | os.PathLike[str]) -> Bitmask:
    """Takes RGBA pixels, (H, W, 4) uint8, of the file ``name`` apart; pixels of annotation id 0 are background.

    Raises:
        DataError: other pixels, or an annotation id with two categories or two values of attributes.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 4 or pixels.dtype != np.uint8 or not pixels.size:
        raise DataError(f"{name}: a bitmask is (H, W, 4) uint8, this is {pixels.shape} {pixels.dtype}.")
    words = np.ascontiguousarray(pixels).view("<u4").ravel()
    # Neighbours are nearly always equal: what follows works on a few thousand runs instead of a million pixels.
    starts = _run_starts(words[1:] != words[:-1])
    runs = words[starts]
    run_ids = (runs >> 8 & 0xFF00) | runs >> 24
    meanings = (runs & 0xFFFF).astype(np.uint16)  # attributes << 8 | category

    meaning_of = np.zeros(_NUM_IDS, np.uint16)
    meaning_of[run_ids] = meanings
    clash = (meaning_of[run_ids] != meanings) & (run_ids > 0)
    if clash.any():
        raise DataError(_describe_clash(run_ids, meanings, int(run_ids[clash.argmax()]), name))

    seen = np.zeros(_NUM_IDS, bool)
    seen[run_ids] = True
    seen[0] = False
    ids = np.flatnonzero(seen).astype(np.int32)
    index_of = np.zeros(_NUM_IDS, np.int32)
    index_of[ids] = np.arange(1, len(ids) + 1)
    instances = np.repeat(index_of[run_ids], np.diff(starts, append=words.size)).reshape(pixels.shape[:2])
    return Bitmask(instances, ids, (meaning_of[ids] & 0xFF).astype(np.int32), (meaning_of[ids] >> 8).astype(np.uint8))


def check_categories(bitmask: Bitmask, num_classes: int, name: str | os.PathLike[str]) -> Bitmask:
    """Returns ``bitmask``, of the file ``name``; DataError unless all its category ids are in 0..num_classes."""
    wrong = bitmask.categories > num_classes
    if wrong.any():
        raise DataError(
            f"{name}: the bitmask holds the category ids {np.unique(bitmask.categories[wrong]).tolist()}; 1 to "
            f"{num_classes} are allowed (annotation id {bitmask.ids[wrong.argmax()]} has "
            f"{bitmask.categories[wrong.argmax()]}). Is it a bitmask of another task?"
        )
    return bitmask


def empty_bitmask(like: Bitmask) -> Bitmask:
    """A bitmask without instances, of the size of another."""
    return Bitmask(np.zeros_like(like.instances), *(column[:0] for column in like[1:]))


def encode_bitmask(bitmask: Bitmask) -> np.ndarray:
    """The RGBA pixels of a bitmask, (H, W, 4) uint8; background is 0 in all channels.

    Raises:
        DataError: an annotation id that is not in 1 to 65,535, or a category id not in 0 to 255.
    """
    for what, values, low, high in (
        ("annotation ids", bitmask.ids, 1, _NUM_IDS - 1),
        ("category ids", bitmask.categories, 0, 255),
    ):
        if len(values) and not low <= values.min() <= values.max() <= high:
            raise DataError(f"a bitmask holds {what} {low} to {high}, not {values.min()} to {values.max()}.")
    table = np.zeros((len(bitmask.ids) + 1, 4), np.uint8)
    table[1:] = np.stack([bitmask.categories, bitmask.attributes, bitmask.ids >> 8, bitmask.ids & 0xFF], axis=1)
    words = np.asarray(table.view("<u4").ravel()[bitmask.instances])
    return words.view(np.uint8).reshape(*bitmask.instances.shape, 4)


def shared_pixels(first: Bitmask, second: Bitmask) -> np.ndarray:
    """Counts the pixels that an instance of one bitmask shares with an instance of another, (N1 + 1, N2 + 1) int64.

    The row and the column 0 are background, so all rows together are the areas of ``second``'s instances.
    """
    rows, columns = first.instances.ravel(), second.instances.ravel()
    starts = _run_starts((rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1]))
    shape = len(first.ids) + 1, len(second.ids) + 1
    pairs = rows[starts].astype(np.int64) * shape[1] + columns[starts]
    # The weights are whole numbers far below 2^53, so their sums in float64 are exact.
    counts = np.bincount(pairs, np.diff(starts, append=rows.size), minlength=shape[0] * shape[1])
    return counts.astype(np.int64).reshape(shape)


def _run_starts(changes: np.ndarray) -> np.ndarray:
    """Where runs of equal pixels begin, given whether each pixel but the first differs from the one before it."""
    return np.append(0, 1 + np.flatnonzero(changes))


def _describe_clash(run_ids: np.ndarray, meanings: np.ndarray, clashing: int, name: str | os.PathLike[str]) -> str:
    found = meanings[run_ids == clashing]
    what, values = "categories", np.unique(found & 0xFF)
    if len(values) == 1:
        what, values = "attributes", np.unique(found >> 8)
    return (
        f"{name}: annotation id {clashing} has several {what} ({', '.join(map(str, values.tolist()))}); "
        "an instance has one. Was the bitmask resized or saved with smoothing?"
    )
