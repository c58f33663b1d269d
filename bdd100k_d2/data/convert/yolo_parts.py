"""Label files of YOLO and their images, in the folders of a split: what is one, and which belong together."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError, shown
from ..folders import visible_files
from ..image_names import image_name, image_stem, is_image_name
from .image_sizes import images_below, the_image
from .source_files import files_through_links

LABELS, IMAGES = "labels", "images"

# Text files that lie beside labels and are none: names of classes, and what tools say of their export.
_NO_LABELS = {"classes.txt", "_classes.txt", "labels.txt", "license.txt", "predefined_classes.txt", "requirements.txt"}
_SUFFIX = ".txt"


class YoloFrame(NamedTuple):
    """A frame: its image's name, its label file if it has labels, and the image if it is there."""

    name: str
    labels: Path | None
    image: Path | None

    @property
    def file(self) -> str:
        """The label file, else the image, to be shown."""
        return shown(self.labels or self.image)

    def is_same(self, other: "YoloFrame") -> bool:
        """Whether the label file and the image are those of another frame."""
        return all(
            one == two or (one is not None and two is not None and one.samefile(two))
            for one, two in ((self.labels, other.labels), (self.image, other.image))
        )


class YoloFolders(NamedTuple):
    """The folders of labels and of their images; one of them may not be there."""

    labels: Path | None
    images: Path | None


def is_label_name(name: str) -> bool:
    """Whether a file of this name may hold the labels of an image."""
    lower = name.lower()
    return lower.endswith(_SUFFIX) and lower not in _NO_LABELS and not lower.startswith("readme.")


def holds_labels(folder: Path) -> bool:
    """Whether a label file lies in a folder or in those in it."""
    return folder.is_dir() and next(files_through_links(folder, is_label_name), None) is not None


def folders_of_labels(labels: Path) -> YoloFolders:
    """The images of a folder of labels lie at ``images`` in place of ``labels`` in its path, else beside the labels."""
    images = _swapped(labels, LABELS, IMAGES)
    if images is None and any(is_image_name(entry.name) for entry in visible_files(labels)):
        images = labels
    return YoloFolders(labels, images)


def folders_of_images(images: Path) -> YoloFolders | None:
    """The labels of a folder of images, as Ultralytics finds them; None where neither is there."""
    if (images / IMAGES).is_dir():
        images = images / IMAGES
    labels = _swapped(images, IMAGES, LABELS)
    if labels is None and holds_labels(images):
        labels = images
    found = images if images.is_dir() else None
    return None if found is None and labels is None else YoloFolders(labels, found)


def _swapped(folder: Path, old: str, new: str) -> Path | None:
    """The folder that has ``new`` in place of the last ``old`` in its path, if there is one."""
    for path in (folder, Path(os.path.abspath(folder))):  # noqa: PTH100, Path.absolute keeps ".."
        if old in path.parts:
            last = len(path.parts) - 1 - path.parts[::-1].index(old)
            other = Path(*path.parts[:last], new, *path.parts[last + 1 :])
            return other if other.is_dir() else None
    return None


def frames_in(
    folders: YoloFolders, images: Path | None, split: str | None, lists: frozenset[str]
) -> Iterator[YoloFrame]:
    """Yields the frames of label files and of images without one, in no order.

    ``images`` is a folder that is given in place of that of ``folders``; ``lists`` are names of files beside the labels
    that are none.

    Raises:
        DataError: two files are of one frame, or one cannot be read.
    """
    labels = {} if folders.labels is None else _label_files(folders.labels, lists)
    folder = folders.images if images is None else images_of_split(images, split, folders.labels)
    found = {} if folder is None else images_below(folder)
    if folder == images and folders.labels is not None and folders.labels.parent.name == LABELS:
        # One folder with the images of all splits: those with labels elsewhere are not of this one.
        others = (image_stem(name[: -len(_SUFFIX)]) for _, name in _below(folders.labels.parent))
        for stem in set(others) - labels.keys():
            found.pop(stem, None)
    for stem in labels.keys() | found.keys():
        image = the_image(stem, found)
        yield YoloFrame(image_name(stem) if image is None else image.name, labels.get(stem), image)


def _below(folder: Path) -> Iterator[tuple[str, str]]:
    return files_through_links(folder, is_label_name)


def _label_files(folder: Path, lists: frozenset[str]) -> dict[str, Path]:
    labels: dict[str, Path] = {}
    top = os.fspath(folder)
    for place, name in _below(folder):
        if name in lists and place == top:
            continue
        stem, path = image_stem(name[: -len(_SUFFIX)]), Path(place, name)
        other = labels.setdefault(stem, path)
        if other is not path:
            raise same_frame(stem, shown(other), shown(path))
    return labels


def same_frame(stem: str, one: str, other: str) -> DataError:
    """What to say of two files of one frame."""
    return DataError(f"{one} and {other} are of the same frame {shown(stem)}; rename or remove one of the two.")


def images_of_split(images: Path, split: str | None, labels: Path | None) -> Path:
    """The folder of a split's images, where the one that is given holds those of all splits."""
    name = split or (labels.name if labels is not None else None)
    if name is None or name == LABELS:
        return images
    places = (images / name / IMAGES, images / name, images / IMAGES / name)
    return next((place for place in places if place.is_dir()), images)
