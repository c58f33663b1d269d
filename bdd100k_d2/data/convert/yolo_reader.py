"""YOLO label files -> frames.

A data set has ``labels/<split>/*.txt`` and class names in ``data.yaml`` (https://docs.ultralytics.com/datasets/detect),
or in labelImg's ``classes.txt``, one per line.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import yaml
from PIL import Image

from ...errors import DataError
from ..folders import visible_files
from ..image_names import image_name, image_stem, images_by_stem
from ..labels import Box2D, Frame, ImageSize, Label

CLASSES, DATA = "classes.txt", "data.yaml"

# Of fractions that were rounded to six digits, as most tools write them.
_ROUNDING = 1e-5


def find_labels(source: Path, split: str | None) -> Path:
    """The folder with the label files of a split of a data set; ``source`` is that folder or one that it is in.

    Raises:
        DataError: there is no such folder, or there are several splits and ``split`` is not given.
    """
    folder = source / "labels" if (source / "labels").is_dir() else source
    if split is not None:
        folder = folder / split if (folder / split).is_dir() else folder
    elif not list_labels(folder):
        folders = [Path(entry) for entry in visible_files(folder) if entry.is_dir()] if folder.is_dir() else []
        splits = sorted(one.name for one in folders if list_labels(one))
        if len(splits) > 1:
            raise DataError(f"{folder}: holds the splits {', '.join(splits)}; give one with --split.")
        folder = folder / splits[0] if splits else folder
    if not list_labels(folder):
        raise DataError(f"{folder}: no .txt file in the folder; give the folder of the YOLO labels.")
    return folder


def list_labels(folder: Path) -> list[Path]:
    """The label files of a folder, sorted by name."""
    files = visible_files(folder, ".txt") if folder.is_dir() else ()
    return [folder / name for name in sorted(entry.name for entry in files if entry.name != CLASSES)]


def read_classes(folder: Path, classes: Path | None = None) -> list[str]:
    """The names of the classes, by number, in the file ``classes``, else beside or above the labels, or DataError."""
    if classes is None:
        places = [place / name for place in (folder, folder.parent, folder.parent.parent) for name in (DATA, CLASSES)]
        classes = next((place for place in places if place.is_file()), None)
    if classes is None:
        raise DataError(f"{folder}: no {DATA} or {CLASSES} beside or above the labels; give it with --classes.")
    try:
        text = classes.read_text(encoding="utf-8")
        if classes.suffix not in (".yaml", ".yml"):
            return _names([line.strip() for line in text.splitlines() if line.strip()], classes)
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            f"{classes}: the class names cannot be read ({error}); give another file with --classes."
        ) from error
    return _names(document.get("names") if isinstance(document, dict) else None, classes)


def _names(found: object, path: Path) -> list[str]:
    if isinstance(found, dict):
        found = [found.get(i) for i in range(len(found))]
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
        raise DataError(
            f"{path}: no names of classes that count from 0; write them as names: [pedestrian, rider, ...]."
        )
    return found


class Sizes:
    """The names and sizes of the images of label files: of the files in a folder, else one size for all.

    Raises:
        DataError: there is neither, or the folder is not there.
    """

    def __init__(self, labels: Path, images: Path | None, size: ImageSize | None) -> None:
        self._size, self._folder = size, images
        self._images: dict[str, Path] = {}
        if images is not None:
            if not images.is_dir():
                raise DataError(f"{images}: no such folder of images; check --images.")
            names = images_by_stem(entry.name for entry in visible_files(images))
            self._images = {stem: images / name for stem, name in names.items()}
        elif size is None:
            raise DataError(
                f"{labels}: YOLO's numbers are fractions of the image's size, which the labels do not hold; give "
                "--images with the folder of the images, or --size 1280x720."
            )

    def find(self, path: Path) -> tuple[str, ImageSize]:
        """The name and the size of the image of a label file; DataError where the image is missing or unreadable."""
        if self._folder is None and self._size is not None:
            return image_name(path.stem), self._size
        image_path = self._images.get(image_stem(path.stem))
        if image_path is None:
            raise DataError(f"{path}: {self._folder} has no image of this name; check --images.")
        if self._size is not None:
            return image_path.name, self._size
        try:
            # It reads the header alone.
            with Image.open(image_path) as image:
                return image_path.name, ImageSize(*image.size)
        except (OSError, SyntaxError) as error:
            raise DataError(f"{image_path}: the image cannot be read ({error}); mend it, or give --size.") from error


def read_yolo(folder: Path, classes: list[str], sizes: Sizes) -> Iterator[Frame]:
    """Yields one frame per label file, by name; label ids count on through all frames; DataError for a bad line."""
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
