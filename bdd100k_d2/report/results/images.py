"""Images of the gallery: copied in full for the zoom, and made small for the page."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...data.labels import HEIGHT, WIDTH, check_file_name
from ..page_images import PageImages

SMALL_WIDTH = 640
_JPEG_START = b"\xff\xd8\xff"


class Image(NamedTuple):
    """An image in two sizes.

    Attributes:
        small: file name relative to the page; None where there is no image to show.
        full: likewise.
        width: of the full one, in pixels.
        height: likewise.
    """

    small: str | None
    full: str | None
    width: int
    height: int


class Images(PageImages):
    """Writes images below the folder of the page and counts those that it cannot show.

    Attributes:
        missing: frames without an image.
        unreadable: frames whose image is no image, or is damaged.
    """

    def __init__(self, page: Path) -> None:
        """Takes the folder of the page."""
        super().__init__(page, "frame", SMALL_WIDTH)
        self.missing = 0
        self.unreadable = 0

    def add(self, start: str, name: str, source: Path | None, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Image:
        """Copies the image of frame ``name``.

        Args:
            start: of its file names, see :meth:`start_frame`.
            name: of the frame.
            source: its image; None counts as missing.
            size: height and width in pixels that are assumed without an image.

        Raises:
            DataError: ``name`` leads out of the folder of the images.
            OutputError: a file cannot be written.
        """
        nothing = Image(None, None, size[1], size[0])
        if source is None:
            self.missing += 1
            return nothing
        check_file_name(name, source.parent)
        try:
            content = source.read_bytes()
        except OSError:
            self.missing += 1
            return nothing
        image = _decode(content)
        if image is None:
            self.unreadable += 1
            return nothing
        height, width = image.shape[:2]
        # What is no JPEG a browser may not know; the others are copied as they are.
        written = self.write_image(start, image, content if content.startswith(_JPEG_START) else None)
        return Image(written.small, written.full, width, height)


def _decode(content: bytes) -> np.ndarray | None:
    # OpenCV refuses an empty buffer with an exception of its own, so it gets one bad byte instead.
    return cv2.imdecode(np.frombuffer(content or b"\0", np.uint8), cv2.IMREAD_COLOR)
