"""The file names of images: their endings, their stems, by which frames, masks and results are matched."""

import os
from collections.abc import Iterable

from ..errors import DataError

IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
"""The endings, in small letters, of the names of images."""


def is_image_name(name: str) -> bool:
    """Whether a name ends as an image's does, in letters of any case."""
    _, dot, ending = name.rpartition(".")
    return dot + ending.lower() in IMAGE_SUFFIXES


def image_stem(name: str) -> str:
    """The name of a frame without the ending of its image or mask, by which the two are matched."""
    return name.rpartition(".")[0] if is_image_name(name) else name


def image_name(name: str) -> str:
    """The file name of a frame's image: ``name`` itself, with ``.jpg`` where it has no ending of an image."""
    return name if is_image_name(name) else f"{name}.jpg"


def last_part(path: str) -> str:
    """The file name at the end of a path or address, as any system writes it."""
    return path.replace("\\", "/").rpartition("/")[2]


def images_by_stem(names: Iterable[str]) -> dict[str, str]:
    """The names that are images', by their stems; of several of one stem the one in ``.jpg``, else the last by name."""
    images = sorted(filter(is_image_name, names), key=lambda name: (name.endswith(".jpg"), name))
    return {image_stem(name): name for name in images}


def check_file_name(name: str, folder: str | os.PathLike[str]) -> None:
    """Raises DataError if a frame's name is no plain file name, and so leads out of the folder of its image."""
    if "/" in name or "\\" in name or name in ("", "..", "."):
        raise DataError(f"frame {name!r} is not a plain file name; images lie directly in {folder}.")
