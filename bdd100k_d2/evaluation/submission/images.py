"""PNG files of a submission: which frames they are of, and their pixels."""

import io
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from ...data.png import kind_name, png_header
from ...errors import DataError
from .finding import Finding


def match_images(files: Sequence[str], frames: Collection[str]) -> tuple[list[tuple[str, str]], list[Finding]]:
    """Matches PNG files to frames by the stems of their names.

    Args:
        files: the paths of the PNG files.
        frames: the image names of the split.

    Returns:
        The pairs (file, frame), and findings on missing, extra and repeated frames.
    """
    by_stem = {PurePosixPath(frame).stem: frame for frame in frames}
    pairs, findings, seen = [], [], set()
    for file in files:
        stem = PurePosixPath(file).stem
        if stem not in by_stem:
            findings.append(Finding("extra frame", file, None, "no image of the split has this name"))
            continue
        if stem in seen:
            findings.append(Finding("frame twice", file, by_stem[stem], "another file is of the same frame"))
        seen.add(stem)
        pairs.append((file, by_stem[stem]))
    for stem in sorted(by_stem.keys() - seen):
        findings.append(Finding("missing frame", f"{stem}.png", by_stem[stem], "has no file"))
    return pairs, findings


def png_pixels(content: bytes, color_type: int, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a PNG file.

    Args:
        content: the file.
        color_type: `GREY` for a mask, `RGBA` for a bitmask.
        size: (height, width) that it should have, in pixels.

    Returns:
        uint8 array, (H, W) of a mask, (H, W, 4) of a bitmask.

    Raises:
        DataError: another kind of image or another size, or unreadable; callers add the file.
    """
    if not content:
        raise DataError("is an empty file; write it again")
    head = png_header(content)
    if head is None:
        raise DataError("is no PNG file")
    if (head.bits, head.color_type) != (8, color_type):
        raise DataError(f"has to be {kind_name(color_type)} of 8 bits, is {head.kind}")
    if (head.height, head.width) != tuple(size):
        raise DataError(f"is {head.width}x{head.height} pixels, the image {size[1]}x{size[0]}")
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image)
    except (OSError, SyntaxError) as error:  # Pillow calls a broken PNG chunk a SyntaxError
        raise DataError(f"is a damaged PNG file ({error}); write it again") from error
