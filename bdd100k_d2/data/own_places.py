"""Where the labels and images of users' own data lie: the splits that a path stands for, and the kind of its labels."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigError, DataError
from ..tasks import SPLITS, Task
from .convert.mask_reader import holds_bitmasks
from .convert.source import source_kind
from .convert.yolo_classes import YAML_SUFFIXES, class_files, read_classes
from .convert.yolo_set import YoloSet, find_yolo, is_yolo_folder, yolo_splits
from .folders import files_below

SPLIT = "{split}"
"""What stands for train, val and test in a path."""

_KINDS = {
    "boxes": ("coco", "scalabel", "yolo"),
    "masks": ("masks",),
    "bitmasks": ("bitmasks", "coco", "scalabel"),
}


class OwnPart(NamedTuple):
    """A data set of those that are registered together: its labels, its images, and which split of YOLO it is."""

    name: str
    labels: Path
    images: Path | None
    split: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is anything where the labels are to be."""
        return os.path.lexists(self.labels)

    def kind(self, task: Task) -> str:
        """The kind of labels, as `kind_of_labels` gives it."""
        return kind_of_labels(self.labels, task)

    def yolo(self) -> YoloSet:
        """The frames, of labels of YOLO."""
        return find_yolo(self.labels, self.split, self.images)

    def yolo_classes(self, found: YoloSet) -> list[str] | None:
        """The names of the classes of the frames ``found``; None where no file has them."""
        data_file = self.labels if self.labels.suffix.lower() in YAML_SUFFIXES else None
        return read_classes(found.folder, data_file) if data_file or class_files(found.folder) else None

    @property
    def image_root(self) -> Path:
        """The folder that all images lie in or below."""
        if self.images is not None or not self.is_there:
            return self.images or self.labels
        folders = [str(frame.image.parent) for frame in self.yolo().frames if frame.image is not None]
        return Path(os.path.commonpath(folders)) if folders else self.labels


def at_split(path: str | Path, split: str) -> Path:
    """A path with the name of a split in place of ``{split}``."""
    return Path(str(path).replace(SPLIT, split))


def names_of_splits(name: str) -> Iterator[tuple[str, str]]:
    """Yields each split, and what the data set of it is called where ``name`` has splits."""
    for split in SPLITS:
        yield split, f"{name}_{split}"


def find_parts(name: str, labels: Path, images: Path | None, lazily: bool) -> list[OwnPart]:
    """The data sets that the paths are of; ``lazily`` also those whose labels or images are not there.

    Raises:
        ConfigError: ``{split}`` is in the images alone, or the images that the labels need are not given.
        DataError: there are no labels, or no images.
    """
    where = f"data set {name}"
    if SPLIT not in str(labels):
        if images is not None and SPLIT in str(images):
            raise ConfigError(f"{where}: {SPLIT} is in images and not in labels; write it in both.")
        parts = _parts_of_one_path(name, labels, images, lazily)
    else:
        all_parts = [
            OwnPart(one, at_split(labels, split), None if images is None else at_split(images, split))
            for split, one in names_of_splits(name)
        ]
        parts = [part for part in all_parts if part.is_there]
        if not parts and not lazily:
            tried = ", ".join(str(part.labels) for part in all_parts)
            raise DataError(f"{where}: no labels of a split are there ({tried}); check the path.")
        parts = parts or all_parts
    for part in parts:
        if part.images is None and not (part.is_there and _is_yolo(part.labels)):
            raise ConfigError(f"{where}: no folder of images is given, which only YOLO can do without; give images.")
        if part.images is not None and not part.images.is_dir() and not lazily:
            raise DataError(f"{where}: no folder of images at {part.images}; check the path.")
    return parts


def _parts_of_one_path(name: str, labels: Path, images: Path | None, lazily: bool) -> list[OwnPart]:
    only = OwnPart(name, labels, images)
    if only.is_there:
        splits = yolo_splits(labels) if _is_yolo(labels) else {}
        there = [(split, one) for split, one in names_of_splits(name) if split in splits]
        return [OwnPart(one, labels, images, splits[split]) for split, one in there] or [only]
    if not lazily:
        raise DataError(f"data set {name}: no labels at {labels}; check the path.")
    # Which of them it was, only the labels would tell.
    return [only, *(OwnPart(one, labels, images) for _, one in names_of_splits(name))]


def _is_yolo(labels: Path) -> bool:
    try:
        return source_kind(labels) == "yolo"
    except (DataError, ConfigError):
        # Whether it is of any use is asked for the task.
        return False


def kind_of_labels(labels: Path, task: Task) -> str:
    """The kind of labels, of those that the task has; ConfigError for others, DataError for none."""
    if (
        task.form != "boxes"
        and labels.is_dir()
        and not is_yolo_folder(labels)
        and (files := files_below(labels, ".png"))
    ):
        kind = "bitmasks" if holds_bitmasks(files) else "masks"
    else:
        kind = source_kind(labels)
    allowed = _KINDS[task.form]
    if kind not in allowed:
        no_masks = task.form == "masks" and kind in ("coco", "scalabel")
        remedy = (
            "its run lengths and polygons are not painted here: give a folder with a PNG of class ids for each image"
            if no_masks
            else "give others"
        )
        raise ConfigError(
            f"{labels}: labels of {task.name} are {' or '.join(allowed)}, this is {kind}; {remedy}, or another task."
        )
    return kind
