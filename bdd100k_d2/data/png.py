"""PNG files: what kind of image one is, told by its header without decoding it, and how masks are written.

Pillow decodes 16 bits as 8, and a palette as its indices, without a word.
"""

import struct
import zlib
from typing import NamedTuple

GREY, PALETTE, RGBA = 0, 3, 6
"""Colour types: one channel, one channel of indices, and four channels."""

HEADER_BYTES = 26
"""From the beginning of the file."""

# Run lengths make masks smaller than zlib's default does (8.0 against 8.8 kB), in three quarters of the time.
PNG_OPTIONS = {"format": "PNG", "compress_type": zlib.Z_RLE}
"""With which Pillow writes a mask or a bitmask."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KINDS = {GREY: "grey", 2: "RGB", PALETTE: "palette", 4: "grey with alpha", RGBA: "RGBA"}


class PngHead(NamedTuple):
    """The size in pixels, bits a channel, and the colour type, as the PNG specification numbers it."""

    width: int
    height: int
    bits: int
    color_type: int

    @property
    def kind(self) -> str:
        """In words, as "RGB of 8 bits"."""
        return f"{kind_name(self.color_type)} of {self.bits} bits"


def kind_name(color_type: int) -> str:
    """The name of a colour type."""
    return _KINDS.get(color_type, "of an unknown kind")


def png_header(content: bytes) -> PngHead | None:
    """The header of a PNG file, from `HEADER_BYTES` of it or more; None if it is none."""
    if len(content) < HEADER_BYTES or content[:8] != _SIGNATURE:
        return None
    return PngHead(*struct.unpack(">IIBB", content[16:HEADER_BYTES]))
