"""The image files of a page: what they are called, small for the page and in full for the zoom."""

import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..atomic import write_atomic
from ..data.image_files import open_image, read_image_file
from ..data.image_names import check_file_name, image_stem
from ..data.labels import HEIGHT, WIDTH
from ..errors import UnreadableError

GALLERY_WIDTH = 640
"""Of the small images and masks of a gallery of results at most, in pixels."""

_QUALITY = 86
_LONGEST_STEM = 60
_JPEG_START = b"\xff\xd8\xff"


class WrittenImage(NamedTuple):
    """An image in two sizes: file names relative to the page, None without an image, and one's size in pixels."""

    small: str | None
    full: str | None
    width: int
    height: int


def decode_image(content: bytes) -> np.ndarray | None:
    """The image of a file, (H, W, 3) uint8, BGR; None for what is no image, too large for one, or damaged."""
    try:
        with open_image(content):
            return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except (UnreadableError, cv2.error):
        return None


class PageImages:
    """Writes the files of frames below the folder of a page; small images are at most ``small_width`` pixels wide.

    ``prefix`` begins the file names, so that two galleries on a page do not meet.
    """

    def __init__(self, page: Path, prefix: str, small_width: int) -> None:
        self._page = page
        self._prefix = _safe(prefix)
        self._small_width = small_width
        self._count = 0

    def start_frame(self, name: str) -> str:
        """How the files of the next frame begin, relative to the page: safe in a file name and in an address."""
        # The number tells names apart that differ in other characters.
        self._count += 1
        return f"assets/{self._prefix}-{self._count:04d}-{_safe(image_stem(Path(name).name))}"

    def write(self, name: str, content: bytes) -> str:
        """Writes a file and returns its name relative to the page.

        Raises:
            OutputError: the file cannot be written.
        """
        write_atomic(self._page / name, content)
        return name

    def write_image(self, start: str, image: np.ndarray, full: bytes | None = None) -> WrittenImage:
        """Writes an image, (H, W, 3) uint8, BGR, in two sizes; one that is small already is written twice as it is.

        Its names begin with what :meth:`start_frame` gave. ``full`` is its file where there is one; it is encoded
        without. The size that is returned is the small one's.

        Raises:
            OutputError: a file cannot be written.
        """
        height, width = image.shape[:2]
        small = full = full or _encode(image)
        if width > self._small_width:
            width, height = self._small_width, round(height * self._small_width / width)
            small = _encode(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        return WrittenImage(self.write(f"{start}.jpg", small), self.write(f"{start}-full.jpg", full), width, height)


class GalleryImages(PageImages):
    """Copies the images of a gallery of results and counts those that it cannot show.

    Attributes:
        missing: frames without an image.
        unreadable: frames whose image is no image, or is damaged.
    """

    def __init__(self, page: Path) -> None:
        super().__init__(page, "frame", GALLERY_WIDTH)
        self.missing = 0
        self.unreadable = 0

    def add(self, start: str, name: str, source: Path | None, size: tuple[int, int] = (HEIGHT, WIDTH)) -> WrittenImage:
        """Copies the image of frame ``name``; None counts as missing. The size that is returned is the full one's.

        Without an image it is ``size``, the height and the width.

        Raises:
            DataError: ``name`` leads out of the folder of the images.
            OutputError: a file cannot be written.
        """
        nothing = WrittenImage(None, None, size[1], size[0])
        content = None
        if source is not None:
            check_file_name(name, source.parent)
            with suppress(UnreadableError):
                content = read_image_file(source)
        if content is None:
            self.missing += 1
            return nothing
        image = decode_image(content)
        if image is None:
            self.unreadable += 1
            return nothing
        height, width = image.shape[:2]
        # What is no JPEG a browser may not know; the others are copied as they are.
        written = self.write_image(start, image, content if content.startswith(_JPEG_START) else None)
        return written._replace(width=width, height=height)


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:_LONGEST_STEM]


def _encode(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))[1].tobytes()
