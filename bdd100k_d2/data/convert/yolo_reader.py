"""YOLO label files -> frames: one line per box with class number, centre and size as fractions of the image."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError, shown
from ..image_size import check_image_size
from ..labels import Box2D, Frame, ImageSize, Label
from .dropped import Dropped
from .image_sizes import size_of_image
from .source_files import text_lines
from .yolo_parts import YoloFrame

_CUT = "boxes have fractions up to 0.1 % outside of 0 to 1 and are cut off at the edges of their image"

_MOST_BYTES_OF_LABELS = 1 << 24
# Of fractions that were rounded to six digits, as most tools write them.
_ROUNDING = 1e-5
# What trainers let pass.
_OUTSIDE = 1e-3
# The parts of a pixel that corners are told apart by; `round` to as many digits takes ten times as long.
_PER_PIXEL = 1e9


class YoloSizes(NamedTuple):
    """Where the sizes of images come from: of an image itself, where it can be read, else ``size``.

    ``images`` is the folder that was given.
    """

    images: Path | None
    size: ImageSize | None

    def find(self, frame: YoloFrame) -> ImageSize:
        """The size of a frame's image; DataError where there is none, or the image cannot be read."""
        if frame.image is None and self.images is not None and self.size is None:
            raise DataError(f"{frame.file}: {self.images} has no image of this name; check --images.")
        if frame.image is not None:
            try:
                return size_of_image(frame.image)
            except DataError:
                if self.size is None:
                    raise
        if self.size is None:
            raise DataError(
                f"{frame.file}: YOLO's numbers are fractions of the image's size, which the labels do not hold; give "
                "--images with the folder of the images, or --size 1280x720."
            )
        return self.size


def read_yolo(frames: list[YoloFrame], classes: list[str], sizes: YoloSizes, dropped: Dropped) -> Iterator[Frame]:
    """Yields the frames with their labels, whose ids count on through all frames; DataError for a bad line."""
    number = 0
    if sizes.size is not None:
        check_image_size(sizes.size.height, sizes.size.width, "--size: the image")
    for frame in frames:
        size = sizes.find(frame)
        lines = [] if frame.labels is None else text_lines(frame.labels, _MOST_BYTES_OF_LABELS)
        labels = []
        for place, line in enumerate(lines, 1):
            if line.strip():
                where = f"{frame.labels}: frame {frame.name}, line {place}"
                labels.append(_label(line, number, classes, size, where, dropped))
                number += 1
        yield Frame(frame.name, size=size, labels=labels)


def _label(line: str, number: int, classes: list[str], size: ImageSize, where: str, dropped: Dropped) -> Label:
    fields = line.split()
    if len(fields) not in (5, 6):
        raise DataError(
            f"{where}: has {len(fields)} fields; a box has five (class, centre x and y, width, height), six with a "
            "score. Polygons of YOLO are not read."
        )
    try:
        # Python would take 1_0 for 10.
        index, *values = map(float, fields if "_" not in line else ())
    except ValueError:
        raise DataError(
            f"{where}: '{shown(line.strip())}' are not a class number and fractions; mend that line."
        ) from None
    if not 0 <= index < len(classes) or not index.is_integer():
        raise DataError(
            f"{where}: class {shown(fields[0])}, but there are {len(classes)} classes, 0 to {len(classes) - 1}; check "
            "--classes."
        )
    x, y, width, height, *rest = values
    score = rest[0] if rest else None
    inside = 0 <= x <= 1 and 0 <= y <= 1 and 0 <= width <= 1 and 0 <= height <= 1
    near = inside or (
        all(-_OUTSIDE <= value <= 1 + _OUTSIDE for value in values[:4]) and min(width, height) >= -_ROUNDING
    )
    if not near or (score is not None and not -_ROUNDING <= score <= 1 + _ROUNDING):
        raise DataError(
            f"{where}: {shown(' '.join(fields[1:]))} are not all fractions of the image, 0 to 1; divide pixels by its "
            "size."
        )
    beyond = max(width / 2 - x, height / 2 - y, x + width / 2 - 1, y + height / 2 - 1)
    # A box that leads further out of its image is kept as it is: a trainer cuts it, and a score counts it, as it likes.
    x, width, y, height = x * size.width, width * size.width, y * size.height, height * size.height
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if not inside or 0 < beyond <= _OUTSIDE:
        left, top = max(left, 0.0), max(top, 0.0)
        right, bottom = min(right, float(size.width)), min(bottom, float(size.height))
        if not inside or beyond > _ROUNDING:
            dropped.add(_CUT)
    # To multiply them costs numbers their last digits, by which an overlap that is exactly a threshold would miss it.
    box = Box2D(
        round(left * _PER_PIXEL) / _PER_PIXEL,
        round(top * _PER_PIXEL) / _PER_PIXEL,
        round((right - 1) * _PER_PIXEL) / _PER_PIXEL,
        round((bottom - 1) * _PER_PIXEL) / _PER_PIXEL,
    )
    return Label(id=str(number), category=classes[int(index)], score=score, box2d=box)
