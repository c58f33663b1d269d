"""Pictures of the gallery: copied in full for the zoom, and made small for the page."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...atomic import write_atomic
from ...data.labels import HEIGHT, WIDTH, check_file_name
from ..page_pictures import encode_jpeg, frame_file, shrink

SMALL_WIDTH = 640
_JPEG_START = b"\xff\xd8\xff"


class Picture(NamedTuple):
    """A picture in two sizes.

    Attributes:
        small: file name relative to the page; None where there is no picture to show.
        full: likewise.
        width: of the full one, in pixels.
        height: likewise.
    """

    small: str | None
    full: str | None
    width: int
    height: int


class Pictures:
    """Writes pictures below the folder of the page and counts those that it cannot show.

    Attributes:
        missing: frames without a picture.
        unreadable: frames whose picture is no picture, or is damaged.
    """

    def __init__(self, page: Path) -> None:
        """Takes the folder of the page."""
        self._page = page
        self._count = 0
        self.missing = 0
        self.unreadable = 0

    def start_frame(self, name: str) -> str:
        """How the files of the next frame begin, relative to the page: safe in a file name and in an address."""
        self._count += 1
        return frame_file("frame", self._count, name)

    def write(self, start: str, content: bytes | str) -> str:
        """Writes a file and returns its name relative to the page."""
        write_atomic(self._page / start, content)
        return start

    def add(self, start: str, name: str, source: Path | None, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Picture:
        """Copies the picture of frame ``name``.

        Args:
            start: of its file names, see :meth:`start_frame`.
            name: of the frame.
            source: its picture; None counts as missing.
            size: height and width in pixels that are assumed without a picture.

        Raises:
            DataError: ``name`` leads out of the folder of the pictures.
            OutputError: a file cannot be written.
        """
        nothing = Picture(None, None, size[1], size[0])
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
        full = content if content.startswith(_JPEG_START) else encode_jpeg(image)
        small = encode_jpeg(shrink(image, SMALL_WIDTH)) if width > SMALL_WIDTH else full
        return Picture(
            self.write(f"{start}.jpg", small),
            self.write(f"{start}-full.jpg", full),
            width,
            height,
        )


def _decode(content: bytes) -> np.ndarray | None:
    # OpenCV refuses an empty buffer with an exception of its own, so it gets one bad byte instead.
    return cv2.imdecode(np.frombuffer(content or b"\0", np.uint8), cv2.IMREAD_COLOR)
