"""Reading the frames of a video, and writing a video of annotated frames with the same rate."""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from ..atomic import output_errors
from ..data.image_size import check_image_size
from ..errors import DataError, OutputError

logger = logging.getLogger(__name__)

_USUAL_RATE = 30.0
# Frames per second; headers of videos with changing rates tell the units of their clock instead, such as 90000, and
# OpenCV writes no video of a lower rate.
_LOWEST_RATE, _HIGHEST_RATE = 0.01, 1000.0
# In seconds; a header may promise any number of frames.
_LONGEST_GAP = 10.0


class VideoReader:
    """The frames of a video by its path, or of a camera by its number.

    Its ``rate``, in frames per second, is 30 where the video does not say; ``num_frames``, by the video's header, is
    None for a camera, and where it does not say or promises more frames than the file has bytes.

    Raises:
        DataError: the video or camera cannot be opened, or its frames are larger than images may be.
    """

    def __init__(self, source: Path | int) -> None:
        self._name = f"camera {source}" if isinstance(source, int) else str(source)
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else _place(source))
        if not self._capture.isOpened():
            remedy = "is one connected?" if isinstance(source, int) else "is it a video, and whole? Convert it to MP4."
            raise DataError(f"{self._name}: cannot be opened; {remedy}")
        size = [self._capture.get(side) for side in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)]
        if min(size) > 0:
            # Some cameras tell it with their first frame alone.
            check_image_size(int(size[0]), int(size[1]), f"{self._name}: a frame")
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)
        if not _LOWEST_RATE <= self.rate <= _HIGHEST_RATE:
            logger.warning("%s tells no frame rate; it is taken for %g.", self._name, _USUAL_RATE)
            self.rate = _USUAL_RATE
        self.num_frames = None if isinstance(source, int) else self._promised(source.stat().st_size)

    def _promised(self, num_bytes: int) -> int | None:
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if not 0 < count <= num_bytes:
            if count > num_bytes:
                logger.warning("%s: %.0f frames by its header are more than its bytes.", self._name, count)
            return None
        return int(count)

    def frames(self) -> Iterator[np.ndarray | None]:
        """Yields the frames, (H, W, 3) uint8, BGR, to the last that can be read; None for each before it that cannot.

        Raises:
            DataError: no frame can be read.
        """
        count = failed = 0
        while True:
            found, frame = self._capture.read()
            if found:
                # Of frames that fail only a whole one after them tells that they were not the end.
                yield from repeat(None, failed)
                count, failed = count + failed + 1, 0
                yield frame
                continue
            failed += 1
            if self.num_frames is None or count + failed >= self.num_frames or failed > _LONGEST_GAP * self.rate:
                break
        if not count:
            raise DataError(f"{self._name}: no frame of it can be read; is it a video, and whole? Convert it to MP4.")

    def close(self) -> None:
        """Lets the file or camera go."""
        self._capture.release()


class VideoWriter(AbstractContextManager["VideoWriter"]):
    """An MP4 video of ``rate`` frames per second; it is there when the context is left without an exception.

    The first frame tells the size; ``path`` ends in ``.mp4``.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self._path = path
        # The ending tells OpenCV the format. A video that was left unfinished is removed.
        self._partial = path.with_name(f".{path.stem}.partial.mp4")
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._count = 0

    def write(self, image: np.ndarray) -> None:
        """Appends a frame, (H, W, 3) uint8, RGB.

        Raises:
            DataError: the frame has another size than the first.
            OutputError: the video cannot be written.
        """
        height, width = image.shape[:2]
        writer = self._writer or self._open(width, height)
        if (width, height) != self._size:
            raise DataError(
                f"{self._path}: frame {self._count + 1} is {width}x{height}, the first {self._size[0]}x"
                f"{self._size[1]}; cut the video where its size changes."
            )
        frame = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if width % 2 or height % 2:
            # The format has colours for squares of four pixels.
            frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        writer.write(frame)
        self._count += 1

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        self._size = (width, height)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self._path.parent}: cannot be made ({error.strerror}); choose another.") from error
        with output_errors(self._partial):
            # OpenCV writes into what a link leads to, and waits for who reads a pipe.
            self._partial.unlink(missing_ok=True)
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(
            _place(self._partial), code, self._rate, (width + width % 2, height + height % 2)
        )
        if not self._writer.isOpened():
            raise OutputError(f"{self._path}: the video cannot be written; choose another folder or free some space.")
        return self._writer

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if kind is not None:
            self._partial.unlink(missing_ok=True)
            return
        # OpenCV says nothing of a disk that is full.
        written = cv2.VideoCapture(_place(self._partial))
        count = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if count != self._count:
            raise OutputError(
                f"{self._path}: {count} of {self._count} frames are in the video; free some space and go on with "
                "--resume."
            )
        with output_errors(self._path):
            with self._partial.open("rb+") as file:
                os.fsync(file.fileno())
            self._partial.replace(self._path)


def _place(path: Path) -> str:
    """A path as OpenCV takes it: what stands before a colon in a relative one would be a protocol."""
    return str(path.absolute())
