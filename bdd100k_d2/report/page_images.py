"""The image files of a page: what they are called, small for the page and in full for the zoom."""

import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..atomic import write_atomic

_QUALITY = 86
_LONGEST_STEM = 60


class WrittenImage(NamedTuple):
    """An image in two sizes: file names relative to the page, and the small one's size in pixels."""

    small: str
    full: str
    width: int
    height: int


class PageImages:
    """Writes the files of frames below the folder of a page."""

    def __init__(self, page: Path, prefix: str, small_width: int) -> None:
        """Writes nothing yet.

        Args:
            page: the folder of the page.
            prefix: begins the file names, so that two galleries on a page do not meet.
            small_width: of the small images at most, in pixels.
        """
        self._page = page
        self._prefix = prefix
        self._small_width = small_width
        self._count = 0

    def start_frame(self, name: str) -> str:
        """How the files of the next frame begin, relative to the page: safe in a file name and in an address."""
        # The number tells names apart that differ in other characters.
        self._count += 1
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", Path(name).stem)[:_LONGEST_STEM]
        return f"assets/{self._prefix}-{self._count:04d}-{stem}"

    def write(self, name: str, content: bytes | str) -> str:
        """Writes a file and returns its name relative to the page.

        Raises:
            OutputError: it cannot be written.
        """
        write_atomic(self._page / name, content)
        return name

    def write_image(self, start: str, image: np.ndarray, full: bytes | None = None) -> WrittenImage:
        """Writes an image in two sizes; one that is small already is written twice as it is.

        Args:
            start: of its file names, see :meth:`start_frame`.
            image: (H, W, 3) uint8, BGR.
            full: the file of ``image`` where there is one; it is encoded without.

        Raises:
            OutputError: a file cannot be written.
        """
        height, width = image.shape[:2]
        small = full = full or _encode(image)
        if width > self._small_width:
            width, height = self._small_width, round(height * self._small_width / width)
            small = _encode(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        return WrittenImage(self.write(f"{start}.jpg", small), self.write(f"{start}-full.jpg", full), width, height)


def _encode(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))[1].tobytes()
