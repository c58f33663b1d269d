"""Opening image files: by a format that is allowed, told from the first bytes, and no larger than images may be.

Pillow alone would try all formats that it knows: an EPS file called ``a.jpg`` it hands to another program.
"""

import errno
import io
import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ..errors import BDD100KError, DataError, UnreadableError, shown
from ..regular_file import check_regular_file
from .image_size import check_image_size, max_pixels

# Each reader is called by itself: `Image.open` has a limit of its own, which only a setting of the whole process
# raises. That of JPEG reads the MPO files of phones too.
_READERS: dict[str, Callable[[IO[bytes]], Image.Image]] = {
    "BMP": BmpImageFile,
    "JPEG": jpeg_factory,
    "PNG": PngImageFile,
    "TIFF": TiffImageFile,
    "WEBP": WebPImageFile,
}
IMAGE_FORMATS = frozenset(_READERS)
"""The formats of the files that `image_names.IMAGE_SUFFIXES` names."""

_SAYS = "the image cannot be read ({error}); download it again."

_FIRST_BYTES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF8", "GIF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"version https://git-lfs", "Git LFS pointer"),
)
_LONGEST_START = 32
# Of a pixel: four channels of 16 bits, and as much again for what stands beside them.
_MOST_BYTES = 16

# What Pillow's readers raise for a file that is damaged or made up.
_BAD_IMAGE = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,  # a broken chunk of a PNG file
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,  # a number of a TIFF file that is no whole one
    NotImplementedError,
    EOFError,
    struct.error,
    zlib.error,
)

_TIFF_WIDTH, _TIFF_HEIGHT, _ORIENTATION = 256, 257, 274
_ON_ITS_SIDE = 5
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def format_of(start: bytes) -> str | None:
    """The format of a file, such as "PNG", from its first 32 bytes or more; None for one that is not known."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start.lstrip()[:5].lower() in (b"<html", b"<!doc"):
        return "HTML"
    return next((name for first, name in _FIRST_BYTES if start.startswith(first)), None)


@contextmanager
def open_image(
    file: IO[bytes] | bytes,
    where: str = "",
    says: str = _SAYS,
    formats: Collection[str] = IMAGE_FORMATS,
) -> Iterator[Image.Image]:
    """Opens an image, of which it reads the header alone; :func:`load_pixels` or :func:`upright` read its pixels.

    ``file`` is open for reading, or a file's content; messages are ``where`` and ``says``, with the reason for
    ``{error}``. ``formats`` are of the `IMAGE_FORMATS`.

    Raises:
        UnreadableError: another format, a size beyond :func:`~bdd100k_d2.data.image_size.max_pixels`, or damage.
    """
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    found = format_of(source.read(_LONGEST_START))
    source.seek(0)
    if found is None or found not in formats:
        kind = "of no format that is known" if found is None else f"a {found} file"
        raise UnreadableError(where + says.replace("{error}", f"it is {kind}, not {_listed(formats)}"))
    with _by_pillow(where, says):
        image = _READERS[found](source)
    with image:
        width, height = image.size
        try:
            check_image_size(height, width, f"{where}the image")
        except DataError as error:
            raise UnreadableError(str(error)) from None
        yield image


def load_pixels(image: Image.Image, where: str = "", says: str = _SAYS) -> None:
    """Reads the pixels of an open image; messages are as of :func:`open_image`.

    Raises:
        UnreadableError: it is damaged.
    """
    with _by_pillow(where, says):
        image.load()


@contextmanager
def _by_pillow(where: str, says: str) -> Iterator[None]:
    """A context for calls of Pillow's readers alone: elsewhere what they raise is a mistake of a program."""
    try:
        yield
    except _BAD_IMAGE as error:
        raise UnreadableError(where + says.replace("{error}", _reason(error))) from error


def read_image_file(path: str | os.PathLike[str], says: str = _SAYS) -> bytes:
    """The bytes of the file of an image or mask; messages are the path and ``says``, as of :func:`open_image`.

    Raises:
        UnreadableError: it cannot be read, is a pipe or device, which may have no end, or larger than any image.
    """
    with _named(path, says):
        _check_file(path)
        return Path(path).read_bytes()


def image_size(path: Path) -> tuple[int, int]:
    """The (height, width) in pixels of an image, turned as its EXIF data say, from its header alone.

    Raises:
        UnreadableError: the file is missing, no image, damaged in its header, or too large.
    """
    with _named(path, _SAYS):
        _check_file(path)
        with path.open("rb") as file, open_image(file, f"{path}: ") as image:
            return upright_size(image)


@contextmanager
def _named(path: str | os.PathLike[str], says: str) -> Iterator[None]:
    try:
        yield
    except BDD100KError:
        raise
    except (OSError, ValueError) as error:  # a name with a byte of zero is a ValueError
        raise UnreadableError(f"{os.fspath(path)}: {says.replace('{error}', _reason(error))}") from error


def _check_file(path: str | os.PathLike[str]) -> None:
    check_regular_file(path)
    size = Path(path).stat().st_size
    if size > _MOST_BYTES * max_pixels():
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than any image")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """The (height, width) in pixels of an open image, turned as its EXIF data say; reads no pixels."""
    width, height = image.size
    if isinstance(image, PngImageFile) and "exif" not in image.info:
        # Pillow would decode the image to look for EXIF data behind it.
        return height, width
    if isinstance(image, TiffImageFile):
        # Not all versions of Pillow give a TIFF file's size as it is stored.
        width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
    return (width, height) if _orientation(image) >= _ON_ITS_SIDE else (height, width)


def upright(image: Image.Image, where: str = "", says: str = _SAYS) -> Image.Image:
    """An open image with its pixels, of 8 bits a channel, turned as its EXIF data say.

    Of 16 bits the upper 8 are taken, of grey as Pillow does it of colours. Messages are as of :func:`open_image`.

    Raises:
        UnreadableError: it is damaged, or holds numbers of a type that does not say which of them is white.
    """
    # Pillow turns TIFF files when it reads their pixels, and forgets how they were.
    load_pixels(image, where, says)
    turn = _TURNS.get(_orientation(image))
    turned = image if turn is None else image.transpose(turn)
    # Older versions of Pillow open a PNG file of 16 bits as "I", which elsewhere has 32.
    if image.mode.startswith("I;16") or (image.mode == "I" and isinstance(image, PngImageFile)):
        return Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        numbers = "floating point" if image.mode == "F" else "32-bit or signed"
        raise UnreadableError(
            f"{where}the image holds {numbers} numbers, and nothing says which is white; save it with 8 or 16 bits."
        )
    return turned


def _orientation(image: Image.Image) -> int:
    try:
        found: Any = image.getexif().get(_ORIENTATION)
    except _BAD_IMAGE:
        # As for Detectron2: the data are of no use, the image may be.
        found = None
    return found if found in range(1, 9) else 1


def _listed(formats: Collection[str]) -> str:
    *first, last = sorted(formats)
    return f"{', '.join(first)} or {last}" if first else last


def _reason(error: BaseException) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    # What Pillow does not know it names by the address of the bytes.
    return shown(text.partition(" <_io.")[0])
