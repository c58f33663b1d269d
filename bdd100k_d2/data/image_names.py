"""The file names of images: their endings, their stems, by which frames, masks and results are matched."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ..errors import DataError

IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
"""The endings, in small letters, of the names of images."""


_BDD100K_STEM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}(-\d{7})?")


def is_bdd100k_stem(stem: str) -> bool:
    """Whether a frame, without the ending of its image, or a video is named as BDD100K's are."""
    return _BDD100K_STEM.fullmatch(stem) is not None


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


def path_parts(path: str | Path) -> list[str]:
    """The folders of a path, and the file name in the end; a text as any system writes it, without "" and "."."""
    if isinstance(path, Path):
        return [*path.parts]
    *folders, name = path.replace("\\", "/").split("/")
    return [*(folder for folder in folders if folder not in ("", ".")), name]


def plain_name(path: str) -> str:
    """The name of a frame that is told by the whole path of its image: ``a__0.jpg`` for ``a/0.jpg``."""
    return "__".join(path_parts(path))


def frame_names(paths: Iterable[str | Path]) -> list[str]:
    """The names of the frames of images at ``paths``: their file names, but of several of one stem `plain_name`.

    That is of their paths below the folder that holds all of ``paths``. So masks and results, which have a frame's name
    without its ending, are told apart; paths that stand there again have one name.
    """
    parts = [path_parts(path) for path in paths]
    counts = Counter(image_stem(names[-1]) for names in parts)
    if len(counts) == len(parts):
        return [names[-1] for names in parts]
    first, last = min(names[:-1] for names in parts), max(names[:-1] for names in parts)
    common = next((i for i, (one, two) in enumerate(zip(first, last, strict=False)) if one != two), len(first))
    return [names[-1] if counts[image_stem(names[-1])] == 1 else "__".join(names[common:]) for names in parts]


def images_by_stem(names: Iterable[str]) -> dict[str, str]:
    """The names that are images', by their stems; of several of one stem the one in ``.jpg``, else the last by name."""
    images = sorted(filter(is_image_name, names), key=lambda name: (name.endswith(".jpg"), name))
    return {image_stem(name): name for name in images}


def check_file_name(name: str, folder: str | os.PathLike[str]) -> None:
    """Raises DataError if a frame's name is no plain file name, and so leads out of the folder of its image."""
    if "/" in name or "\\" in name or name in ("", "..", "."):
        raise DataError(f"frame {name!r} is not a plain file name; images lie directly in {folder}.")
