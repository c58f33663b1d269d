"""What a reader may have to be told, and that nothing is told in vain."""

import os
from pathlib import Path
from typing import NamedTuple

from ...errors import ConfigError, DataError
from ..labels import ImageSize


class SourceOptions(NamedTuple):
    """What cannot be told from a source.

    Attributes:
        task: whose classes the target has.
        split: of a YOLO source, and of a YOLO target.
        images: the folder of the images, for their sizes where the labels do not state them, and of YOLO their names.
        size: of all images whose labels do not state it.
        classes: of YOLO, the file of the classes' names.
        image_ids: of COCO results, the COCO file that has their image ids and categories.
        score_file: of bitmasks, the file of the scores of their instances.
    """

    task: str | None = None
    split: str | None = None
    images: Path | None = None
    size: ImageSize | None = None
    classes: Path | None = None
    image_ids: Path | None = None
    score_file: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """The files and folders that are read beside the source."""
        return [path for path in (self.images, self.classes, self.image_ids, self.score_file) if path is not None]


def check_options(options: SourceOptions, kind: str, to: str) -> None:
    """Raises ConfigError for an option that a conversion from a kind to another does not use.

    DataError, if the folder of images is not there.
    """
    of_what = {
        "classes": ("yolo", "names the classes of YOLO labels"),
        "image_ids": ("coco_results", "is for COCO results"),
        "score_file": ("bitmasks", "is for bitmasks"),
    }
    for name, (used_by, what) in of_what.items():
        if getattr(options, name) is not None and kind != used_by:
            raise ConfigError(f"--{name.replace('_', '-')} {what}, the source is {kind}; leave it out.")
    if options.split is not None and "yolo" not in (kind, to):
        raise ConfigError(f"--split is of YOLO, not of {kind} or {to}; leave it out.")
    for name in ("images", "size"):
        if getattr(options, name) is None or kind == "yolo":
            continue
        if kind in ("masks", "bitmasks"):
            raise ConfigError(f"--{name} is not used, because {kind} have a size of their own; leave it out.")
        if to == "scalabel":
            raise ConfigError(f"--{name} is not used from {kind} to Scalabel, which needs no sizes; leave it out.")
    if options.images is not None and not os.path.isdir(options.images):  # noqa: PTH112, which knows no bad names
        raise DataError(f"{options.images}: no such folder of images; check --images.")
