"""PNG files of masks and bitmasks: what kind of image one is, its pixels, and how one is written.

Pillow decodes 16 bits as 8, and a palette as its indices, without a word; so the header is looked at first.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import DataError, UnreadableError
from .image_files import format_of, load_pixels, open_image, read_image_file
from .image_size import check_image_size

GREY, PALETTE, RGBA = 0, 3, 6
"""Colour types: one channel, one channel of indices, and four channels."""

_HEADER_BYTES = 26
# The signature, and the first chunk, which has 13 bytes.
_START = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"
_SIGNATURE_BYTES = 8
_KINDS = {GREY: "grey", 2: "RGB", PALETTE: "palette", 4: "grey with alpha", RGBA: "RGBA"}


class PngHeader(NamedTuple):
    """The size in pixels, bits per channel, and the colour type, as the PNG specification numbers it."""

    width: int
    height: int
    bits: int
    color_type: int

    @property
    def kind(self) -> str:
        """In words, as "RGB of 8 bits"."""
        return f"{kind_name(self.color_type)} of {self.bits} bits"


def kind_name(color_type: int) -> str:
    """A colour type in words."""
    return _KINDS.get(color_type, "of an unknown kind")


def png_header(content: bytes) -> PngHeader | None:
    """The header of a PNG file, from its first 26 bytes or more; None if it is none."""
    if len(content) < _HEADER_BYTES or content[:16] != _START:
        return None
    return PngHeader(*struct.unpack(">IIBB", content[16:_HEADER_BYTES]))


def read_header(path: Path) -> PngHeader | None:
    """The header of the PNG file at ``path``; None if it is none, cannot be read, is damaged, animated or too large."""
    try:
        content = read_image_file(path)
        header = png_header(content)
        if header is not None:
            check_image_size(header.height, header.width, f"{path}: the image")
    except DataError:
        return None
    return header if damage(content) is None and b"acTL" not in content else None


class PngForm(NamedTuple):
    """What an image has to be, of 8 bits or a palette of fewer, and what is said of one that is not.

    ``other`` is said of one of another ``{kind}``, ``other_bits`` of one that has the colour type, but not the bits,
    ``damaged`` of one that cannot be read because of ``{error}``, and ``no_png`` of ``{kind}``, a file of another
    format: class ids do not outlive most of them.
    """

    color_types: tuple[int, ...]
    other: str
    other_bits: str
    damaged: str
    empty: str
    no_png: str


def read_png(path: str | os.PathLike[str], form: PngForm) -> np.ndarray:
    """The pixels of a file, as :func:`png_pixels`, whose errors name ``path``."""
    return png_pixels(read_image_file(path, form.damaged), form, f"{path}: ")


def png_pixels(content: bytes, form: PngForm, where: str = "", size: tuple[int, int] | None = None) -> np.ndarray:
    """The pixels of the file ``content``: uint8, (H, W) of one channel, (H, W, 4) of four.

    Messages begin with ``where``. ``size`` is the (height, width) that the image should have; None takes any. What
    stands behind the end of the image is not looked at.

    Raises:
        UnreadableError: the file is empty, of another format, too large for an image, or damaged, also where only a
            checksum tells so.
        DataError: another kind of image, or another size.
    """
    header = png_header(content)
    if header is None:
        if not content:
            raise UnreadableError(where + form.empty)
        other = format_of(content)
        kind = "no PNG file, or cut off" if other in (None, "PNG") else f"a {other} file"
        raise UnreadableError(where + form.no_png.format(kind=kind))
    if header.color_type not in form.color_types:
        raise DataError(where + form.other.format(kind=header.kind))
    if header.bits > 8 or (header.bits < 8 and header.color_type != PALETTE):
        raise DataError(where + form.other_bits.format(kind=header.kind))
    if size is not None and (header.height, header.width) != tuple(size):
        raise DataError(f"{where}is {header.width}x{header.height} pixels, the image {size[1]}x{size[0]}")
    found = damage(content)
    if found is not None:
        raise UnreadableError(where + form.damaged.format(error=found))
    # OpenCV would save an eighth of the time, but prints what is wrong with a broken file instead of raising it.
    with open_image(content, where, form.damaged, ("PNG",)) as image:
        load_pixels(image, where, form.damaged)
        return np.asarray(image)


def damage(content: bytes) -> str | None:
    """What is wrong with the chunks of a PNG file, up to the end of its image; None for a sound one.

    Pillow compares no checksum of the pixels, and takes the last of several headers.
    """
    view, place = memoryview(content), _SIGNATURE_BYTES
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        start, end = place + 4, place + 8 + length
        if end + 4 > len(content):
            break
        kind = content[start : start + 4]
        if not (kind.isascii() and kind.isalpha()):
            return "it has a chunk without a name"
        if view[end : end + 4] != zlib.crc32(view[start:end]).to_bytes(4, "big"):
            return f"the checksum of its {kind.decode()} chunk is wrong"
        if kind == b"IHDR" and place != _SIGNATURE_BYTES:
            return "it has two headers"
        if kind == b"IEND":
            return None
        place = end + 4
    return "it is cut off"


def save_png(pixels: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Writes uint8 pixels, (H, W), (H, W, 3) or (H, W, 4), as a PNG file."""
    # Run lengths make masks smaller than zlib's default does (8.0 against 8.8 kB), in three quarters of the time.
    Image.fromarray(pixels).save(path, format="PNG", compress_type=zlib.Z_RLE)
