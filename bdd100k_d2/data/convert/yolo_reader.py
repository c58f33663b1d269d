"""YOLO label files -> frames."""

import math
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from ...errors import DataError
from ..labels import Box2D, Frame, ImageSize, Label
from .yolo_classes import list_labels

_SUFFIXES = {".jpg", ".jpeg", ".png"}

# Of fractions that were rounded to six digits, as most tools write them.
_ROUNDING = 1e-5


class Sizes:
    """The names and sizes of the images of label files: of the files in a folder, else one size for all.

    Raises:
        DataError: neither is given, or the folder has no images.
    """

    def __init__(self, labels: Path, images: Path | None, size: ImageSize | None) -> None:
        self._size, self._images = size, images
        self._names: dict[str, str] = {}
        if images is not None:
            if not images.is_dir():
                raise DataError(f"{images}: no such folder of images; check --images.")
            self._names = {one.stem: one.name for one in images.iterdir() if one.suffix.lower() in _SUFFIXES}
        elif size is None:
            raise DataError(
                f"{labels}: YOLO's numbers are fractions of the image's size, which the labels do not hold; give "
                "--images with the folder of the images, or --size 1280x720."
            )

    def find(self, path: Path) -> tuple[str, ImageSize]:
        """The name and the size of the image of a label file.

        Raises:
            DataError: the image is not in the folder, or cannot be read.
        """
        if self._images is None:
            return f"{path.stem}.jpg", self._size
        name = self._names.get(path.stem)
        if name is None:
            raise DataError(f"{path}: {self._images} has no image of this name; check --images.")
        if self._size is not None:
            return name, self._size
        try:
            # It reads the header alone.
            with Image.open(self._images / name) as image:
                return name, ImageSize(*image.size)
        except (OSError, SyntaxError) as error:
            raise DataError(
                f"{self._images / name}: the image cannot be read ({error}); mend it, or give --size."
            ) from error


def read_yolo(folder: Path, classes: list[str], sizes: Sizes) -> Iterator[Frame]:
    """Yields a frame a label file, sorted by name; label ids count on through all frames.

    Raises:
        DataError: a line that has not five fields, or six with a score, fields that are no numbers or fractions, or a
            class that has no name.
    """
    number = 0
    for path in list_labels(folder):
        name, size = sizes.find(path)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: the labels cannot be read ({error}); write them again.") from error
        labels = []
        for place, line in enumerate(lines, 1):
            if line.strip():
                labels.append(_label(line.split(), number, classes, size, f"{path}: frame {name}, line {place}"))
                number += 1
        yield Frame(name, size=size, labels=labels)


def _label(fields: list[str], number: int, classes: list[str], size: ImageSize, where: str) -> Label:
    if len(fields) not in (5, 6):
        raise DataError(
            f"{where}: has {len(fields)} fields; a box has five (class, centre x and y, width, height), six with a "
            "score. Polygons of YOLO are not read."
        )
    try:
        index, values = int(fields[0]), [float(field) for field in fields[1:]]
    except ValueError:
        raise DataError(
            f"{where}: {' '.join(fields)!r} are not a class number and fractions; mend that line."
        ) from None
    if not 0 <= index < len(classes):
        raise DataError(
            f"{where}: class {index}, but there are {len(classes)} classes, 0 to {len(classes) - 1}; check --classes."
        )
    if not all(math.isfinite(value) and -_ROUNDING <= value <= 1 + _ROUNDING for value in values):
        raise DataError(
            f"{where}: {' '.join(fields[1:])} are not all fractions of the image, 0 to 1; divide pixels by its size."
        )
    x, y, width, height = (value * side for value, side in zip(values, (size.width, size.height) * 2, strict=False))
    box = Box2D(x - width / 2, y - height / 2, x + width / 2 - 1, y + height / 2 - 1)
    score = values[4] if len(values) == 5 else None
    return Label(id=str(number), category=classes[index], score=score, box2d=box)
