"""PNG files of masks and bitmasks: what kind of image one is, its pixels, and how one is written.

Pillow decodes 16 bits as 8, and a palette as its indices, without a word; so the header is looked at first.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
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
# With the methods of packing, filtering and interlacing.
_LAST_OF_HEADER = 29
_KINDS = {GREY: "grey", 2: "RGB", PALETTE: "palette", 4: "grey with alpha", RGBA: "RGBA"}
_CHANNELS = {GREY: 1, 2: 3, PALETTE: 1, 4: 2, RGBA: 4}
# The first column, the first row and the distances of each part of an interlaced image.
_PARTS = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
# A reader has to know these chunks, and every other one that begins with a capital letter.
_NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
# Bytes that are unpacked at a time.
_PIECE = 1 << 16


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
        pixels = np.asarray(image)
        # Unpacking them once more takes a quarter of the time, so it is done where the last row may be made up.
        found = missing_pixels(content) if _is_interlaced(content) or not pixels[-1].any() else None
        if found is not None:
            raise UnreadableError(where + form.damaged.format(error=found))
        return pixels


def damage(content: bytes) -> str | None:
    """What is wrong with the chunks of a PNG file, up to the end of its image; None for a sound one.

    Pillow compares no checksum of the pixels, and takes the last of several headers.
    """
    view = memoryview(content)
    for kind, start, end in _chunks(content):
        if not (kind.isascii() and kind.isalpha()):
            return "it has a chunk without a name"
        if view[end : end + 4] != zlib.crc32(view[start - 4 : end]).to_bytes(4, "big"):
            return f"the checksum of its {kind.decode()} chunk is wrong"
        if kind == b"IHDR":
            if start != _SIGNATURE_BYTES + 8:
                return "it has two headers"
            packing, filtering, interlacing = content[_HEADER_BYTES:_LAST_OF_HEADER]
            if packing or filtering or interlacing > 1:
                return "its header names a method that PNG files do not have"
        if kind[:1].isupper() and kind not in _NEEDED:
            return f"it has a chunk {kind.decode()}, without which nobody can tell its pixels"
        if kind == b"IEND":
            return None
    return "it is cut off"


def missing_pixels(content: bytes) -> str | None:
    """How many of the packed pixels of a PNG file are there; None if they are whole, as far as an image needs them.

    Of rows that are missing Pillow makes zeros without a word.
    """
    header = png_header(content)
    if header is None or header.color_type not in _CHANNELS:
        return None
    wanted, stream, count = _unpacked_bytes(header, _is_interlaced(content)), zlib.decompressobj(), 0
    with suppress(zlib.error):
        for part in (content[start:end] for kind, start, end in _chunks(content) if kind == b"IDAT"):
            piece = b""
            # What was packed may still be on its way when all of the part is taken.
            while (part or len(piece) == _PIECE) and not stream.eof and count < wanted:
                piece = stream.decompress(part, _PIECE)
                part = stream.unconsumed_tail
                count += len(piece)
    return f"its pixels are cut off, {count:,} bytes of {wanted:,}" if count < wanted else None


def _is_interlaced(content: bytes) -> bool:
    return content[_LAST_OF_HEADER - 1] == 1


def _unpacked_bytes(header: PngHeader, interlaced: bool) -> int:
    """How many bytes the pixels of a file have, each row with one for its filter."""
    total = 0
    for left, top, across, down in _PARTS if interlaced else ((0, 0, 1, 1),):
        width, height = -((left - header.width) // across), -((top - header.height) // down)
        if width > 0 and height > 0:
            total += height * (1 + -(-width * _CHANNELS[header.color_type] * header.bits // 8))
    return total


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each whole chunk, where its data begin, and where they end."""
    place = _SIGNATURE_BYTES
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        start, end = place + 8, place + 8 + length
        if end + 4 > len(content):
            return
        yield content[place + 4 : start], start, end
        place = end + 4


def save_png(pixels: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Writes uint8 pixels, (H, W), (H, W, 3) or (H, W, 4), as a PNG file."""
    # Run lengths make masks smaller than zlib's default does (8.0 against 8.8 kB), in three quarters of the time.
    Image.fromarray(pixels).save(path, format="PNG", compress_type=zlib.Z_RLE)
