"""Label files of YOLO and their images, in the folders of a split: what is one, and which belong together."""

import os
from collections import Counter
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
    """A frame: its image's name, its label file if it has labels, and the image if it is there.

    ``place`` is the path of the image, or of where it would be, below the folder that it was found in or as a list has
    it. The folders in it tell images of one name apart.
    """

    name: str
    labels: Path | None
    image: Path | None
    place: str

    @property
    def file(self) -> str:
        """The label file, else the image, to be shown."""
        return shown(self.labels or self.image)

    @property
    def files(self) -> tuple[tuple[int, int] | None, ...]:
        """What tells the label file and the image from all others, by whatever path: device and number."""
        stats = (None if path is None else path.stat() for path in (self.labels, self.image))
        return tuple(None if found is None else (found.st_dev, found.st_ino) for found in stats)


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
    counts = Counter(stem_of(place) for place in labels)
    images_of_stem: dict[str, list[Path]] = {}
    for one in sorted({one for several in found.values() for one in several}):
        images_of_stem.setdefault(image_stem(one.name), []).append(one)

    def image_at(place: str) -> Path | None:
        """The image of the label file at ``place``; where others have its name, that in the folders of this name."""
        *folders, stem = place.split("/")
        images = images_of_stem.get(stem, [])
        if folder is None or not images or (counts[stem] == 1 and len(images) == 1):
            return the_image(stem, {stem: images} if images else {})
        parents = {image: [*image.relative_to(folder).parts[:-1]] for image in images}
        same = [image for image in images if parents[image] == folders]
        ends = [image for image in images if folders and parents[image][-len(folders) :] == folders]
        if not folders and not same and counts[stem] == 1:
            ends = images
        chosen = same or ends
        return the_image(stem, {stem: chosen} if chosen else {})

    taken: set[Path] = set()
    for place, file in labels.items():
        image = image_at(place)
        name = image_name(stem_of(place)) if image is None else image.name
        yield YoloFrame(name, file, image, f"{place.rpartition('/')[0]}/{name}")
        if image is not None:
            taken.add(image)
    if folder == images and folders.labels is not None and folders.labels.parent.name == LABELS:
        # One folder with the images of all splits: those with labels elsewhere are not of this one.
        for other in _label_files(folders.labels.parent, frozenset(), twice=True):
            split_of_other, _, place = other.partition("/")
            if place and split_of_other != folders.labels.name:
                counts.update([stem_of(place)])
                taken.update(filter(None, [image_at(place)]))
    for one in sorted({one for several in images_of_stem.values() for one in several} - taken):
        yield YoloFrame(one.name, None, one, one.relative_to(folder or one.parent).as_posix())


def stem_of(place: str) -> str:
    """The last part of the path of a frame."""
    return place.rpartition("/")[2]


def _label_files(folder: Path, lists: frozenset[str], twice: bool = False) -> dict[str, Path]:
    """The label files in and below a folder by their paths there, without endings; DataError for two of one frame.

    With ``twice`` one of the two is enough.
    """
    labels: dict[str, Path] = {}
    top = os.fspath(folder)
    for where, name in files_through_links(folder, is_label_name):
        if name in lists and where == top:
            continue
        stem, path = image_stem(name[: -len(_SUFFIX)]), Path(where, name)
        below = path.parent.relative_to(folder).as_posix()
        other = labels.setdefault(stem if below == "." else f"{below}/{stem}", path)
        if other is not path and not twice:
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
